/*
 * The batches of a transport: when one is ready (`maxBatchSize`, `lingerMs`), what fits into it (`maxBatchBytes`), and the outcomes of its
 * events.
 */
import type { Clock, Timer } from '../base/clock.js';
import { given } from '../base/foreign-values.js';
import type { TakenEvent } from './event-buffer.js';
import type { EventBuilder } from './event-builder.js';
import type { EventOutcome, Transport } from './transport.js';

/** What it needs. */
export interface BatchingOptions {
  transport: Transport;
  builder: Pick<EventBuilder, 'build'>;
  clock: Clock;
  /** Whether no batch waits for company now: a drain, a close or the end of the process. */
  isUrgent: () => boolean;
  /** How many events the buffer holds. At half of them no batch waits any longer. @default no limit */
  maxPendingEvents?: number;
}

/** Read once, and checked again: a getter may answer otherwise than when the options were checked, or throw. */
function limitOf(transport: Transport, name: 'maxBatchSize' | 'lingerMs' | 'maxBatchBytes'): number | undefined {
  try {
    const value: unknown = given(transport, name);
    return typeof value === 'number' && value > 0 ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Tells the batches of a transport. */
export class Batching {
  /** The most events of a batch. */
  readonly size: number;
  readonly #options: BatchingOptions;
  readonly #onOver: () => void;
  readonly #lingerMs: number;
  readonly #maxBytes: number | undefined;
  /** How many events are taken at once: fewer than a batch while bytes limit it. */
  #takeSize: number;
  /** Whether the events that wait have waited for long enough. */
  #isOver = false;
  #timer: Timer | undefined;

  /** @param onOver Called when the wait for company is over. */
  constructor(options: BatchingOptions, onOver: () => void) {
    const { transport } = options;
    this.#options = options;
    this.#onOver = onOver;
    this.size = this.#takeSize = limitOf(transport, 'maxBatchSize') ?? 1;
    this.#lingerMs = limitOf(transport, 'lingerMs') ?? 0;
    this.#maxBytes = limitOf(transport, 'maxBatchBytes');
  }

  /** Whether a batch may leave now. If not, the wait for company has begun. */
  mayLeave(ready: number): boolean {
    const { clock, isUrgent, maxPendingEvents = Infinity } = this.#options;
    if (ready >= Math.min(this.size, maxPendingEvents / 2) || this.#lingerMs === 0 || this.#isOver || isUrgent()) return true;
    this.#timer ??= clock.setTimeout(() => {
      this.#timer = undefined;
      this.#isOver = true;
      this.#onOver();
    }, this.#lingerMs);
    this.#timer.unref();
    return false;
  }

  /** Events return to the buffer. They have waited. */
  waitNoLonger(): void {
    this.#isOver = true;
  }

  /** Ends the wait. */
  stop(): void {
    this.#isOver = false;
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Takes the events of one batch out of a buffer. */
  take(buffer: { take(limit: number): TakenEvent[] }): TakenEvent[] {
    const taken = buffer.take(this.#takeSize);
    if (taken.length > 0 && this.#lingerMs > 0) this.stop();
    return taken;
  }

  /** Removes from a batch what does not fit. It runs code of the transport. @returns The events that were removed. */
  cut(taken: TakenEvent[]): TakenEvent[] {
    const takeSize = this.#takeSize;
    const maxBytes = this.#maxBytes;
    if (maxBytes === undefined || taken.length === 1) return [];
    let bytes = 0;
    const fit = taken.findIndex((event, index) => (bytes += this.#bytesOf(event)) > maxBytes && index > 0);
    this.#takeSize = Math.min(this.size, (fit < 0 ? takeSize : fit) * 2);
    // What stayed in the buffer because fewer than a batch were taken has waited, too.
    if (fit >= 0 || (taken.length === takeSize && takeSize < this.size)) this.waitNoLonger();
    return fit < 0 ? [] : taken.splice(fit);
  }

  /** The size of an event by the transport, which may throw or answer anything: an event without a size is sent alone. */
  #bytesOf(event: TakenEvent): number {
    const { builder, transport } = this.#options;
    try {
      const built = (event.built ??= builder.build(event));
      const bytes: unknown = given(transport, 'bytesOf') ? transport.bytesOf?.(built) : Buffer.byteLength(built.requestTarget());
      return typeof bytes === 'number' && bytes >= 0 ? bytes : Infinity;
    } catch {
      return Infinity;
    }
  }
}

/** The events of a batch by their outcome: a batch has hundreds of events, and mostly one or two outcomes. */
export function byOutcome(
  taken: readonly TakenEvent[],
  outcomes: readonly EventOutcome[],
): Iterable<{ readonly outcome: EventOutcome; readonly events: TakenEvent[] }> {
  const groups = new Map<string, { outcome: EventOutcome; events: TakenEvent[] }>();
  for (const { 0: index, 1: outcome } of outcomes.entries()) {
    const key = Object.values(outcome).join();
    const event = taken[index] as TakenEvent;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { outcome, events: [event] });
    else group.events.push(event);
  }
  return groups.values();
}
