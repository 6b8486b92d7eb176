// The naive composition of the same four packages in twenty lines: one queue task per event.
import { EventEmitter } from 'eventemitter3';
import nodeFetch from 'node-fetch';
import PQueue from 'p-queue';
import pRetry from 'p-retry';
import { STANDARD } from '../harness/sample-event.mjs';

const nowhere = () => Promise.resolve({ ok: true, status: 200, text: () => Promise.resolve('') });

export function open({ endpoint, concurrency = 6 } = {}) {
  const fetch = endpoint === undefined ? nowhere : nodeFetch;
  const bus = new EventEmitter();
  const queue = new PQueue({ concurrency });
  let lost = 0;

  async function send(metrics) {
    const query = new URLSearchParams({ ...STANDARD, ...metrics });
    const response = await fetch(`${endpoint}/v3/task_instance?${query}`, { signal: AbortSignal.timeout(1000) });
    await response.text();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
  }

  bus.on('task_instance', (metrics) => {
    queue
      .add(() => pRetry(() => send(metrics), { retries: 3 }))
      .catch(() => {
        lost += 1;
      });
  });
  return {
    publish: (event) => bus.emit('task_instance', event),
    settle: () => queue.onIdle(),
    close: () => queue.onIdle(),
    lost: () => lost,
  };
}
