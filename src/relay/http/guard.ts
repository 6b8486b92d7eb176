import { createHash, timingSafeEqual } from 'node:crypto';
import { bareHost } from '../../wire/host.js';
import { authority, isWildcard } from '../options.js';
import type { ListenAddress } from '../options.js';
import type { AnswerName } from './answers.js';

/** What is looked at before the target. */
export interface RequestHead {
  readonly method: string | undefined;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** Where the connection came in. */
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'];
const MAPPED_IPV4 = /^::ffff:(?=\d+\.)/;

/**
 * The names under which a client may address the server. A page in a browser can be made to send requests to any address of the
 * machine, but the Host header then holds the page's own name: names that are not ours are turned away.
 */
export class AllowedHosts {
  readonly #listening: ListenAddress;
  readonly #named: ReadonlySet<string>;

  /** @param named More names; without a port each goes with any. */
  constructor(listening: ListenAddress, named: readonly string[]) {
    this.#listening = listening;
    this.#named = new Set(named.map((name) => name.toLowerCase()));
  }

  accepts(host: string, { localAddress, localPort = 0 }: Pick<RequestHead, 'localAddress' | 'localPort'>): boolean {
    const given = host.toLowerCase();
    if (this.#named.has(given)) return true;
    const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(given) ?? [];
    if (this.#named.has(name)) return true;
    if (Number(port ?? 80) !== localPort) return false;
    const bare = bareHost(name);
    if (LOOPBACK_NAMES.includes(bare)) return name === withoutPort(bare);
    // Who listens everywhere is addressed by whatever address the connection came to, as a probe of Kubernetes does.
    const own = isWildcard(this.#listening) ? (localAddress ?? '').replace(MAPPED_IPV4, '') : this.#listening.host;
    return own !== '' && name === withoutPort(own);
  }
}

function withoutPort(host: string): string {
  return authority({ host, port: 0 }).slice(0, -2);
}

/**
 * Beside `Sec-Fetch-*`, which browsers send to loopback and over https alone, and `Origin`, which an image does without: no page can
 * keep its browser from naming a language. Neither Cosmos nor a probe sends any of them.
 */
const FROM_BROWSER: ReadonlySet<string> = new Set(['origin', 'referer', 'accept-language']);

/** Says why a request is turned away before its target is looked at; undefined where it is not. Pure, and never throws. */
export function guard(head: RequestHead, hosts: AllowedHosts): AnswerName | undefined {
  let host: string | undefined;
  const { method, rawHeaders } = head;
  let refusal: AnswerName | undefined = method === 'GET' ? undefined : 'not_get';
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    if (name === 'host') {
      if (host !== undefined) return 'malformed';
      host = value;
    } else if (FROM_BROWSER.has(name) || name.startsWith('sec-fetch-')) refusal = 'from_browser';
    else if (name === 'upgrade') refusal ??= 'no_upgrade';
    else if (name === 'transfer-encoding' || (name === 'content-length' && !/^0+$/.test(value))) refusal ??= 'has_body';
  }
  if (host === undefined || !hosts.accepts(host, head)) return 'foreign_host';
  return refusal;
}

/** The path before all others that only those know who may send. Compared in constant time, and in no log. */
export class SecretPrefix {
  readonly #digest: Buffer | undefined;

  constructor(secret: string | undefined) {
    this.#digest = secret === undefined ? undefined : digest(secret);
  }

  /** @returns The target without the prefix; undefined where it does not stand there. */
  strip(target: string): string | undefined {
    if (this.#digest === undefined) return target;
    const end = /[/?]/.exec(target.slice(1))?.index ?? target.length - 1;
    // Digests are of one length whatever came, and equal where the texts are.
    const isRight = timingSafeEqual(digest(target.slice(1, end + 1)), this.#digest);
    const rest = target.slice(end + 1);
    return isRight && rest.startsWith('/') ? rest : undefined;
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
