/** The default transport: each event is one GET over node-fetch. Importing this file loads nothing of HTTP. */
import { anObject, aUrl, checkOptions, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../../base/check-options.js';
import type { Check } from '../../base/check-options.js';
import { systemClock } from '../../base/clock.js';
import type { Clock } from '../../base/clock.js';
import { DEFAULTS } from '../../base/constants.js';
import { bare } from '../../base/foreign-values.js';
import { Log } from '../../base/log.js';
import type { Logger } from '../../base/log.js';
import type { Environment, UrlObject } from '../../base/platform-types.js';
import { trustedEnvironment } from '../../opt-out/variables.js';
import { isTooLong, parseEndpoint, requestUrl } from '../../wire/url.js';
import { late } from '../late.js';
import { startLimit } from '../pacing.js';
import { steering } from '../transport.js';
import type { SendOutcome, Steering, Transport, UsageEvent } from '../transport.js';
import { underWay } from '../under-way.js';
import { ABORTED, Attempt, NETWORK } from './attempt.js';
import type { TlsSettings } from './agents.js';
import type { AttemptSettings, ConnectLimit, FinalFailure, Post } from './attempt.js';
import type { Http } from './client.js';
import type { Lookup } from './name-lookup.js';
import { parseRedirectHost } from './responses.js';
import type { RouteSettings } from './routes.js';

/**
 * Options of `fetchTransport`.
 *
 * @example
 * const options: FetchTransportOptions = { endpoint: 'https://telemetry.acme.example', attemptTimeoutMs: 3000, proxy: false };
 */
export interface FetchTransportOptions {
  /**
   * The base that `/v3/{type}?{query}` is appended to: http or https, without credentials, query or fragment.
   * @example 'https://telemetry.example.org/acme'
   */
  endpoint: string | UrlObject;
  /**
   * The longest that each step of a connect may take, in milliseconds: look-up, TCP to one address, the answer of a proxy, TLS. Time in
   * which the host keeps the event loop busy does not count, here and below.
   * @default 5000
   */
  connectTimeoutMs?: number | undefined;
  /** The longest a whole attempt may take, in milliseconds: look-up, connect, redirects, headers and body. @default 10_000 */
  attemptTimeoutMs?: number | undefined;
  /**
   * Host names that redirects may lead to, beside the endpoint's own origin. They are contacted on the default port only.
   * @default none
   * @example ['eu.telemetry.example.org']
   */
  allowedRedirectHosts?: readonly string[] | undefined;
  /**
   * The URL of an http or https proxy (no SOCKS, PAC or NTLM), or `false` for no proxy. Loopback is never proxied.
   * @default the proxy in `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; each is read in lower case first
   * @example 'http://user:password@proxy.example.org:3128'
   */
  proxy?: string | false | undefined;
  /**
   * The most attempts at a time, so the most connections to one host. Transports of one process to one server, with equal timeouts and an
   * equal `maxSockets`, share their connections: together they have at most 256, or `maxSockets` if that is more.
   * @default 24, as many as a drain uses
   */
  maxSockets?: number | undefined;
  /** The environment: proxy variables, and the system folder on Windows. @default process.env */
  env?: Environment | undefined;
  /** Receives one warning if the proxy setting is invalid. @default no log */
  logger?: Logger | undefined;
}

/**
 * Delivers each event as one GET over node-fetch and keep-alive connections, and returns its outcome. It loads and opens nothing before
 * the first send. Its connections and timers do not hold the process.
 *
 * - Responses: 2xx is `sent`. 408, 425, 429, 500, 502, 503 and 504 are `retryable`, or `deferred` with a `Retry-After`. Others are
 *   `rejected`.
 * - `connect` (retryable): the request was certainly not written, because there was no address, connection, TLS or proxy.
 * - `timeout` and `network` (rejected): the server may have read the request. Do not retry these: events have no id on the wire, so a
 *   retry could be counted twice.
 *
 * @param options The endpoint is required; all else has a default.
 * @throws TypeError naming the option and its value, for an unknown option or a bad value
 * @example
 * const collector = await startCollector();
 * const transport = fetchTransport({ endpoint: collector.url });
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport });
 * telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
 * console.log((await telemetry.close({ deadlineMs: 5000 })).sent, collector.requests.length); // 2 2
 * await collector.close();
 */
export function fetchTransport(options: FetchTransportOptions): Transport {
  return fetchTransportWith(options);
}

/** What tests and the composition root may replace. @internal */
export interface FetchTransportParts {
  /** @default the machine's own */
  clock?: Clock;
  /** How host names become addresses. @default hosts file and DNS queries, never `getaddrinfo` */
  lookup?: Lookup | undefined;
  /** @default a log around `logger` */
  log?: Log;
  /** The outcome of an attempt that is aborted when it is certain that no byte of its request was written. @default aborted */
  abortedUnwritten?: SendOutcome;
  /** The outcome of an attempt whose answer is no HTTP, and does not begin with a status line of 2xx. @default network */
  unreadableAnswer?: FinalFailure | undefined;
  /** Certificates of the endpoint. */
  tls?: TlsSettings | undefined;
  /** Loads HTTP at the first send. */
  load?: ((settings: RouteSettings) => Promise<Http>) | undefined;
}

/** As `fetchTransport`, with time, names and loading as parameters. @internal */
export function fetchTransportWith(options: FetchTransportOptions, parts: FetchTransportParts = {}): Transport {
  return new FetchTransport(options, parts);
}

/** Checked options, with their defaults. */
interface FetchTransportSettings {
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly allowedRedirectHosts: ReadonlySet<string>;
  readonly proxy: string | false | undefined;
  readonly maxSockets: number;
  readonly env: Environment;
  readonly logger: Logger | undefined;
}

/** The check of `allowedRedirectHosts`. */
export const A_LIST_OF_HOSTS: Check = [
  'a list of host names without scheme, port or wildcard',
  (value) => Array.isArray(value) && value.every((host) => typeof host === 'string' && parseRedirectHost(host) !== undefined),
];

/** The check of `proxy`. Any string passes: a URL that cannot be used is a mistake of the environment, so it warns and does not throw. */
export const A_PROXY: Check = ['a URL or false', (value) => typeof value === 'string' || value === false];

const A_TIMEOUT = milliseconds(1, MAX_TIMER_MS);

/**
 * Checks the options of `fetchTransport`.
 *
 * @throws TypeError naming the option and its value, credentials redacted
 */
export function checkTransportOptions(options: FetchTransportOptions): FetchTransportSettings {
  const checked = checkOptions<FetchTransportOptions>('options of fetchTransport', options, {
    endpoint: aUrl,
    connectTimeoutMs: A_TIMEOUT,
    attemptTimeoutMs: A_TIMEOUT,
    allowedRedirectHosts: A_LIST_OF_HOSTS,
    proxy: A_PROXY,
    maxSockets: integer(1, 1_000_000),
    env: anObject,
    logger: withMethods('debug', 'warn'),
  });
  const { connectTimeoutMs = DEFAULTS.connectTimeoutMs, attemptTimeoutMs = DEFAULTS.attemptTimeoutMs } = checked;
  const { allowedRedirectHosts = [], maxSockets = DEFAULTS.drainConcurrency, env = process.env, proxy, logger } = checked;
  return {
    endpoint: parseEndpoint(checked.endpoint, '`endpoint`'),
    connectTimeoutMs,
    attemptTimeoutMs,
    allowedRedirectHosts: new Set(allowedRedirectHosts.map((host) => parseRedirectHost(host) ?? host)),
    proxy,
    maxSockets,
    env: trustedEnvironment(env),
    logger,
  };
}

const TOO_LARGE: SendOutcome = { kind: 'refused', reason: 'too_large' };
const INVALID: SendOutcome = { kind: 'refused', reason: 'invalid' };

/**
 * The asynchronous context in which this package was loaded. The context of an event may be that of a request which the host serves, and
 * an APM agent would take our connections for a part of that request: New Relic patches `createConnection` of the class of agents.
 */
const loadContext = new (process.getBuiltinModule('node:async_hooks').AsyncResource)('cosmos-telemetry');

/** node-fetch and Node's HTTP take about 30 ms to load. A host that opted out must not pay for that. @internal */
export const loadClient = late('httpClient', () => import('./client.js'));

/**
 * Handed to what `client.ts` loads: a chunk that imported `late.ts` would share it, and each host would load two files at its start.
 * @internal
 */
export const loadTunnelAgent = late('tunnelAgent', () => import('./tunnel-agent.js'));

const loadHttp = async (settings: RouteSettings): Promise<Http> => (await loadClient()).openHttp(settings);

/** The attempts of one transport, over connections and routes that it opens at the first one. @internal */
export class FetchTransport implements Transport {
  readonly maxBatchSize = 1;
  readonly #endpoint: string;
  readonly #attempts: AttemptSettings;
  readonly #load: () => Promise<Http>;
  readonly #abortListeners = new SharedAbortListeners();
  #http: Http | Promise<Http> | undefined;
  #connectLimit: ConnectLimit | undefined;
  #isClosed = false;

  readonly [steering]: Steering = {
    limitConnects: (limitMs, isFirm) => {
      this.#connectLimit = limitMs === undefined ? undefined : { limitMs, isFirm };
    },
    letGo: () => this.#abortListeners.letGo(),
  };

  constructor(options: FetchTransportOptions, replaced: FetchTransportParts) {
    const parts = bare(replaced);
    const settings = checkTransportOptions(options);
    const clock = parts.clock ?? systemClock;
    const log = parts.log ?? new Log(settings.logger, clock);
    const load = parts.load ?? loadHttp;
    this.#endpoint = settings.endpoint;
    const { lookup, tls } = parts;
    const isShared = clock === systemClock && lookup === undefined && tls === undefined;
    this.#load = async () => load({ ...settings, clock, log, startLimit, underWay, lookup, tls, isShared, loadTunnelAgent });
    this.#attempts = {
      connectLimit: () => this.#connectLimit,
      attemptTimeoutMs: settings.attemptTimeoutMs,
      clock,
      endpointOrigin: new URL(settings.endpoint).origin,
      allowedRedirectHosts: settings.allowedRedirectHosts,
      abortedUnwritten: parts.abortedUnwritten ?? ABORTED,
      unreadableAnswer: parts.unreadableAnswer ?? NETWORK,
      http: () => (this.#http ??= this.#open()),
    };
  }

  async send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    if (this.#isClosed || signal.aborted) return this.#attempts.abortedUnwritten;
    const event = events.at(0);
    if (event === undefined || events.length > this.maxBatchSize) return INVALID;
    let url: string;
    try {
      url = requestUrl(this.#endpoint, event.requestTarget());
    } catch {
      return INVALID;
    }
    return isTooLong(url) ? TOO_LARGE : this.attempt(url, signal);
  }

  /** Makes one attempt to send a GET, or a POST. */
  attempt(url: string, signal: AbortSignal, post?: Post): Promise<SendOutcome> {
    if (this.#isClosed || signal.aborted) return Promise.resolve(this.#attempts.abortedUnwritten);
    return new Promise((resolve) => {
      const attempt: Attempt = new Attempt(this.#attempts, (outcome) => {
        this.#abortListeners.remove(signal, attempt);
        resolve(outcome);
      });
      this.#abortListeners.add(signal, attempt);
      loadContext.runInAsyncScope(() => attempt.start(url, post));
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#abortListeners.abortAll();
    if (this.#http instanceof Promise) this.#http.then(({ routes }) => routes.close()).catch(() => {});
    else this.#http?.routes.close();
  }

  /** Loads HTTP once for all sends that wait for it. After a failure, a later send loads it again. */
  async #open(): Promise<Http> {
    try {
      const http = await this.#load();
      this.#http = http;
      return http;
    } catch (error) {
      this.#http = undefined;
      throw error;
    }
  }
}

/** How many signals keep their listener while no attempt uses them: twice as many as a drain uses at a time. */
const MAX_IDLE_SIGNALS = 48;

/**
 * Aborts many attempts through one listener a signal. A listener for each attempt would cost time at each send, and Node warns of a
 * leak from the eleventh listener on. An idle signal keeps its listener, since the next attempt usually follows at once.
 */
class SharedAbortListeners {
  readonly #bySignal = new Map<AbortSignal, Set<Attempt>>();

  readonly #onAbort = (event: Event): void => {
    this.#abort(this.#bySignal.get(event.target as AbortSignal));
  };

  /** From now on the signal aborts the attempt, until `remove`. */
  add(signal: AbortSignal, attempt: Attempt): void {
    const attempts = this.#bySignal.get(signal);
    if (attempts !== undefined) {
      attempts.add(attempt);
      return;
    }
    if (this.#bySignal.size >= MAX_IDLE_SIGNALS) this.#forgetOldestIdle();
    this.#bySignal.set(signal, new Set([attempt]));
    signal.addEventListener('abort', this.#onAbort);
  }

  remove(signal: AbortSignal, attempt: Attempt): void {
    this.#bySignal.get(signal)?.delete(attempt);
  }

  /** Ends every attempt that has written nothing. */
  letGo(): void {
    for (const attempts of this.#bySignal.values()) for (const attempt of attempts) attempt.letGo();
  }

  /** Aborts every attempt and removes every listener. */
  abortAll(): void {
    for (const signal of this.#bySignal.keys()) {
      this.#abort(this.#bySignal.get(signal));
      this.#forget(signal);
    }
  }

  #forgetOldestIdle(): void {
    const idle = [...this.#bySignal].find(({ 1: attempts }) => attempts.size === 0);
    if (idle !== undefined) this.#forget(idle[0]);
  }

  #forget(signal: AbortSignal): void {
    this.#bySignal.delete(signal);
    signal.removeEventListener('abort', this.#onAbort);
  }

  #abort(attempts: Set<Attempt> | undefined): void {
    for (const attempt of attempts ?? []) attempt.abort();
  }
}
