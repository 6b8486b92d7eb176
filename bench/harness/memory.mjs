// Memory after a full collection. Needs node --expose-gc.

/** @returns bytes on the heap and outside of it that are in use, and resident bytes of the process */
export async function collected() {
  // What is deferred may hold on to something, and what a first collection frees may free more.
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise(setImmediate);
    globalThis.gc();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed + external, residentBytes: rss };
}
