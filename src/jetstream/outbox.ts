/** Events that a relay has accepted, until the queue confirms them. They are in memory meanwhile, and are published again until it does. */
import { randomUUID } from 'node:crypto';
import type { Clock, Timer } from '../base/clock.js';
import { settlesWithin } from '../base/clock.js';
import type { Stored } from '../delivery/relay-store.js';
import type { JetstreamSettings } from './client.js';
import type { Link } from './connection.js';
import { MESSAGE_OVERHEAD_BYTES, publishEvent } from './stream.js';
import type { Published, StreamFacts } from './stream.js';

/** A client gets its answer after this time: until then it is not known where the event is. */
const ANSWER_WITHIN_MS = 500;

/** The wait before events are published again that the queue did not take. */
const RETRY_MS = 1000;

/** The most events that are published again at a time. */
const MAX_IN_FLIGHT = 256;

/** After one of these a publish has certainly not stored the event. After `unauthorized` it may only be its answer that is not allowed. */
const NOT_STORED: ReadonlySet<Published> = new Set(['full', 'connect', 'no_stream', 'too_large']);

/** What an outbox needs. */
interface OutboxOptions {
  readonly link: Link;
  readonly settings: JetstreamSettings;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  /** What is known of the stream; undefined while nothing can be published. */
  readonly facts: () => StreamFacts | undefined;
  /** Called when nobody takes events. */
  readonly onStreamLost: () => void;
  /** Called for each accepted event that turns out to be too large for the queue: it is forgotten. */
  readonly onTooLarge: () => void;
}

/** One event that the queue has not confirmed. */
interface OutgoingEvent {
  readonly id: string;
  readonly target: string;
  readonly acceptedAtMs: number;
  /** By the monotonic clock. */
  readonly sinceMs: number;
  readonly bytes: number;
  /** Whether an attempt may have stored it. */
  mayBeStored: boolean;
  isInFlight: boolean;
  /** Answers the client; undefined once that is done. The event is then accepted. */
  answer: ((stored: Stored | 'duplicate') => void) | undefined;
}

/** The events that wait for the confirmation of the queue. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #events = new Set<OutgoingEvent>();
  #bytes = 0;
  #retry: Timer | undefined;
  #onEmpty: (() => void) | undefined;
  #duplicates = 0;
  #isClosed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Events that were accepted, and are in the memory of this process alone. */
  get held(): number {
    let held = 0;
    for (const { answer } of this.#events) if (answer === undefined) held += 1;
    return held;
  }

  /** Whether no event waits. */
  get isEmpty(): boolean {
    return this.#events.size === 0;
  }

  /** Events that were held, and whose id the queue had already. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Publishes an event, or keeps it if that is not possible now. Never rejects. */
  append(target: string, id: string = randomUUID()): Promise<Stored | 'duplicate'> {
    const { clock, facts, maxBytes } = this.#options;
    const bytes = Buffer.byteLength(target) + MESSAGE_OVERHEAD_BYTES;
    if (this.#isClosed || this.#bytes + bytes > maxBytes) return Promise.resolve('full');
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => event.answer?.('memory'), ANSWER_WITHIN_MS);
      const event: OutgoingEvent = {
        id,
        target,
        acceptedAtMs: clock.wallNow(),
        sinceMs: clock.now(),
        bytes,
        mayBeStored: false,
        isInFlight: false,
        answer: (stored) => {
          event.answer = undefined;
          clock.clearTimeout(timer);
          resolve(stored);
        },
      };
      this.#events.add(event);
      this.#bytes += bytes;
      if (facts() === undefined) event.answer?.('memory');
      else void this.#publish(event);
    });
  }

  /** Publishes what waits, oldest first. To be called when the queue can be reached. */
  readonly flush = (): void => {
    const { clock, facts } = this.#options;
    if (this.#retry !== undefined) clock.clearTimeout(this.#retry);
    this.#retry = undefined;
    if (facts() === undefined) return;
    let inFlight = 0;
    for (const event of this.#events) {
      if (!event.isInFlight) void this.#publish(event);
      inFlight += 1;
      if (inFlight >= MAX_IN_FLIGHT) return;
    }
  };

  /** Forgets accepted events that are too old. @returns How many. */
  expire(): number {
    const { clock, maxAgeMs } = this.#options;
    const nowMs = clock.now();
    let expired = 0;
    for (const event of this.#events) {
      if (event.answer !== undefined || nowMs - event.sinceMs <= maxAgeMs) continue;
      this.#remove(event);
      expired += 1;
    }
    return expired;
  }

  /** Forgets all events. @returns How many were accepted. */
  clear(): number {
    const { held } = this;
    for (const event of this.#events) {
      event.answer?.('full');
      this.#remove(event);
    }
    return held;
  }

  /** Publishes what waits until the limit. @returns How many accepted events are lost with the process. */
  async close(withinMs: number): Promise<number> {
    this.#isClosed = true;
    if (this.#events.size > 0) {
      const empty = new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
      this.flush();
      await settlesWithin(empty, withinMs, this.#options.clock);
    }
    return this.clear();
  }

  async #publish(event: OutgoingEvent): Promise<void> {
    const { clock, facts, link, settings } = this.#options;
    const mayBeSecond = event.mayBeStored;
    event.isInFlight = true;
    // A server that restarts forgets the ids of events that were delivered meanwhile: a repeat may be stored within its window, too.
    const published = await publishEvent(link, settings, { ...event, mayBeSecond });
    event.isInFlight = false;
    event.mayBeStored ||= !NOT_STORED.has(published);
    // It was cleared meanwhile.
    if (!this.#events.has(event)) return;
    if (published === 'stored' || published === 'duplicate') {
      this.#remove(event);
      // What an earlier attempt may have stored is no repeat.
      const isRepeat = published === 'duplicate' && !mayBeSecond;
      if (isRepeat && event.answer === undefined) this.#duplicates += 1;
      event.answer?.(isRepeat ? 'duplicate' : facts()?.isDurable === true ? 'disk' : 'queue');
      if (this.#retry === undefined && this.#events.size > 0) this.#flushMore();
      return;
    }
    if (event.answer !== undefined && (published === 'full' || published === 'too_large')) {
      this.#remove(event);
      event.answer('full');
      return;
    }
    if (published === 'too_large') {
      this.#remove(event);
      this.#options.onTooLarge();
      return;
    }
    event.answer?.('memory');
    this.#retry ??= clock.setTimeout(this.flush, RETRY_MS);
    this.#retry.unref();
    // A connection that is dead does not say so.
    if (published === 'timeout') link.drop();
    if (published === 'no_stream') this.#options.onStreamLost();
  }

  /** Goes on with the next held event, if there are more than are published at a time. */
  #flushMore(): void {
    for (const event of this.#events) {
      if (event.isInFlight) continue;
      if (event.answer === undefined) void this.#publish(event);
      return;
    }
  }

  #remove(event: OutgoingEvent): void {
    if (!this.#events.delete(event)) return;
    this.#bytes -= event.bytes;
    if (this.#events.size === 0) this.#onEmpty?.();
  }
}
