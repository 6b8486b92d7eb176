import { settle } from './virtual-clock.js';

/** What reaches the process as an unhandled rejection while some work runs and after it. For serial tests: there is one process. */
export async function unhandledRejections(work: () => unknown): Promise<unknown[]> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    await work();
    await settle();
  } finally {
    process.off('unhandledRejection', note);
  }
  return unhandled;
}
