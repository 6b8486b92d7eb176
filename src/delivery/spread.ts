/*
 * Spreads the sends of many hosts in time: hosts whose runs begin in the same minute, or that waited for the same endpoint, would otherwise
 * send in the same second. Each wait is a back-off of the dispatcher's pause, so a drain, a close and the end of the process end it.
 */
import type { Clock } from '../base/clock.js';
import type { Pause } from './pacing.js';

/** What a {@link Spread} needs, as the dispatcher has it. */
interface SpreadOptions {
  clock: Clock;
  buffer: { readonly length: number };
  /** How many events the buffer holds. @default no limit */
  maxPendingEvents?: number;
  /** Whether nothing may wait now: a drain, a close or the end of the process. */
  isUrgent: () => boolean;
  spreadMs?: number | undefined;
  /** From 0 up to 1. @default Math.random */
  random?: (() => number) | undefined;
}

/** Batches that began to wait together. */
interface Group {
  batches: number;
  /** When they are sent at the latest. */
  readonly untilMs: number;
}

/** Batches that come later join the last group. */
const MAX_GROUPS = 16;

/** Delays what one host sends. */
export class Spread {
  readonly #pause: Pause;
  readonly #batchSize: number;
  readonly #options: SpreadOptions;
  /** Until when our own wait goes on. */
  #untilMs = 0;
  /** When the next probe would be due if it were not spread. */
  #probeAtMs = 0;
  /** What waits, the oldest first, and how many batches that is. */
  readonly #groups: Group[] = [];
  #known = 0;

  constructor(pause: Pause, batchSize: number, options: SpreadOptions) {
    this.#pause = pause;
    this.#batchSize = batchSize;
    this.#options = options;
  }

  /** Whether nothing may wait: half of the buffer is full, so that it would drop events, or somebody waits for the events. */
  get #isPressed(): boolean {
    const { buffer, maxPendingEvents = Infinity, isUrgent } = this.#options;
    return isUrgent() || buffer.length * 2 > maxPendingEvents;
  }

  /**
   * The wait for a probe with a random time more, in milliseconds: hosts whose first attempts failed in the last minute of an outage would
   * otherwise all return within three seconds of its end.
   */
  probeMs(waitMs: number): number {
    const { clock, spreadMs = 0, random = Math.random } = this.#options;
    this.#probeAtMs = clock.now() + waitMs;
    return this.#isPressed ? waitMs : waitMs + random() * spreadMs;
  }

  /** The endpoint answers again: the time of all that waits begins now. */
  restart(): void {
    this.#groups.length = 0;
    this.#known = 0;
    this.next();
  }

  /**
   * Draws when the next batch may start, unless that is known. Those that came together are spread evenly over `spreadMs` from then on: one
   * wait for all of them would move a peak and not lower it.
   *
   * @param isInDoubt Whether the endpoint did not answer: until it does, only the wait for the next probe is spread.
   */
  next(isInDoubt = false): void {
    const nowMs = this.#options.clock.now();
    if (isInDoubt) {
      if (this.#isPressed && this.#pause.isOn) this.#pause.backOffUntilProbe(this.#probeAtMs - nowMs);
      return;
    }
    const haveCome = this.#regroup(nowMs);
    const isOurs = this.#untilMs === this.#pause.untilMs;
    if (this.#isPressed) {
      if (isOurs) this.#pause.wake();
      return;
    }
    if (this.#known === 0) return;
    if (this.#pause.isOn) {
      if (!isOurs || !haveCome) return;
      this.#pause.wake();
    }
    this.#wait(nowMs);
  }

  /** @returns Whether batches have come since the last call. */
  #regroup(nowMs: number): boolean {
    const groups = this.#groups;
    const batches = Math.ceil(this.#options.buffer.length / this.#batchSize);
    const come = batches - this.#known;
    this.#known = batches;
    const last = groups.at(-1);
    if (come > 0 && last !== undefined && groups.length >= MAX_GROUPS) last.batches += come;
    else if (come > 0) groups.push({ batches: come, untilMs: nowMs + (this.#options.spreadMs ?? 0) });
    for (let gone = -come; gone > 0; ) {
      const [first] = groups;
      if (first === undefined) break;
      const taken = Math.min(gone, first.batches);
      gone -= taken;
      first.batches -= taken;
      if (first.batches === 0) groups.shift();
    }
    return come > 0;
  }

  #wait(nowMs: number): void {
    // Random times that are spread evenly over a time divide it into one part more, and each group has its own time.
    let partsPerMs = 0;
    let leftMs = 0;
    for (const { batches, untilMs } of this.#groups) {
      leftMs = Math.max(untilMs - nowMs, 1);
      partsPerMs += batches / leftMs;
    }
    const { random = Math.random } = this.#options;
    const waitMs = (2 * random()) / (partsPerMs + 1 / leftMs);
    if (waitMs === 0) return;
    this.#pause.backOff(waitMs);
    this.#untilMs = this.#pause.untilMs;
  }
}
