// Time as a parameter: code that waits or measures takes a `Clock`, so that tests control time.
import { MAX_TIMER_MS } from './check-options.js';

/**
 * The clock that delays, deadlines and measurements use.
 *
 * @example
 * const clock: Clock = {
 *   now: () => performance.now(),
 *   wallNow: () => Date.now(),
 *   setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
 *   clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
 *   defer: (callback) => setImmediate(callback),
 * };
 * const transport = retrying(fetchTransport({ endpoint: 'https://telemetry.acme.example' }), { clock });
 */
export interface Clock {
  /** Monotonic milliseconds, for delays and deadlines: a change of the wall clock does not affect them. It must never throw. */
  now(): number;
  /** Milliseconds since 1970, to compare with dates from the network. It must never throw. */
  wallNow(): number;
  /** Calls the callback after `delayMs` milliseconds. It must never throw. */
  setTimeout(callback: () => void, delayMs: number): Timer;
  /** Stops a timer of `setTimeout`. It must never throw. */
  clearTimeout(timer: Timer): void;
  /**
   * Runs the callback after the current turn of the event loop. It must never throw.
   *
   * @param holds Whether the process stays alive until then: by default it need not.
   */
  defer(callback: () => void, holds?: boolean): void;
}

/**
 * A running timer, as Node's `setTimeout` returns it.
 *
 * @example
 * const timer: Timer = setTimeout(() => undefined, 1000);
 * timer.unref();
 */
export interface Timer {
  /** Keeps the process alive until the timer fires. It must never throw. */
  ref(): unknown;
  /** Lets the process end before the timer fires. It must never throw. */
  unref(): unknown;
}

/**
 * Node's own functions, as they are when this file is loaded. The globals may belong to another realm: a timer of jsdom is a number,
 * which has no `unref`. Libraries of fake timers replace them later, in the modules, too: a deadline would then wait for a test.
 */
const { setTimeout: startTimer, clearTimeout: stopTimer, setImmediate: startImmediate } = process.getBuiltinModule('node:timers');
// Not `performance.now`: merely to name it loads modules of Node for a millisecond, at the start of each host.
const { hrtime } = process;
const { now: wallNow } = Date;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => {
    // Not taken apart as an array: `return` on a polluted `Object.prototype` breaks every iterator that is not read to its end.
    const time = hrtime();
    return time[0] * 1000 + time[1] / 1e6;
  },
  wallNow: () => wallNow(),
  // A time that passes while its delay is reckoned gives a negative one, of which Node 24 and 26 print a warning into the host.
  setTimeout: (callback, delayMs) => startTimer(callback, delayMs > 0 ? delayMs : 0),
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
