// New Relic, in the mode in which it needs no collector. Its spans stay in the process. A loader's thread needs none.
const { isMainThread } = require('node:worker_threads');
if (isMainThread) {
  const { agent } = require(process.env.NEIGHBOUR_PACKAGE);
  const spans = [];
  agent.on('transactionFinished', ({ trace }) => {
    const note = (segment) => {
      spans.push({ name: segment.name, attributes: segment.getAttributes() });
      for (const child of trace.getChildren(segment.id)) note(child);
    };
    note(trace.root);
  });
  globalThis.finishedSpans = async () => spans;
}
