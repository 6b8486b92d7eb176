/**
 * Checks a request before its target is read: the method, the Host header, signs of a browser, a body, the secret prefix. It keeps web
 * pages out, which can make a browser send requests to any address of the machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { readResolvConf } from '../../delivery/http/name-files.js';
import { authority, isWildcard } from '../options.js';
import type { ListenAddress } from '../options.js';
import type { AnswerName } from './answers.js';

/** Signs of a browser, beside `Sec-Fetch-*`, which browsers send to loopback and over https only. Cosmos and health probes send none. */
const BROWSER_HEADERS: ReadonlySet<string> = new Set(['origin', 'referer', 'accept-language']);

/**
 * The signs of `fetch` in Node: `Accept-Language: *`, and of `Sec-Fetch-*` the mode `cors` alone. No browser sends these two without
 * others: with a mode, it sends `Sec-Fetch-Site` and `Sec-Fetch-Dest`, and with the mode `cors` to another origin, `Origin`. A page can
 * write `Accept-Language: *`, but no header `Sec-*` (Fetch, 2.2.2).
 */
const NODE_FETCH_SIGNS: ReadonlySet<string> = new Set(['accept-language: *', 'sec-fetch-mode: cors']);

/** The paths that are asked for by machines other than clients. */
export type OperationsPath = '/healthz' | '/readyz' | '/metrics' | '/statusz';

/** What a guard asks of the target, if it needs to know. */
export interface TargetFacts {
  /** The path, if it is one for operators. */
  operationsPath(): OperationsPath | undefined;
  /** Whether it takes batches, by POST with a body. */
  takesBatches(): boolean;
}

/**
 * Why a request is refused before its target is read; undefined if it is not. Never throws.
 *
 * @param target Load balancers ask for `/healthz` and `/readyz` with HEAD, and in HTTP/1.0 without a Host; a HEAD for `/metrics` or
 *   `/statusz` asks if they are there.
 */
export function guard(request: IncomingMessage, hosts: AllowedHosts, target: TargetFacts): AnswerName | undefined {
  const { method, httpVersion, rawHeaders, socket } = request;
  let host: string | undefined;
  let refusal = methodRefusal(method, target);
  const mayHaveBody = method === 'POST' && refusal === undefined;
  const signs = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    if (name === 'host') {
      if (host !== undefined) return 'malformed';
      host = value;
    } else if (BROWSER_HEADERS.has(name) || name.startsWith('sec-fetch-')) signs.add(`${name}: ${value}`);
    else if (name === 'transfer-encoding' || (name === 'content-length' && !/^0+$/.test(value))) {
      if (!mayHaveBody) refusal ??= 'has_body';
    }
  }
  if (signs.size > 0 && !isNodeFetch(signs)) refusal = 'from_browser';
  // Every browser sends a Host, so a request without one comes from none.
  if (host === undefined && httpVersion === '1.0' && isProbe(target.operationsPath())) return refusal;
  // HTTP/1.1 requires a Host (RFC 9112, 3.2).
  if (host === undefined && httpVersion !== '1.0') return 'malformed';
  return host === undefined || !hosts.accepts(host, socket) ? 'foreign_host' : refusal;
}

function methodRefusal(method: string | undefined, target: TargetFacts): AnswerName | undefined {
  if (method === 'GET' || (method === 'HEAD' && target.operationsPath() !== undefined)) return undefined;
  if (!target.takesBatches()) return 'not_get';
  return method === 'POST' ? undefined : 'not_post';
}

function isNodeFetch(signs: ReadonlySet<string>): boolean {
  return signs.size === NODE_FETCH_SIGNS.size && [...signs].every((sign) => NODE_FETCH_SIGNS.has(sign));
}

function isProbe(path: OperationsPath | undefined): boolean {
  return path === '/healthz' || path === '/readyz';
}

/** The loopback addresses of IPv6, in the spellings that clients use: `::1`, and those that hold an address of 127.0.0.0/8. */
const LOOPBACK_V6 = /^(?:(?:::|(?:0:){7})1|::ffff:(?:127\.[\d.]+|7f[\da-f]{2}:[\da-f]{1,4}))$/;
const MAPPED_IPV4 = /^::ffff:(?=\d+\.)/;

/**
 * The names by which a client may address the server. A browser's request to a loopback address carries the page's own name in its Host
 * header, so all other names are refused (DNS rebinding).
 */
export class AllowedHosts {
  readonly #extra: ReadonlySet<string>;
  #address: ListenAddress;

  /** @param extra More names. One without a port is accepted with any port. */
  constructor(address: ListenAddress, extra: readonly string[]) {
    this.#address = address;
    this.#extra = new Set(extra.map((each) => joinHost(splitHost(each))));
  }

  /** Sets the address at which the server really listens, once that is known. */
  listeningAt(address: ListenAddress): void {
    this.#address = address;
  }

  /** @param local The local end of the connection. */
  accepts(host: string, { localAddress, localPort = 0 }: { localAddress?: string | undefined; localPort?: number | undefined }): boolean {
    const { name, port } = splitHost(host);
    if (this.#extra.has(name) || this.#extra.has(joinHost({ name, port }))) return true;
    // With any port: `kubectl port-forward`, `docker -p` and `ssh -L` lead from another port to ours. No page has such a name from a server
    // that is not on this machine.
    if (isLoopbackName(name)) return true;
    if (Number(port === '' ? 80 : port) !== localPort) return false;
    // A server on every interface accepts the address that the client connected to, as a probe of Kubernetes does.
    const own = isWildcard(this.#address) ? (localAddress ?? '').replace(MAPPED_IPV4, '') : this.#address.host;
    return own !== '' && name === withoutPort(own);
  }
}

/** Whether a host is this machine, whatever a name server says: `localhost`, 127.0.0.0/8, or an IPv6 address of loopback in brackets. */
function isLoopbackName(name: string): boolean {
  if (name === 'localhost' || (isIP(name) === 4 && name.startsWith('127.'))) return true;
  const address = /^\[(.+)\]$/.exec(name)?.[1] ?? '';
  return isIP(address) === 6 && LOOPBACK_V6.test(address);
}

/** The parts of a Host header, in lower case. The port is empty if there is none. */
function splitHost(host: string): { name: string; port: string } {
  // Not taken apart as an array: `return` on a polluted `Object.prototype` would throw.
  const match = /^(.*?)(?::(\d*))?$/.exec(host.toLowerCase());
  return { name: withoutFinalDot(match?.[1] ?? ''), port: match?.[2] ?? '' };
}

function joinHost({ name, port }: { name: string; port: string }): string {
  return port === '' ? name : `${name}:${port}`;
}

/**
 * A final dot makes a name complete: `localhost.` is `localhost`, and `relay.data.svc.` is `relay.data.svc`. Not so for a short name, which
 * the search list completes: `relay.` is another name than `relay`.
 */
function withoutFinalDot(name: string): string {
  const bare = name.replace(/\.$/, '');
  return bare === 'localhost' || bare.includes('.') ? bare : name;
}

/** Where the system's search list is. */
const RESOLV_CONF = '/etc/resolv.conf';

/** An entry of the search list that Kubernetes writes: namespace, `svc`, the domain of the cluster. */
const CLUSTER_SUFFIX = /^([a-z\d-]+)\.svc\.([a-z\d.-]+)$/;

/**
 * The full names of services by their short names, in a pod of Kubernetes: NAME.NS.svc and NAME.NS.svc.CLUSTER for each NS.svc.CLUSTER in
 * the search list. No other name is derived: NAME.NS may be a domain that a stranger registers.
 *
 * @param names Short names, each with or without a port; others are ignored.
 * @param readFile As `node:fs` does. A search list that cannot be read is an empty one.
 */
export function serviceNames(names: readonly string[], readFile: (path: string) => string): string[] {
  const short = names.filter((name) => !/[.[]/.test(name));
  if (short.length === 0) return [];
  return searchList(readFile).flatMap((entry) => {
    const { 1: namespace, 2: cluster } = CLUSTER_SUFFIX.exec(entry) ?? [];
    if (namespace === undefined || cluster === undefined) return [];
    return short.flatMap((each) => {
      const { 0: name = '', 1: port } = each.split(':');
      return [`${name}.${namespace}.svc`, `${name}.${namespace}.svc.${cluster}`].map((full) =>
        port === undefined ? full : `${full}:${port}`,
      );
    });
  });
}

/** The search list of the system; empty if it cannot be read. */
function searchList(readFile: (path: string) => string): string[] {
  try {
    return readResolvConf(readFile(RESOLV_CONF), {}).search;
  } catch {
    return [];
  }
}

function withoutPort(host: string): string {
  return authority({ host, port: 0 }).slice(0, -2);
}

/** The secret first segment of every path. It is compared in constant time and appears in no log. */
export class SecretPrefix {
  readonly #digest: Buffer | undefined;

  constructor(secret: string | undefined) {
    this.#digest = secret === undefined ? undefined : digest(secret);
  }

  /** @returns The target without the prefix; undefined if the prefix is missing or wrong. */
  strip(target: string): string | undefined {
    if (this.#digest === undefined) return target;
    const end = /[/?]/.exec(target.slice(1))?.index ?? target.length - 1;
    // `timingSafeEqual` needs two values of equal length, which digests are.
    const isRight = timingSafeEqual(digest(target.slice(1, end + 1)), this.#digest);
    const rest = target.slice(end + 1);
    return isRight && rest.startsWith('/') ? rest : undefined;
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
