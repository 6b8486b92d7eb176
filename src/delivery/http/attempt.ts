import type { Clock } from '../../base/clock.js';
import { startLimit } from '../pacing.js';
import { CONNECT_REASON } from '../transport.js';
import type { SendOutcome } from '../transport.js';
import type { Answer, Exchange, HttpClient, Route } from './client.js';
import { isRedirect, MAX_REDIRECTS, nextHop, statusOutcome } from './responses.js';
import type { AnswerHeaders } from './responses.js';

/** So much of a body is read to keep its connection for the next event; a longer one costs less by a new connection. */
export const MAX_BODY_BYTES = 65_536;

/**
 * Reads a body and throws it away, undecoded: what an endpoint says beyond its status is not ours to know, and a small gzip
 * file may unpack to anything.
 *
 * @param body the body as it came over the wire
 * @param done hears once whether it ended, so that its connection can be used again; false when it broke off
 * or was cut at `MAX_BODY_BYTES`, and the connection is for the caller to destroy
 */
export function discardBody(body: NodeJS.ReadableStream | null, done: (isWhole: boolean) => void): void {
  if (body === null) return done(true);
  let bytes = 0;
  let isOver = false;
  const end = (isWhole: boolean): void => {
    if (isOver) return;
    isOver = true;
    done(isWhole);
  };
  body.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) end(false);
  });
  body.once('end', () => end(true));
  body.once('close', () => end(false));
}

export const ABORTED: SendOutcome = { kind: 'aborted' };
const CONNECT: SendOutcome = { kind: 'retryable', reason: CONNECT_REASON };
const NETWORK: SendOutcome = { kind: 'rejected', reason: 'network' };
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };
const PROXY_INVALID: SendOutcome = { kind: 'rejected', reason: 'proxy_invalid' };
const REDIRECT_REFUSED: SendOutcome = { kind: 'rejected', reason: 'redirect_refused' };

/** What the attempts of one transport share. */
export interface AttemptSettings {
  readonly attemptTimeoutMs: number;
  readonly clock: Clock;
  readonly endpointOrigin: string;
  readonly allowedRedirectHosts: ReadonlySet<string>;
  /** What an attempt ends with that was aborted before anything of it was written, for certain. */
  readonly abortedUnwritten: SendOutcome;
  /** The client, loaded at the first call. */
  readonly client: () => HttpClient | Promise<HttpClient>;
}

/** Where an attempt asks next. */
interface Hop {
  readonly route: Route | undefined;
  readonly url: string;
  readonly hops: number;
}

/**
 * One attempt to deliver one event, from the look-up to the end of the answer's body, inside one limit of time. What has been
 * learnt by its end decides the outcome: an answer, once there, stands whatever its body does; without one, all depends on
 * whether the request may have been written.
 */
export class Attempt {
  readonly #settings: AttemptSettings;
  readonly #end: (outcome: SendOutcome) => void;
  #stopLimit: (() => void) | undefined;
  #client: HttpClient | undefined;
  #exchange: Exchange | undefined;
  #answer: SendOutcome | undefined;
  #over = false;

  /**
   * @param settings what all attempts share
   * @param end called once with the outcome
   */
  constructor(settings: AttemptSettings, end: (outcome: SendOutcome) => void) {
    this.#settings = settings;
    this.#end = end;
  }

  /** Begins; `end` may be called before this returns. */
  start(url: string): void {
    const client = this.#settings.client();
    if (!(client instanceof Promise)) return this.#open(client, url);
    client.then((loaded) => this.#open(loaded, url)).catch(() => this.#failed());
  }

  /** Ends the attempt at once, for the caller's reasons. */
  abort(): void {
    this.#settle(this.#answer ?? (this.#isWritten ? ABORTED : this.#settings.abortedUnwritten));
  }

  #open(client: HttpClient, url: string): void {
    if (this.#over) return;
    this.#client = client;
    // From here on: loading HTTP, once a process, is our own time and says nothing about the network.
    const { attemptTimeoutMs, clock } = this.#settings;
    this.#stopLimit = startLimit(clock, attemptTimeoutMs, () => this.#timeUp());
    this.#ask(client, { route: client.home, url, hops: 0 });
  }

  #ask(client: HttpClient, hop: Hop): void {
    const { route, url } = hop;
    if (this.#over) return;
    if (route === undefined) return this.#settle(PROXY_INVALID);
    this.#exchange = client.begin(route, url, {
      answered: (answer) => this.#answered(client, hop, answer),
      failed: () => this.#failed(),
    });
  }

  #answered(client: HttpClient, { route, url, hops }: Hop, { status, headers, body }: Answer): void {
    const next = isRedirect(status) ? this.#next(headers, url, hops) : undefined;
    if (next === undefined) this.#answer = this.#judge(status, headers, route?.forwarded === true);
    discardBody(body, (isWhole) => {
      if (this.#over) return;
      if (isWhole) this.#exchange = undefined;
      if (next === undefined) return this.#settle(this.#answer ?? NETWORK);
      this.#drop();
      const follow = (to: Route | undefined): void => this.#ask(client, { route: to, url: next.href, hops: hops + 1 });
      client
        .route(next)
        .then(follow)
        .catch(() => this.#failed());
    });
  }

  /** Something broke off. */
  #failed(): void {
    const unwritten = this.#exchange !== undefined && this.#client?.mayBeWritten(this.#exchange) === false;
    this.#settle(this.#answer ?? (unwritten ? CONNECT : NETWORK));
  }

  #next(headers: AnswerHeaders, url: string, hops: number): URL | undefined {
    if (hops >= MAX_REDIRECTS) return undefined;
    return nextHop(headers.get('location'), url, this.#settings.endpointOrigin, this.#settings.allowedRedirectHosts);
  }

  #judge(status: number, headers: AnswerHeaders, forwarded: boolean): SendOutcome {
    if (isRedirect(status)) return REDIRECT_REFUSED;
    // Only a proxy says so, and it has passed nothing on.
    if (status === 407 && forwarded) return CONNECT;
    return statusOutcome(status, headers, this.#settings.clock);
  }

  #timeUp(): void {
    this.#settle(this.#answer ?? (this.#isWritten ? TIMEOUT : CONNECT));
  }

  /** Whether anybody may be reading it. */
  get #isWritten(): boolean {
    return this.#exchange !== undefined && this.#client?.mayBeWritten(this.#exchange) === true;
  }

  #settle(outcome: SendOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopLimit?.();
    this.#drop();
    this.#end(outcome);
  }

  /** Destroys what is unfinished. A finished exchange has been let go of, and its connection waits for the next one. */
  #drop(): void {
    if (this.#exchange !== undefined) this.#client?.abandon(this.#exchange);
    this.#exchange = undefined;
  }
}
