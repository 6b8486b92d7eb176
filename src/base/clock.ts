// Time as a parameter: code that waits or measures takes a `Clock`, so that tests control time.

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

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
  defer: (callback, holds = false) => {
    // Not an unref'd `setImmediate`: an idle event loop sleeps before it runs one.
    if (holds) setImmediate(callback);
    else setTimeout(callback, 0).unref();
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
    const timer = clock.setTimeout(() => resolve(false), limitMs);
    const onSettled = (): void => {
      clock.clearTimeout(timer);
      resolve(true);
    };
    void work.then(onSettled);
  });
}
