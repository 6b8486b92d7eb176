import type { Clock, Timer } from '../../src/base/clock.js';

/** Where Node's own timers overflow: a longer delay fires after 1 ms there, so it does here. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** More rounds of deferred work than any test means to queue: beyond it something defers itself for ever. */
const MAX_DEFERRED_ROUNDS = 10_000;

/**
 * Lets promise chains run on: awaits that many real turns of the event loop. No time passes on a virtual clock.
 * A first `import()` is real work on the file system and may outlast it: import what is loaded lazily before the test.
 */
export async function settle(turns = 6): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

class VirtualTimer implements Timer {
  readonly callback: () => void;
  readonly dueAtMs: number;
  refd = true;

  constructor(callback: () => void, dueAtMs: number) {
    this.callback = callback;
    this.dueAtMs = dueAtMs;
  }

  ref(): this {
    this.refd = true;
    return this;
  }

  unref(): this {
    this.refd = false;
    return this;
  }
}

/** A clock that moves only when the test says so. It starts at 0; timers due at one moment run in the order they were set. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  readonly #timers = new Set<VirtualTimer>();
  #deferred: (() => void)[] = [];

  /** `wallStartMs`: what `wallNow()` says at 0. @default 2026-01-01T00:00:00Z */
  constructor({ wallStartMs = Date.UTC(2026, 0, 1) }: { wallStartMs?: number } = {}) {
    this.#wallOffsetMs = wallStartMs;
  }

  /** Timers that are set and have neither fired nor been cleared. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Those of them that would hold a process. */
  get pendingRefTimers(): number {
    return [...this.#timers].filter((timer) => timer.refd).length;
  }

  /** Callbacks given to `defer` that have not run yet. */
  get pendingDeferred(): number {
    return this.#deferred.length;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  /** Moves the wall clock alone, as an operator or NTP does. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const effectiveMs = delayMs >= 1 && delayMs <= MAX_DELAY_MS ? delayMs : 1;
    const timer = new VirtualTimer(callback, this.#nowMs + effectiveMs);
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as VirtualTimer);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  /** Runs what is deferred now; what that defers in turn waits for the next call, as in the event loop. */
  runDeferred(): void {
    const due = this.#deferred;
    this.#deferred = [];
    for (const callback of due) callback();
  }

  /**
   * Moves time by `ms`: runs deferred work and the timers that fall due, in order, each at its own moment and with promise
   * chains settled in between. Rejects with what a callback throws.
   */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    await this.#calmDown();
    for (let timer = this.#earliest(targetMs); timer !== undefined; timer = this.#earliest(targetMs)) {
      this.#nowMs = timer.dueAtMs;
      this.#timers.delete(timer);
      timer.callback();
      await this.#calmDown();
    }
    this.#nowMs = targetMs;
    await this.#calmDown();
  }

  #earliest(untilMs: number): VirtualTimer | undefined {
    let earliest: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueAtMs <= untilMs && (earliest === undefined || timer.dueAtMs < earliest.dueAtMs)) earliest = timer;
    }
    return earliest;
  }

  async #calmDown(): Promise<void> {
    await settle();
    for (let round = 0; this.#deferred.length > 0; round += 1) {
      if (round === MAX_DEFERRED_ROUNDS) throw new Error('Deferred work defers itself for ever.');
      this.runDeferred();
      await settle();
    }
  }
}
