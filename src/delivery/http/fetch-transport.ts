import { anObject, checkOptions, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../../base/check-options.js';
import type { Check } from '../../base/check-options.js';
import { systemClock } from '../../base/clock.js';
import type { Clock } from '../../base/clock.js';
import { DEFAULTS } from '../../base/constants.js';
import { Log } from '../../base/log.js';
import type { Logger } from '../../base/log.js';
import { isTooLong, parseEndpoint, requestUrl } from '../../wire/url.js';
import { startLimit } from '../pacing.js';
import type { SendOutcome, Transport, UsageEvent } from '../transport.js';
import { ABORTED, Attempt } from './attempt.js';
import type { AttemptSettings } from './attempt.js';
import type { HttpClient, HttpClientSettings } from './client.js';
import type { Lookup } from './name-lookup.js';
import { parseRedirectHost } from './responses.js';

/** Something that can be ended from outside. */
export interface Abortable {
  abort(): void;
}

/** How many signals are listened to though nothing goes on under them: twice what a drain has in use at a time. */
const MAX_IDLE_SIGNALS = 48;

/**
 * Ends many things by few signals: one listener a signal, however many share it. A listener each would cost time at each
 * send, and more than ten of them make Node warn of a leak. A signal that is idle keeps its listener for a while, since the next
 * thing under it mostly comes at once.
 */
export class AbortHub {
  readonly #bySignal = new Map<AbortSignal, Set<Abortable>>();

  readonly #onAbort = (event: Event): void => {
    this.#abort(this.#bySignal.get(event.target as AbortSignal));
  };

  /** From now on the signal ends the thing, until `leave`. */
  join(signal: AbortSignal, thing: Abortable): void {
    const things = this.#bySignal.get(signal);
    if (things !== undefined) {
      things.add(thing);
      return;
    }
    if (this.#bySignal.size >= MAX_IDLE_SIGNALS) this.#forgetAnIdleOne();
    this.#bySignal.set(signal, new Set([thing]));
    signal.addEventListener('abort', this.#onAbort);
  }

  /** Forgets a thing that has ended. */
  leave(signal: AbortSignal, thing: Abortable): void {
    this.#bySignal.get(signal)?.delete(thing);
  }

  /** Ends everything, whatever its signal says, and listens to none any more. */
  abortAll(): void {
    for (const [signal, things] of this.#bySignal) {
      this.#abort(things);
      this.#forget(signal);
    }
  }

  /** The oldest comes first, and whoever made it has mostly dropped it. */
  #forgetAnIdleOne(): void {
    for (const [signal, things] of this.#bySignal) if (things.size === 0) return this.#forget(signal);
  }

  #forget(signal: AbortSignal): void {
    this.#bySignal.delete(signal);
    signal.removeEventListener('abort', this.#onAbort);
  }

  #abort(things: Set<Abortable> | undefined): void {
    for (const thing of things ?? []) thing.abort();
  }
}

/** Options of `fetchTransport`. */
export interface FetchTransportOptions {
  /** Base that `/v3/{type}?{query}` is appended to: http or https, without credentials, query or fragment. */
  endpoint: string | URL;
  /** The longest that look-up, proxy, TCP and TLS may take together, in milliseconds. @default 400 */
  connectTimeoutMs?: number | undefined;
  /** The longest a whole attempt may take, in milliseconds: look-up, connect, redirects, headers and body. @default 1000 */
  attemptTimeoutMs?: number | undefined;
  /** Host names that redirects may lead to beside the endpoint's own origin, on the default port. @default none */
  allowedRedirectHosts?: readonly string[] | undefined;
  /**
   * URL of an http or https proxy (no SOCKS, PAC or NTLM), or `false` for none. Loopback is never proxied.
   * @default what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in lower case first
   */
  proxy?: string | false | undefined;
  /** The most connections to one host at a time. @default 24, what a drain uses */
  maxSockets?: number | undefined;
  /** Where the proxy variables are read, and the system's folder on Windows. @default process.env */
  env?: NodeJS.ProcessEnv | undefined;
  /** Told once of a proxy setting that cannot be used. @default nobody */
  logger?: Logger | undefined;
}

/** Checked options, with their defaults. */
export interface FetchTransportSettings {
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly allowedRedirectHosts: ReadonlySet<string>;
  readonly proxy: string | false | undefined;
  readonly maxSockets: number;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger | undefined;
}

/** What the transport and the composition root take for hosts that redirects may lead to. */
export const A_LIST_OF_HOSTS: Check = [
  'a list of host names without scheme, port or wildcard',
  (value) => Array.isArray(value) && value.every((host) => typeof host === 'string' && parseRedirectHost(host) !== undefined),
];

/** What the transport and the composition root take for a proxy. A URL that is none is the environment's kind of mistake: it warns. */
export const A_PROXY: Check = ['a URL or false', (value) => typeof value === 'string' || value === false];

const LIMIT = milliseconds(1, MAX_TIMER_MS);

/**
 * Checks the options of `fetchTransport`.
 *
 * @throws TypeError naming the option and its value, credentials redacted
 */
export function checkTransportOptions(options: FetchTransportOptions): FetchTransportSettings {
  checkOptions<FetchTransportOptions>('options of fetchTransport', options, {
    endpoint: ['a URL', (value) => typeof value === 'string' || value instanceof URL],
    connectTimeoutMs: LIMIT,
    attemptTimeoutMs: LIMIT,
    allowedRedirectHosts: A_LIST_OF_HOSTS,
    proxy: A_PROXY,
    maxSockets: integer(1, 1_000_000),
    env: anObject,
    logger: withMethods('debug', 'warn'),
  });
  const { connectTimeoutMs = DEFAULTS.connectTimeoutMs, attemptTimeoutMs = DEFAULTS.attemptTimeoutMs } = options;
  const { allowedRedirectHosts = [], maxSockets = DEFAULTS.drainConcurrency, env = process.env, proxy, logger } = options;
  return {
    endpoint: parseEndpoint(options.endpoint, '`endpoint`'),
    connectTimeoutMs,
    attemptTimeoutMs,
    allowedRedirectHosts: new Set(allowedRedirectHosts.map((host) => parseRedirectHost(host) ?? host)),
    proxy,
    maxSockets,
    env,
    logger,
  };
}

/** What tests and the composition root may replace. */
export interface FetchTransportParts {
  /** @default the machine's own */
  clock?: Clock;
  /** How host names become addresses. @default hosts file and DNS queries, never getaddrinfo */
  lookup?: Lookup;
  /** @default one around `logger` */
  log?: Log;
  /** What an attempt ends with that was aborted before anything of it was written, for certain. @default aborted */
  abortedUnwritten?: SendOutcome;
  /** Loads HTTP at the first send. */
  load?: (settings: HttpClientSettings) => Promise<HttpClient>;
}

const TOO_LARGE: SendOutcome = { kind: 'refused', reason: 'too_large' };
const INVALID: SendOutcome = { kind: 'refused', reason: 'invalid' };

/** node-fetch and Node's HTTP cost some 30 ms to load, and a host that opted out must not pay them. */
async function loadClient(settings: HttpClientSettings): Promise<HttpClient> {
  const { HttpClient: Client } = await import('./client.js');
  return Client.open(settings);
}

class FetchTransport implements Transport {
  readonly maxBatchSize = 1;
  readonly #endpoint: string;
  readonly #attempts: AttemptSettings;
  readonly #load: () => Promise<HttpClient>;
  readonly #hub = new AbortHub();
  #client: HttpClient | Promise<HttpClient> | undefined;
  #closed = false;

  constructor(options: FetchTransportOptions, parts: FetchTransportParts) {
    const settings = checkTransportOptions(options);
    const clock = parts.clock ?? systemClock;
    const log = parts.log ?? new Log(settings.logger, clock);
    const load = parts.load ?? loadClient;
    this.#endpoint = settings.endpoint;
    this.#load = async () => load({ ...settings, clock, log, startLimit, lookup: parts.lookup });
    this.#attempts = {
      attemptTimeoutMs: settings.attemptTimeoutMs,
      clock,
      endpointOrigin: new URL(settings.endpoint).origin,
      allowedRedirectHosts: settings.allowedRedirectHosts,
      abortedUnwritten: parts.abortedUnwritten ?? ABORTED,
      client: () => (this.#client ??= this.#open()),
    };
  }

  async send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    if (this.#closed || signal.aborted) return this.#attempts.abortedUnwritten;
    const [event] = events;
    if (event === undefined || events.length > this.maxBatchSize) return INVALID;
    let url: string;
    try {
      url = requestUrl(this.#endpoint, event.requestTarget());
    } catch {
      return INVALID;
    }
    if (isTooLong(url)) return TOO_LARGE;
    return new Promise((resolve) => {
      const attempt: Attempt = new Attempt(this.#attempts, (outcome) => {
        this.#hub.leave(signal, attempt);
        resolve(outcome);
      });
      this.#hub.join(signal, attempt);
      attempt.start(url);
    });
  }

  close(): void {
    this.#closed = true;
    this.#hub.abortAll();
    if (this.#client instanceof Promise) this.#client.then((client) => client.close()).catch(() => {});
    else this.#client?.close();
  }

  /** Loads once for all who ask meanwhile; a load that failed may be tried again by a later send. */
  async #open(): Promise<HttpClient> {
    try {
      const client = await this.#load();
      this.#client = client;
      return client;
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }
}

/**
 * Delivers each event as one GET over node-fetch and keep-alive connections, and says what became of it. Nothing is loaded or
 * opened before the first send, and no connection or timer of it holds the process.
 *
 * - Answers: 2xx is `sent`; 408, 425, 429, 500, 502, 503 and 504 are `retryable`, or `deferred` with a `Retry-After`; others `rejected`.
 * - `connect` (retryable) means that the request was not written for certain: no address, no connection, no TLS, no proxy.
 * - `timeout` and `network` (rejected) end unknown, and are not for repeating: the wire has no ids.
 *
 * @throws TypeError naming the option and its value, for an unknown option or a bad value
 */
export function fetchTransport(options: FetchTransportOptions): Transport {
  return fetchTransportWith(options);
}

/** As `fetchTransport`, with time, names and loading as parameters. @internal */
export function fetchTransportWith(options: FetchTransportOptions, parts: FetchTransportParts = {}): Transport {
  return new FetchTransport(options, parts);
}
