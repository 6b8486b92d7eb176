import { Worker } from 'node:worker_threads';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { until } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { send, transportTo } from '../../helpers/sending.js';

/** A server in a thread of its own, which answers a request when it is told to. If it `closes`, it then ends the connection unannounced. */
async function startServer(t: ExecutionContext, closes: boolean) {
  // Requests, answers whose bytes were sent, connections.
  const counts = new Int32Array(new SharedArrayBuffer(12));
  const worker = new Worker(
    `const { createServer } = require('node:net');
     const { parentPort, workerData: { counts, closes } } = require('node:worker_threads');
     const waiting = [];
     const answered = () => {
       Atomics.add(counts, 1, 1);
       Atomics.notify(counts, 1);
     };
     const server = createServer((socket) => {
       Atomics.add(counts, 2, 1);
       socket.on('error', () => {});
       socket.on('data', () => {
         if (socket.writableEnded) return socket.resetAndDestroy();
         waiting.push(socket);
         Atomics.add(counts, 0, 1);
       });
     });
     parentPort.on('message', () => {
       for (const socket of waiting.splice(0)) {
         socket[closes ? 'end' : 'write']('HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n', answered);
       }
     });
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
    { eval: true, workerData: { counts, closes } },
  );
  t.teardown(() => worker.terminate());
  const port = await new Promise<number>((resolve) => {
    worker.once('message', resolve);
  });
  return {
    port,
    arrived: () => Atomics.load(counts, 0),
    connections: () => Atomics.load(counts, 2),
    /** Answers while this thread sleeps: when it looks at the network again, the answer, and the end if there is one, have arrived. */
    answerMeanwhile: (answers: number): void => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
      worker.postMessage('answer');
      while (Atomics.load(counts, 1) < answers) Atomics.wait(counts, 1, answers - 1);
    },
  };
}

test(proves('reuse-short', 'a connection whose end arrived with its answer, while the host was busy, is not used again'), async (t) => {
  const server = await startServer(t, true);
  // The clock stands still: by its age the connection could be used again.
  const transport = transportTo(t, server.port, {}, { clock: { ...systemClock, now: () => 0 } });
  for (let index = 1; index <= 5; index += 1) {
    let isOver = false;
    const sent = send(transport).finally(() => {
      isOver = true;
    });
    await until(() => isOver || server.arrived() === index);
    if (server.arrived() === index) server.answerMeanwhile(index);
    t.deepEqual(await sent, { kind: 'sent' }, `request ${index}`);
  }
});

test(proves('reuse-short', 'a connection whose answer was read late is as old as the answer may be'), async (t) => {
  const server = await startServer(t, false);
  let nowMs = 0;
  const transport = transportTo(t, server.port, {}, { clock: { ...systemClock, now: () => nowMs } });
  const connectionsAfter = async (index: number, busyMs: number): Promise<number> => {
    const sent = send(transport);
    await until(() => server.arrived() === index);
    nowMs += busyMs;
    server.answerMeanwhile(index);
    t.deepEqual(await sent, { kind: 'sent' });
    return server.connections();
  };
  t.is(await connectionsAfter(1, 200), 1);
  t.is(await connectionsAfter(2, 300), 1);
  t.is(await connectionsAfter(3, 0), 2);
});
