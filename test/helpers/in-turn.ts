/** How many children run at the same time: they wait more than they work, but each measures its own time. */
const AT_A_TIME = 3;

const queue: (() => void)[] = [];
let running = 0;

/** Runs the work as soon as fewer than three others run. */
export async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_A_TIME) {
    await new Promise<void>((resolve) => {
      queue.push(resolve);
    });
  } else running += 1;
  try {
    return await work();
  } finally {
    const next = queue.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}
