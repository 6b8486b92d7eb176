import { settle } from './virtual-clock.js';

/** The unhandled rejections of the process during and after some work. For serial tests: all tests of a file share the process. */
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
