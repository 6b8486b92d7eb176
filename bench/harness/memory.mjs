// Memory after a full collection. Needs node --expose-gc.

/** @returns used bytes on the heap and outside of it, and resident bytes of the process */
export async function collected() {
  // Deferred work may hold references, and a first collection may make more objects collectable.
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise(setImmediate);
    globalThis.gc();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed + external, residentBytes: rss };
}
