import type { Clock } from '../timing.js';

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
