/** What the outcomes of attempts show: whether the endpoint takes events, since when, and why not. */
import type { Clock } from '../base/clock.js';
import { BUSY_REASON, CONNECT_REASON, OPEN_REASON, UNWRITTEN_REASON } from '../delivery/transport.js';
import type { EventOutcome } from '../delivery/transport.js';
import type { RelayLog } from './log.js';
import type { RelayStats } from './types.js';

/** What attempts have shown so far. Times are in milliseconds since 1970. */
export interface DeliveryFacts {
  /** When the first attempt after the last success failed; undefined if none has. */
  readonly failingSinceMs: number | undefined;
  /** Whether the last attempt failed and its event, or another one, still waits. */
  readonly isFailing: boolean;
  /** The last attempt that failed, and why: its cause, or else its reason. */
  readonly lastFailure: { readonly atMs: number; readonly cause: string } | undefined;
  /** How long ago an event was sent last, by the clock that nobody sets; undefined if none was. */
  readonly sinceSentMs: number | undefined;
  /** When the first of the successes came that had no failure, and no gap of a minute, between them. Undefined after a failure. */
  readonly deliveringSinceMs: number | undefined;
  /** Since when a file that may opt out cannot be read. */
  readonly undecidedSinceMs: number | undefined;
}

/** What a record needs. */
interface DeliveryRecordOptions {
  readonly clock: Pick<Clock, 'wallNow' | 'now'>;
  readonly log: Pick<RelayLog, 'change'>;
  /** The number of events in the store or in flight. */
  readonly pending: () => number;
}

/** The reasons of answers of a server. */
const ANSWERED = /^(?:http_\d+|redirect_refused)$/;

/** Reasons of what was not tried: the breaker held it back, or it had no turn. They say nothing new of the endpoint. */
const UNTRIED_REASONS: ReadonlySet<string> = new Set([OPEN_REASON, CONNECT_REASON, BUSY_REASON, UNWRITTEN_REASON]);

/** Two successes with this time between them are not one stretch of delivery. */
const GAP_MS = 60_000;

/** After this time without a success the log says that events wait. A fault that is shorter is told by the counts. */
const SAID_AFTER_MS = 10_000;

/** Records the outcomes of attempts. */
export class DeliveryRecord implements DeliveryFacts {
  readonly #options: DeliveryRecordOptions;
  #breaker: RelayStats['breaker'] = 'closed';
  #failure: string | undefined;
  #failingSinceMs: number | undefined;
  /** The same by the clock that nobody sets. */
  #failingAtMs = 0;
  #isFailing = false;
  #lastFailure: DeliveryFacts['lastFailure'];
  #lastSentAtMs: number | undefined;
  /** The same by the clock that nobody sets. */
  #sentAtMs = 0;
  #deliveringSinceMs: number | undefined;
  #undecidedSinceMs: number | undefined;
  /** Whether the log says that delivery has stopped, by a line of this record. */
  #hasSaid = false;

  constructor(options: DeliveryRecordOptions) {
    this.#options = options;
  }

  /** The circuit breaker, as the outcomes of attempts show it. */
  get breaker(): RelayStats['breaker'] {
    return this.#breaker;
  }

  /** Why the last attempt failed: its cause, or else its reason. Undefined if it did not, and before the first. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** When an event was sent last, by the wall clock. */
  get lastSentAtMs(): number | undefined {
    return this.#lastSentAtMs;
  }

  get sinceSentMs(): number | undefined {
    return this.#lastSentAtMs === undefined ? undefined : this.#options.clock.now() - this.#sentAtMs;
  }

  get failingSinceMs(): number | undefined {
    return this.#failingSinceMs;
  }

  get isFailing(): boolean {
    return this.#isFailing;
  }

  get lastFailure(): DeliveryFacts['lastFailure'] {
    return this.#lastFailure;
  }

  get deliveringSinceMs(): number | undefined {
    return this.#deliveringSinceMs;
  }

  get undecidedSinceMs(): number | undefined {
    return this.#undecidedSinceMs;
  }

  /** Learns from the outcome of an attempt, after its events have left the flight. */
  observe(outcome: EventOutcome, cause: string | undefined): void {
    if (outcome.kind === 'sent') return this.#succeed();
    if (outcome.kind === 'aborted' || outcome.kind === 'refused') return;
    const { reason } = outcome;
    if (reason === OPEN_REASON) this.#breaker = 'open';
    else if (reason === CONNECT_REASON) this.#breaker = 'half_open';
    // An answer closes the circuit, whatever its status.
    else if (ANSWERED.test(reason)) this.#breaker = 'closed';
    if (cause !== undefined || !UNTRIED_REASONS.has(reason)) this.#fail(cause ?? reason);
  }

  /** To be called when it may have become known, or unknown, whether anything may be sent. */
  setUndecided(isUndecided: boolean): void {
    if (!isUndecided) this.#undecidedSinceMs = undefined;
    else this.#undecidedSinceMs ??= this.#options.clock.wallNow();
  }

  /**
   * Says once that events wait although attempts are made, unless another line says it.
   *
   * @param isSaid Whether the log has a line for it: `delivery_stopped` of the circuit breaker, or `paused`.
   */
  say(isSaid: boolean): void {
    const { clock, log, pending } = this.#options;
    // The end of that state has a line, too.
    if (isSaid) this.#hasSaid = false;
    if (isSaid || this.#hasSaid || !this.#isFailing || clock.now() - this.#failingAtMs < SAID_AFTER_MS) return;
    const waiting = pending();
    if (waiting === 0) return;
    this.#hasSaid = true;
    log.change(
      'delivery_stopped',
      `no event could be sent for ${SAID_AFTER_MS / 1000} seconds (${this.#failure}); waiting events: ${waiting}`,
    );
  }

  #succeed(): void {
    const nowMs = this.#options.clock.wallNow();
    if (this.#deliveringSinceMs === undefined || (this.sinceSentMs ?? GAP_MS) >= GAP_MS) this.#deliveringSinceMs = nowMs;
    this.#breaker = 'closed';
    this.#failure = undefined;
    this.#failingSinceMs = undefined;
    this.#isFailing = false;
    this.#lastSentAtMs = nowMs;
    this.#sentAtMs = this.#options.clock.now();
    if (!this.#hasSaid) return;
    this.#hasSaid = false;
    this.#options.log.change('delivery_resumed', 'events are sent again');
  }

  #fail(cause: string): void {
    const { clock, pending } = this.#options;
    const atMs = clock.wallNow();
    this.#failingSinceMs ??= atMs;
    this.#failure = cause;
    const isFailing = pending() > 0;
    if (isFailing && !this.#isFailing) this.#failingAtMs = clock.now();
    this.#isFailing = isFailing;
    this.#lastFailure = { atMs, cause };
    this.#deliveringSinceMs = undefined;
  }
}
