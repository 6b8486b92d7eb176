/** One attempt to deliver one event: redirects, the time limit, and the outcome. */
import type { Agent } from 'node:http';
import { systemClock } from '../../base/clock.js';
import type { Clock } from '../../base/clock.js';
import { LOAD_REASON, loadWaitMs } from '../late.js';
import { startLimit } from '../pacing.js';
import { BUSY_REASON, CONNECT_REASON } from '../transport.js';
import type { SendOutcome } from '../transport.js';
import type { Exchange, Http, HttpRequest, HttpResponse } from './client.js';
import type { Turns } from './pool.js';
import type { ResponseHeaders } from './responses.js';
import { isRedirect, MAX_REDIRECTS, nextHop, statusOutcome } from './responses.js';

/** An outcome that is counted as failed. */
export type FinalFailure = Extract<SendOutcome, { kind: 'rejected' }>;

export const ABORTED: SendOutcome = { kind: 'aborted' };

/**
 * How long an attempt waits for its turn: less than a transport may take beyond the timeout of its attempt before the dispatcher ends it.
 * Then its event goes back to its place, and waits there.
 */
const MAX_TURN_WAIT_MS = 500;
const BUSY: SendOutcome = { kind: 'deferred', waitMs: 50, reason: BUSY_REASON };

const CONNECT = { kind: 'retryable', reason: CONNECT_REASON } as const;
const SLOW: SendOutcome = { ...CONNECT, cause: 'slow' };
const PROXY_AUTH: SendOutcome = { ...CONNECT, cause: 'proxy_auth' };
export const NETWORK: FinalFailure = { kind: 'rejected', reason: 'network' };
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };
const PROXY_INVALID: SendOutcome = { kind: 'rejected', reason: 'proxy_invalid' };
const REDIRECT_REFUSED: SendOutcome = { kind: 'rejected', reason: 'redirect_refused' };

/** The headers of every request, beside the `accept` of node-fetch: nothing that distinguishes one sender from another. */
const HEADERS = { 'user-agent': 'cosmos-telemetry' };

/** The most bytes of a body that are read to keep its connection. A longer body costs more than a new connection. */
const MAX_BODY_BYTES = 65_536;

/** What a POST sends, and what its answer means. */
export interface Post {
  readonly body: Uint8Array;
  /** Headers of the body. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers that only the endpoint's own origin gets: they may hold a password. */
  readonly ownHeaders: Readonly<Record<string, string>>;
  /** How much of the answer is read, if that is more than {@link MAX_BODY_BYTES}. */
  readonly maxAnswerBytes: number;
  /** @param body Undefined before its end, and if it is longer. */
  judge(outcome: SendOutcome, status: number, headers: ResponseHeaders, body: readonly Uint8Array[] | undefined): SendOutcome;
}

/** What all attempts of one transport share. */
export interface AttemptSettings {
  readonly attemptTimeoutMs: number;
  readonly clock: Clock;
  readonly endpointOrigin: string;
  readonly allowedRedirectHosts: ReadonlySet<string>;
  /** The outcome of an attempt that is aborted when it is certain that no byte of its request was written. */
  readonly abortedUnwritten: SendOutcome;
  /** How long the connect may take while the network is in doubt; undefined for no limit of its own. */
  readonly connectLimit: () => ConnectLimit | undefined;
  /** The outcome of an attempt whose answer is no HTTP. */
  readonly unreadableAnswer: FinalFailure;
  /** Returns HTTP; the first call loads it. */
  readonly http: () => Http | Promise<Http>;
}

/** A bound of the whole connect: look-up, proxy, TCP and TLS. */
export interface ConnectLimit {
  readonly limitMs: number;
  /** If false, a connect may take four times as long as the slowest one that succeeded. */
  readonly isFirm: boolean;
}

/** A connect that takes longer than this many times the slowest one that succeeded does not succeed. */
const SLOWEST_TIMES = 4;

/**
 * One attempt, from the look-up to the end of the response body, inside one time limit. A status decides the outcome, whatever happens
 * to the body. Without a status, the outcome depends on whether the request may have been written.
 */
export class Attempt {
  readonly #settings: AttemptSettings;
  readonly #end: (outcome: SendOutcome) => void;
  #stopLimit: (() => void) | undefined;
  #stopConnectLimit: (() => void) | undefined;
  #turns: Turns | undefined;
  #endTurn: (() => void) | undefined;
  #isWaiting = false;
  #exchange: Exchange | undefined;
  #answer: SendOutcome | undefined;
  #isOver = false;
  #post: Post | undefined;

  /**
   * @param settings what all attempts share
   * @param end called once with the outcome
   */
  constructor(settings: AttemptSettings, end: (outcome: SendOutcome) => void) {
    this.#settings = settings;
    this.#end = end;
  }

  /** Starts the attempt. `end` may be called before this returns. */
  start(url: string, post?: Post): void {
    this.#post = post;
    const http = this.#settings.http();
    if (http instanceof Promise) {
      http.then((loaded) => this.#waitForTurn(loaded, url)).catch((error: unknown) => this.#fail(error));
    } else this.#waitForTurn(http, url);
  }

  /** Ends the attempt at once. One that waits for its turn was not tried, so its event may go back to its place. */
  abort(): void {
    if (this.#isWaiting) this.#settle(BUSY);
    else this.#settle(this.#answer ?? (this.#mayBeWritten ? ABORTED : this.#settings.abortedUnwritten));
  }

  /** Once HTTP is loaded, and if there is room, the request starts before this returns. */
  #waitForTurn(http: Http, url: string): void {
    if (this.#isOver) return;
    this.#turns = http.routes.pool.turns;
    this.#isWaiting = true;
    this.#endTurn = this.#turns.take(() => {
      this.#isWaiting = false;
      this.#stopLimit?.();
      this.#run(http, url).catch((error: unknown) => this.#fail(error));
    });
    if (this.#isOver) this.#endTurn();
    else if (this.#isWaiting) this.#stopLimit = startLimit(this.#settings.clock, MAX_TURN_WAIT_MS, () => this.#settle(BUSY));
  }

  async #run(http: Http, firstUrl: string): Promise<void> {
    const { attemptTimeoutMs, clock } = this.#settings;
    // The limit starts here: neither loading HTTP nor the wait for a turn says anything about the network.
    this.#stopLimit = startLimit(clock, attemptTimeoutMs, () => this.#timeOut());
    this.#limitConnect(http);
    let url = firstUrl;
    let route = http.routes.home;
    for (let hops = 0; !this.#isOver; hops += 1) {
      if (route === undefined) return this.#settle(PROXY_INVALID);
      if (http.client.wouldThrow(url)) return this.#settle(CONNECT);
      // A connection that waits may have been closed by the server while the host was busy: the loop looks at the network first.
      if (hasFree(route.agent)) await nextPoll();
      if (this.#isOver) return;
      const { headers, body } = this.#request(url);
      const maxBodyBytes = Math.max(MAX_BODY_BYTES, this.#post?.maxAnswerBytes ?? 0);
      this.#exchange = http.client.begin({ url, headers, agent: route.agent, maxBodyBytes, body });
      const response = await this.#exchange.response;
      const next = this.#redirectTarget(response, url, hops);
      if (next === undefined) this.#answer = this.#judge(response, route.isForwarded);
      const isWhole = await response.bodyEnd;
      if (this.#isOver) return;
      if (next === undefined && isWhole && body !== undefined) this.#answer = this.#judge(response, route.isForwarded, response.body);
      // A whole exchange is not destroyed: its connection waits for the next request.
      if (isWhole) this.#exchange = undefined;
      if (next === undefined) return this.#settle(this.#answer ?? NETWORK);
      this.#abandon();
      url = next.href;
      route = await http.routes.to(next);
    }
  }

  /** What is written to a URL. */
  #request(url: string): Pick<HttpRequest, 'headers' | 'body'> {
    const post = this.#post;
    // Each is an own property: a polluted `Object.prototype` must not give a GET a body.
    if (post === undefined) return { headers: HEADERS, body: undefined };
    const isOwn = new URL(url).origin === this.#settings.endpointOrigin;
    return { headers: { ...HEADERS, ...post.headers, ...(isOwn && post.ownHeaders) }, body: post.body };
  }

  /** Where a redirect leads; undefined if the response is no redirect, or one that is not followed. */
  #redirectTarget({ status, headers }: HttpResponse, url: string, hops: number): URL | undefined {
    if (!isRedirect(status) || hops >= MAX_REDIRECTS) return undefined;
    // The others turn a POST into a GET (RFC 9110, 15.4).
    if (this.#post !== undefined && status !== 307 && status !== 308) return undefined;
    return nextHop(headers.get('location'), url, this.#settings.endpointOrigin, this.#settings.allowedRedirectHosts);
  }

  #judge({ status, headers }: HttpResponse, isForwarded: boolean, body?: readonly Uint8Array[]): SendOutcome {
    if (isRedirect(status)) return REDIRECT_REFUSED;
    // Only a proxy answers 407, and then it has not forwarded the request.
    if (status === 407 && isForwarded) return PROXY_AUTH;
    const outcome = statusOutcome(status, headers, this.#settings.clock);
    return this.#post === undefined ? outcome : this.#post.judge(outcome, status, headers, body);
  }

  #fail(error: unknown): void {
    const waitMs = loadWaitMs(error);
    // No request was made, or only one whose answer leads elsewhere.
    if (waitMs !== undefined) return this.#settle({ kind: 'deferred', waitMs, reason: LOAD_REASON });
    this.#exchange?.broke(true);
    this.#settle(this.#answer ?? this.#failure());
  }

  #failure(): SendOutcome {
    const cause = this.#exchange?.cause;
    const written = this.#exchange?.isUnreadable === true ? this.#settings.unreadableAnswer : NETWORK;
    const failure = this.#exchange?.mayBeWritten === false ? CONNECT : written;
    return cause === undefined ? failure : { ...failure, cause };
  }

  #limitConnect({ routes }: Http): void {
    const { clock, connectLimit } = this.#settings;
    const limit = connectLimit();
    if (limit === undefined) return;
    const limitMs = limit.isFirm ? limit.limitMs : Math.max(limit.limitMs, SLOWEST_TIMES * routes.pool.connections.slowestConnectMs);
    this.#stopConnectLimit = startLimit(clock, limitMs, () => {
      if (!this.#mayBeWritten && this.#answer === undefined) this.#settle(SLOW);
    });
  }

  /** Ends the attempt if it is certain that no byte of its request was written. */
  letGo(): void {
    if (!this.#mayBeWritten && this.#answer === undefined) this.#settle(this.#isWaiting ? BUSY : this.#settings.abortedUnwritten);
  }

  #timeOut(): void {
    if (this.#answer === undefined) this.#exchange?.broke(false);
    this.#settle(this.#answer ?? (this.#mayBeWritten ? TIMEOUT : SLOW));
  }

  get #mayBeWritten(): boolean {
    return this.#exchange?.mayBeWritten === true;
  }

  #settle(outcome: SendOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopLimit?.();
    this.#stopConnectLimit?.();
    this.#abandon();
    this.#endTurn?.();
    this.#end(outcome);
  }

  #abandon(): void {
    this.#exchange?.abort();
    this.#exchange = undefined;
  }
}

/** Whether a connection waits for its next request. */
function hasFree({ freeSockets }: Agent): boolean {
  for (const _name in freeSockets) return true;
  return false;
}

/**
 * Resolves when the loop has looked at every connection. The first turn may come from within such a look, which reads an answer
 * and leaves the end of the same connection for the next one.
 */
function nextPoll(): Promise<void> {
  return new Promise((resolve) => {
    systemClock.defer(() => systemClock.defer(resolve, true), true);
  });
}
