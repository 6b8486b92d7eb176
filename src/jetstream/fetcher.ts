/** Fetches events from the stream: one request for as many as there is room for, again and again. */
import { randomUUID } from 'node:crypto';
import type { Clock, Timer } from '../base/clock.js';
import type { NatsMessage } from './client.js';
import type { Link } from './connection.js';
import { nextSubject, readDelivery } from './stream.js';
import type { Delivery } from './stream.js';

/** How long the server keeps a request for events. */
const EXPIRES_MS = 30_000;

/** How often the server says that it has no event. */
const HEARTBEAT_MS = 5000;

/** Without a sign for so long, the request is lost: its consumer is gone (nats-server 2.9 does not say so), or the connection is dead. */
const SILENCE_MS = 12_000;

/** The wait after an answer that says neither that there are events nor that there are none now. */
const RETRY_MS = 500;

const NS_PER_MS = 1_000_000;

const HEARTBEAT = 100;

/** Nobody listens: the stream or its consumer is gone, or has no leader now. */
const NO_RESPONDERS = 503;

/** The request has expired, or no event waits. */
const ENDED: ReadonlySet<number> = new Set([404, 408]);

/** What a fetcher needs. */
interface FetcherOptions {
  readonly link: Link;
  readonly stream: string;
  readonly inboxPrefix: string;
  readonly clock: Clock;
  /** How many more events this process takes now. */
  readonly room: () => number;
  /** There is no request while fewer events than this would be asked for. */
  readonly atLeast: number;
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called when nobody answers requests for events. */
  readonly onStreamLost: () => void;
}

/** Asks for events while there is room, for as long as one connection lasts. */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #inbox: string;
  readonly #unsubscribe: () => Promise<void>;
  /** Events that the current request may still bring. */
  #asked = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: FetcherOptions) {
    this.#options = options;
    this.#inbox = `${options.inboxPrefix}.${randomUUID()}`;
    this.#unsubscribe = options.link.subscribe(this.#inbox, this.#onMessage);
    this.wake();
  }

  /** To be called when there is more room. */
  readonly wake = (): void => {
    const { room, atLeast } = this.#options;
    if (this.#isStopped || this.#asked > 0 || this.#timer !== undefined) return;
    const events = room();
    if (events >= atLeast) this.#ask(events);
  };

  /**
   * Asks for no more events. The server would send what is returned to it to the same request again, so that one is withdrawn first.
   *
   * @returns Fulfils once no event comes any more: those that come until then are handed over. Never rejects.
   */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#clear();
    return this.#unsubscribe();
  }

  #ask(events: number): void {
    const { link, stream } = this.#options;
    this.#asked = events;
    this.#listen();
    const request = { batch: events, expires: EXPIRES_MS * NS_PER_MS, idle_heartbeat: HEARTBEAT_MS * NS_PER_MS };
    link.publish(nextSubject(stream), JSON.stringify(request), this.#inbox);
  }

  readonly #onMessage = (message: NatsMessage): void => {
    const delivery = readDelivery(message);
    if (this.#isStopped) {
      if (delivery !== undefined) this.#options.onDelivery(delivery);
      return;
    }
    if (delivery === undefined) return this.#onStatus(message.headers?.code ?? 0);
    this.#asked -= 1;
    if (this.#asked <= 0) this.#end();
    else this.#listen();
    this.#options.onDelivery(delivery);
    this.wake();
  };

  #onStatus(code: number): void {
    if (code === HEARTBEAT) {
      if (this.#asked > 0) this.#listen();
      return;
    }
    this.#end();
    if (code === NO_RESPONDERS) this.#options.onStreamLost();
    else if (ENDED.has(code)) this.wake();
    else this.#wait(RETRY_MS, this.#retry);
  }

  #listen(): void {
    this.#wait(SILENCE_MS, this.#options.onStreamLost);
  }

  readonly #retry = (): void => {
    this.#end();
    this.wake();
  };

  #end(): void {
    this.#asked = 0;
    this.#clear();
  }

  #wait(delayMs: number, then: () => void): void {
    this.#clear();
    this.#timer = this.#options.clock.setTimeout(then, delayMs);
    this.#timer.unref();
  }

  #clear(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
