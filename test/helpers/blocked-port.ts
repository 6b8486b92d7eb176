import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';

/** More connections than a kernel queues for a listener with a backlog of one. */
const ENOUGH = 8;

/** A connect on loopback that takes longer, in ms, is blocked. */
const MADE_MS = 500;

/** The port of a listener whose thread sleeps: it accepts no connection, and its kernel queues very few. It is freed at the end of the test. */
export async function sleepingListener(t: ExecutionContext): Promise<number> {
  const worker = new Worker(
    `const { createServer } = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       // Nothing is accepted after the message: a place that becomes free in the backlog would let a connect through.
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  t.teardown(() => worker.terminate());
  return new Promise<number>((resolve) => {
    worker.once('message', resolve);
  });
}

/**
 * A port that does not answer a SYN, like a firewall that drops packets: the thread of its listener sleeps and its backlog is full.
 * (Windows refuses the connection instead.) It is freed at the end of the test.
 */
export async function blockedPort(t: ExecutionContext): Promise<number> {
  const port = await sleepingListener(t);
  const fillers: Socket[] = [];
  t.teardown(() => {
    for (const filler of fillers) filler.destroy();
  });
  for (let made = true; made && fillers.length < ENOUGH; ) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => {});
    fillers.push(filler);
    made = await new Promise<boolean>((resolve) => {
      // The network is read once more: a busy test may have slept over the connect.
      const timer = setTimeout(() => setImmediate(resolve, false), MADE_MS);
      filler.once('connect', () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
  return port;
}
