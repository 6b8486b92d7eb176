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

/** Why a request is refused before its target is read; undefined if it is not. Pure, and never throws. */
export function guard({ method, rawHeaders, socket }: IncomingMessage, hosts: AllowedHosts): AnswerName | undefined {
  let host: string | undefined;
  let refusal: AnswerName | undefined = method === 'GET' ? undefined : 'not_get';
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
  if (host === undefined || !hosts.accepts(host, socket)) return 'foreign_host';
  return refusal;
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
    if (Number(port ?? 80) !== localPort) return false;
    const bare = bareHost(name);
    if (LOOPBACK_NAMES.includes(bare)) return name === withoutPort(bare);
    // A server on every interface accepts the address that the client connected to, as a probe of Kubernetes does.
    const own = isWildcard(this.#address) ? (localAddress ?? '').replace(MAPPED_IPV4, '') : this.#address.host;
    return own !== '' && name === withoutPort(own);
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
