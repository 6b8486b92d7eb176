import type { Clock } from '../../timing.js';

/**
 * Starts a limit of time that holds no process. A host that kept the event loop busy may find what was waited for right after
 * the limit, so the loop gets to look at the network once more before time is up. (An unref'd `setImmediate` would not do:
 * where nothing else happens, the loop sleeps before it.)
 *
 * @param clock whose time counts
 * @param limitMs the limit in milliseconds
 * @param timeUp called when it is reached
 * @returns ends the limit; again is harmless
 */
export function startLimit(clock: Clock, limitMs: number, timeUp: () => void): () => void {
  let timer = clock.setTimeout(() => {
    timer = clock.setTimeout(timeUp, 0);
    timer.unref();
  }, limitMs);
  timer.unref();
  return () => clock.clearTimeout(timer);
}

/** Handed over to what is loaded later, which would otherwise take a file of its own for it with it, and hosts pay for files. */
export type StartLimit = typeof startLimit;
