/** A running timer, as `setTimeout` of Node gives it. */
export interface Timer {
  ref(): unknown;
  unref(): unknown;
}

/**
 * Time as a parameter. Everything that waits or measures takes one of these, so that tests own the clock.
 */
export interface Clock {
  /** Milliseconds that only ever grow: every delay and deadline is measured by it, so a wall-clock jump changes none. */
  now(): number;
  /** Milliseconds since 1970, for what the network says in dates. */
  wallNow(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /** Runs the callback once the present turn of the event loop is over; it does not hold the process. */
  defer(callback: () => void): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
  defer: (callback) => {
    // Not an unref'd setImmediate: where nothing else happens, the loop would sleep before it.
    setTimeout(callback, 0).unref();
  },
};

/** Waits for something that never rejects, at most so long. @returns Whether it is over. */
export function within(work: Promise<unknown>, limitMs: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => resolve(false), limitMs);
    const onOver = (): void => {
      clock.clearTimeout(timer);
      resolve(true);
    };
    void work.then(onOver);
  });
}
