import type { Clock, Timer } from '../../src/base/clock.js';

/** The longest delay of Node's timers. A longer delay overflows and becomes 1 ms, as it does here. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Limit of rounds of deferred work: no test needs as many, so work that reaches it defers itself again and again. */
const MAX_DEFERRED_ROUNDS = 10_000;

/**
 * Waits for `turns` real turns of the event loop, so that promise chains continue. The virtual time does not change. A first `import()`
 * reads files and may take longer: import a lazily loaded module before the test.
 */
export async function settle(turns = 6): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** A timer that has neither fired nor been cleared. */
export class VirtualTimer implements Timer {
  readonly callback: () => void;
  /** As given to `setTimeout`. */
  readonly delayMs: number;
  readonly dueAtMs: number;
  /** True unless the timer is unref'd. */
  isHolding = true;

  constructor(callback: () => void, delayMs: number, nowMs: number) {
    this.callback = callback;
    this.delayMs = delayMs;
    this.dueAtMs = nowMs + (delayMs >= 1 && delayMs <= MAX_DELAY_MS ? delayMs : 1);
  }

  ref(): this {
    this.isHolding = true;
    return this;
  }

  unref(): this {
    this.isHolding = false;
    return this;
  }
}

/**
 * A clock under the control of the test. `advance()` moves time and runs the timers that are due; for timers at the same time, the order
 * of `setTimeout`. A test may also set `nowMs`, which runs nothing, and run a timer by `fire()`.
 */
export class VirtualClock implements Clock {
  /** Set by a test, it jumps and no timer runs. */
  nowMs = 0;
  /** Number of calls of `now()`. */
  reads = 0;
  #wallOffsetMs: number;
  readonly #timers = new Set<VirtualTimer>();
  #deferred: (() => void)[] = [];

  /** @param options `wallStartMs`: `wallNow()` at time 0. @default 2026-01-01T00:00:00Z */
  constructor({ wallStartMs = Date.UTC(2026, 0, 1) }: { wallStartMs?: number } = {}) {
    this.#wallOffsetMs = wallStartMs;
  }

  /** The pending timers, in the order of `setTimeout`. */
  get timers(): VirtualTimer[] {
    return [...this.#timers];
  }

  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Number of pending timers that hold the process. */
  get pendingRefTimers(): number {
    return this.timers.filter((timer) => timer.isHolding).length;
  }

  /** Number of callbacks of `defer` that have not run yet. */
  get pendingDeferred(): number {
    return this.#deferred.length;
  }

  now(): number {
    this.reads += 1;
    return this.nowMs;
  }

  wallNow(): number {
    return this.#wallOffsetMs + this.nowMs;
  }

  /** Moves the wall clock only, like an operator or NTP. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = new VirtualTimer(callback, delayMs, this.nowMs);
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as VirtualTimer);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  /** Runs the timer that was set first, whether it is due or not. Time does not move. */
  fire(): void {
    const [timer] = this.#timers;
    if (timer === undefined) return;
    this.#timers.delete(timer);
    timer.callback();
  }

  /** Runs the deferred callbacks. A callback that they defer waits for the next call, as in the event loop. */
  runDeferred(): void {
    const due = this.#deferred;
    this.#deferred = [];
    for (const callback of due) callback();
  }

  /**
   * Moves time by `ms`. Runs deferred callbacks and the timers that become due, in order, each at its own time; promise chains continue
   * in between. Rejects with the error of a callback that throws.
   */
  async advance(ms: number): Promise<void> {
    const targetMs = this.nowMs + ms;
    await this.#runWork();
    for (let timer = this.#earliest(targetMs); timer !== undefined; timer = this.#earliest(targetMs)) {
      this.nowMs = timer.dueAtMs;
      this.#timers.delete(timer);
      timer.callback();
      await this.#runWork();
    }
    this.nowMs = targetMs;
    await this.#runWork();
  }

  #earliest(untilMs: number): VirtualTimer | undefined {
    let earliest: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueAtMs <= untilMs && (earliest === undefined || timer.dueAtMs < earliest.dueAtMs)) earliest = timer;
    }
    return earliest;
  }

  async #runWork(): Promise<void> {
    await settle();
    for (let round = 0; this.#deferred.length > 0; round += 1) {
      if (round === MAX_DEFERRED_ROUNDS) throw new Error('Deferred work defers itself for ever.');
      this.runDeferred();
      await settle();
    }
  }
}
