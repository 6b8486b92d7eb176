/**
 * Checks a request before its target is read: the method, the Host header, signs of a browser, a body, the secret prefix. It keeps web
 * pages out, which can make a browser send requests to any address of the machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { bareHost } from '../../wire/host.js';
import { authority, isWildcard } from '../options.js';
import type { ListenAddress } from '../options.js';
import type { AnswerName } from './answers.js';

/**
 * Signs of a browser, beside `Sec-Fetch-*`, which browsers send to loopback and over https only. A request for an image has no `Origin`,
 * but no page can keep its browser from sending `Accept-Language`. Cosmos and health probes send none of these.
 */
const BROWSER_HEADERS: ReadonlySet<string> = new Set(['origin', 'referer', 'accept-language']);

/**
 * Why a request is refused before its target is read; undefined if it is not. Never throws.
 *
 * @param isProbe Whether the target is `/healthz` or `/readyz`. Load balancers ask for these with HEAD, and in HTTP/1.0 without a Host.
 */
export function guard(request: IncomingMessage, hosts: AllowedHosts, isProbe: () => boolean): AnswerName | undefined {
  const { method, httpVersion, rawHeaders, socket } = request;
  let host: string | undefined;
  let refusal: AnswerName | undefined = method === 'GET' || (method === 'HEAD' && isProbe()) ? undefined : 'not_get';
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    if (name === 'host') {
      if (host !== undefined) return 'malformed';
      host = value;
    } else if (BROWSER_HEADERS.has(name) || name.startsWith('sec-fetch-')) refusal = 'from_browser';
    else if (name === 'upgrade') refusal ??= 'no_upgrade';
    else if (name === 'transfer-encoding' || (name === 'content-length' && !/^0+$/.test(value))) refusal ??= 'has_body';
  }
  // Every browser sends a Host, so a request without one comes from none.
  if (host === undefined && httpVersion === '1.0' && isProbe()) return refusal;
  // HTTP/1.1 requires a Host (RFC 9112, 3.2).
  if (host === undefined && httpVersion !== '1.0') return 'malformed';
  return host === undefined || !hosts.accepts(host, socket) ? 'foreign_host' : refusal;
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'];
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
    this.#extra = new Set(extra.map((name) => name.toLowerCase()));
  }

  /** Sets the address at which the server really listens, once that is known. */
  listeningAt(address: ListenAddress): void {
    this.#address = address;
  }

  /** @param local The local end of the connection. */
  accepts(host: string, { localAddress, localPort = 0 }: { localAddress?: string | undefined; localPort?: number | undefined }): boolean {
    const given = host.toLowerCase();
    if (this.#extra.has(given)) return true;
    const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(given) ?? [];
    if (this.#extra.has(name)) return true;
    const bare = bareHost(name);
    // With any port: `kubectl port-forward`, `docker -p` and `ssh -L` lead from another port to ours. No page has such a name from a server
    // that is not on this machine.
    if (LOOPBACK_NAMES.includes(bare)) return name === withoutPort(bare);
    if (Number(port ?? 80) !== localPort) return false;
    // A server on every interface accepts the address that the client connected to, as a probe of Kubernetes does.
    const own = isWildcard(this.#address) ? (localAddress ?? '').replace(MAPPED_IPV4, '') : this.#address.host;
    return own !== '' && name === withoutPort(own);
  }
}

/** Where the system's search list is. */
const RESOLV_CONF = '/etc/resolv.conf';

/** An entry of the search list that Kubernetes writes: namespace, `svc`, the domain of the cluster. */
const CLUSTER_SUFFIX = /^([a-z\d-]+)\.svc\.([a-z\d.-]+?)\.?$/;

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
    const [, namespace, cluster] = CLUSTER_SUFFIX.exec(entry) ?? [];
    if (namespace === undefined || cluster === undefined) return [];
    return short.flatMap((each) => {
      const [name = '', port] = each.split(':');
      return [`${name}.${namespace}.svc`, `${name}.${namespace}.svc.${cluster}`].map((full) =>
        port === undefined ? full : `${full}:${port}`,
      );
    });
  });
}

/** The search list of the system. Of several `search` or `domain` lines the last one counts. */
function searchList(readFile: (path: string) => string): string[] {
  let text: string;
  try {
    text = readFile(RESOLV_CONF);
  } catch {
    return [];
  }
  const [, entries = ''] = [...text.toLowerCase().matchAll(/^(?:search|domain)[ \t]+(.*)$/gm)].at(-1) ?? [];
  return entries.split(/\s+/).filter((entry) => entry !== '');
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
