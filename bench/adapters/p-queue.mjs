// Only p-queue, with an empty task: the cost of one task per event before anything is sent.
import PQueue from 'p-queue';

const nothing = () => Promise.resolve();

export function open({ concurrency = 6 } = {}) {
  const queue = new PQueue({ concurrency });
  return {
    publish: () => void queue.add(nothing),
    settle: () => queue.onIdle(),
    close: () => queue.onIdle(),
  };
}
