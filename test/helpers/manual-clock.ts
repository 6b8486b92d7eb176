import type { Clock, Timer } from '../../src/base/clock.js';

/** A timer that was set and has neither fired nor been cleared. */
export interface ManualTimer extends Timer {
  readonly delayMs: number;
  readonly callback: () => void;
  isHolding: boolean;
}

/** A clock that a test sets by hand: time is a number, and a timer fires when the test says so. */
export class ManualClock implements Clock {
  nowMs = 0;
  /** How often `now()` was asked. */
  reads = 0;
  readonly timers: ManualTimer[] = [];

  now(): number {
    this.reads += 1;
    return this.nowMs;
  }

  wallNow(): number {
    return this.nowMs;
  }

  setTimeout(callback: () => void, delayMs: number): ManualTimer {
    const timer: ManualTimer = {
      delayMs,
      callback,
      isHolding: true,
      ref: () => (timer.isHolding = true),
      unref: () => (timer.isHolding = false),
    };
    this.timers.push(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    const index = this.timers.indexOf(timer as ManualTimer);
    if (index !== -1) this.timers.splice(index, 1);
  }

  defer(callback: () => void): void {
    this.setTimeout(callback, 0);
  }

  /** Fires the oldest timer that is left. */
  fire(): void {
    this.timers.shift()?.callback();
  }
}
