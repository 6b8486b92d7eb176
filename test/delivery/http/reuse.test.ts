import { Worker } from 'node:worker_threads';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { until } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { send, transportTo } from '../../helpers/sending.js';

/**
 * A server in a thread of its own. It answers a request when it is told to, and then closes the connection without having announced it.
 * `arrived` and `closed` are the numbers of requests and of connections whose end was sent.
 */
async function closingServer(t: ExecutionContext) {
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(
    `const { createServer } = require('node:net');
     const { parentPort, workerData: counts } = require('node:worker_threads');
     const waiting = [];
     const server = createServer((socket) => {
       socket.on('error', () => {});
       socket.on('data', () => {
         if (socket.writableEnded) return socket.resetAndDestroy();
         waiting.push(socket);
         Atomics.add(counts, 0, 1);
       });
       socket.on('finish', () => {
         Atomics.add(counts, 1, 1);
         Atomics.notify(counts, 1);
       });
     });
     parentPort.on('message', () => {
       for (const socket of waiting.splice(0)) socket.end('HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n');
     });
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
    { eval: true, workerData: counts },
  );
  t.teardown(() => worker.terminate());
  const port = await new Promise<number>((resolve) => {
    worker.once('message', resolve);
  });
  return {
    port,
    arrived: () => Atomics.load(counts, 0),
    /** Answers while this thread sleeps: when it looks at the network again, answer and end have both arrived. */
    answerMeanwhile: (closed: number): void => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
      worker.postMessage('answer');
      while (Atomics.load(counts, 1) < closed) Atomics.wait(counts, 1, closed - 1);
    },
  };
}

test(proves('reuse-short', 'a connection whose end arrived with its answer, while the host was busy, is not used again'), async (t) => {
  const server = await closingServer(t);
  // The clock stands still: by its age the connection could be used again.
  const transport = transportTo(t, server.port, {}, { clock: { ...systemClock, now: () => 0 } });
  for (let index = 1; index <= 5; index += 1) {
    let isOver = false;
    const sent = send(transport).finally(() => (isOver = true));
    await until(() => isOver || server.arrived() === index);
    if (server.arrived() === index) server.answerMeanwhile(index);
    t.deepEqual(await sent, { kind: 'sent' }, `request ${index}`);
  }
});
