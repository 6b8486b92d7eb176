// Time as a parameter: code that waits or measures takes a `Clock`, so that tests control time.
import { MAX_TIMER_MS } from './check-options.js';

/** The clock that delays, deadlines and measurements use. */
export interface Clock {
  /** Monotonic milliseconds, for delays and deadlines: a change of the wall clock does not affect them. */
  now(): number;
  /** Milliseconds since 1970, to compare with dates from the network. */
  wallNow(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /**
   * Runs the callback after the current turn of the event loop.
   *
   * @param holds Whether the process stays alive until then. @default false
   */
  defer(callback: () => void, holds?: boolean): void;
}

/** A running timer, as Node's `setTimeout` returns it. */
export interface Timer {
  ref(): unknown;
  unref(): unknown;
}

/**
 * Node's own functions, as they are when this file is loaded. The globals may belong to another realm: a timer of jsdom is a number,
 * which has no `unref`. Libraries of fake timers replace them later, in the modules, too: a deadline would then wait for a test.
 */
const { setTimeout: startTimer, clearTimeout: stopTimer, setImmediate: startImmediate } = process.getBuiltinModule('node:timers');
// Not `performance.now`: merely to name it loads modules of Node for a millisecond, at the start of each host.
const { hrtime } = process;
const wallClock = Date;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => {
    // Not taken apart as an array: `return` on a polluted `Object.prototype` breaks every iterator that is not read to its end.
    const time = hrtime();
    return time[0] * 1000 + time[1] / 1e6;
  },
  wallNow: () => wallClock.now(),
  setTimeout: (callback, delayMs) => startTimer(callback, delayMs),
  clearTimeout: (timer) => {
    stopTimer(timer as NodeJS.Timeout);
  },
  defer: (callback, holds = false) => {
    // Not an unref'd `setImmediate`: an idle event loop sleeps before it runs one.
    if (holds) startImmediate(callback);
    else startTimer(callback, 0).unref();
  },
};

/**
 * Waits for a promise, but not longer than a limit.
 *
 * @param work A promise that never rejects.
 * @returns Whether the promise settled within the limit.
 */
export function settlesWithin(work: Promise<unknown>, limitMs: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => resolve(false), Math.min(limitMs, MAX_TIMER_MS));
    const onSettled = (): void => {
      clock.clearTimeout(timer);
      resolve(true);
    };
    void work.then(onSettled);
  });
}
