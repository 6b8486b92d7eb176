import { Log } from '../log.js';
import { systemClock } from '../timing.js';
import type { Clock } from '../timing.js';
import { isTooLong, requestUrl } from '../wire/request-url.js';
import { AbortHub } from './http/abort-hub.js';
import { ABORTED, Attempt } from './http/attempt.js';
import type { AttemptSettings } from './http/attempt.js';
import type { HttpClient, HttpClientSettings } from './http/http-client.js';
import { startLimit } from './http/limit.js';
import type { Lookup } from './http/name-lookup.js';
import { checkTransportOptions } from './http/transport-options.js';
import type { FetchTransportOptions } from './http/transport-options.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

export type { FetchTransportOptions } from './http/transport-options.js';

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
  const { HttpClient: Client } = await import('./http/http-client.js');
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
