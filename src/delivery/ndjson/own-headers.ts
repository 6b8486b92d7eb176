/* The headers of one's own endpoint: they may hold a password, so nothing here shows a value. */
import type { Clock } from '../../base/clock.js';
import type { SendSignal } from '../../base/platform-types.js';
import { startLimit } from '../pacing.js';

/**
 * Headers, or a function that gives them.
 *
 * @example
 * const headers: HeadersOption = async () => ({ authorization: `Bearer ${await Promise.resolve('token')}` });
 */
export type HeadersOption =
  | Readonly<Record<string, string>>
  | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>);

/** A name and a value that HTTP allows (RFC 9110, 5.5), as Node checks them. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What the transport sets, or what says where the request ends. */
const OURS: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers as checked. Private, so that printing the transport does not show them. */
export class OwnHeaders {
  readonly #fixed: Readonly<Record<string, string>> | undefined;
  readonly #read: (() => unknown) | undefined;

  /** @throws TypeError that names the header, and never its value. */
  constructor(option: unknown) {
    if (typeof option === 'function') {
      this.#read = option as () => unknown;
      return;
    }
    const { headers, wrong } = checkFixed(option ?? {});
    if (wrong !== undefined) throw new TypeError(`Expected \`headers\` to be ${wrong}.`);
    this.#fixed = headers;
  }

  /** @returns Undefined if there are none in time, or none that HTTP allows. Never rejects. */
  async read(signal: SendSignal, limitMs: number, clock: Clock): Promise<Readonly<Record<string, string>> | undefined> {
    if (this.#read === undefined) return this.#fixed;
    let headers: Readonly<Record<string, string>> | undefined;
    const reading = (async (read: () => unknown) => {
      headers = checkHeaders(await read()).headers;
    })(this.#read).catch(() => undefined);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        stopLimit();
        signal.removeEventListener('abort', end);
        resolve();
      };
      // What gives them may wait for the network, too.
      const stopLimit = startLimit(clock, limitMs, end);
      signal.addEventListener('abort', end);
      void reading.then(end);
    });
    return headers;
  }
}

/** What a getter throws is not shown: it may hold a password. */
function checkFixed(value: unknown): ReturnType<typeof checkHeaders> {
  try {
    return checkHeaders(value);
  } catch {
    return { wrong: 'an object whose properties can be read' };
  }
}

/** A copy, with names in lower case: a header is there once. */
function checkHeaders(value: unknown): { headers?: Record<string, string>; wrong?: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { wrong: 'an object of texts, or a function that gives one' };
  const headers = Object.create(null) as Record<string, string>;
  for (const { 0: name, 1: text } of Object.entries(value)) {
    const key = name.toLowerCase();
    if (!NAME.test(name)) return { wrong: 'headers with names that HTTP allows' };
    if (OURS.has(key)) return { wrong: `headers without \`${key}\`, which the transport sets` };
    if (typeof text !== 'string' || !VALUE.test(text)) return { wrong: `headers of one line each, which \`${key}\` is not` };
    headers[key] = text;
  }
  return { headers };
}
