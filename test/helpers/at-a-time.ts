/** Runs a piece of work as soon as there is a free place, and answers as the work does. */
export type Queue = <T>(work: () => Promise<T>) => Promise<T>;

/** Makes a queue that runs at most `limit` pieces of work at the same time, in the order of the calls. */
export function atATime(limit: number): Queue {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running < limit) running += 1;
    else {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

/**
 * The queue for child processes of one test file: three at a time. A child mostly waits, and it measures its own time. Start the child
 * inside the work, and its servers as well: a port that was free a while ago may be taken by now.
 */
export const childQueue: Queue = atATime(3);
