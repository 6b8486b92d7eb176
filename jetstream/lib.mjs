// What the suites share: checks that are printed, a relay with its endpoint, and a way to the server that can be cut.
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as client from '@nats-io/transport-node';
import { jetstreamStore } from '../dist/jetstream/index.js';
import { createRelay } from '../dist/relay/index.js';
import { startCollector } from '../dist/testing/index.js';

export const EVENT = '/v3/dag_run?status=success&task_count=1';

/** Prints each check. `isFine` says whether all of them were right, and that there were some. */
export class Checks {
  #right = 0;
  #wrong = 0;

  check = (isRight, text) => {
    if (isRight) this.#right += 1;
    else this.#wrong += 1;
    console.log(`${isRight ? 'ok' : 'NOT'}: ${text}`);
  };

  get isFine() {
    return this.#wrong === 0 && this.#right > 0;
  }
}

/** A way to the server that can be cut: `silent` keeps connections and passes nothing on, `reset` ends each one. */
export async function startFront(port) {
  const sockets = new Set();
  let mode = 'open';
  /** Messages until the cut, and what is done at it. */
  let left = Infinity;
  let onCut;
  let cuts = 0;
  const count = () => {
    left -= 1;
    if (left > 0) return;
    left = Infinity;
    cuts += 1;
    onCut?.();
    for (const each of sockets) each.resetAndDestroy();
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (mode === 'reset') {
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    const inner = connect(port, '127.0.0.1');
    inner.on('error', () => undefined);
    for (const [from, to] of [
      [socket, inner],
      [inner, socket],
    ]) {
      from.on('data', (chunk) => {
        if (mode !== 'open') return;
        to.write(chunk);
        count();
      });
      from.on('close', () => to.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `nats://127.0.0.1:${server.address().port}`,
    set: (next) => {
      mode = next;
      if (next === 'reset') for (const socket of sockets) socket.resetAndDestroy();
    },
    /** Cuts all connections after so many messages, once. */
    cutAfter: (messages, then) => {
      left = messages;
      onCut = then;
    },
    get cuts() {
      return cuts;
    },
    end: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** An event of a host, with an id of its own. */
export const event = (target = EVENT) => ({
  id: crypto.randomUUID(),
  timeMs: Date.now(),
  type: 'dag_run',
  metrics: {},
  requestTarget: () => target,
});
/** No send is aborted. */
export const never = new AbortController().signal;
export const quick = { client, connectTimeoutMs: 500, publishTimeoutMs: 500 };

export async function until(isSo, limitMs = 10_000) {
  const untilMs = performance.now() + limitMs;
  while (!(await isSo()) && performance.now() < untilMs) await sleep(10);
  return isSo();
}

/** A relay whose endpoint is a collector. */
export async function startRelay(servers, options = {}, relayOptions = {}) {
  const collector = await startCollector();
  const relay = createRelay({
    listen: '127.0.0.1:0',
    forward: collector.url,
    env: {},
    backoffMs: 20,
    maxBackoffMs: 100,
    store: jetstreamStore({ ...quick, servers, ...options }),
    ...relayOptions,
  });
  const { url } = await relay.listen().catch(async (error) => {
    await collector.close();
    throw error;
  });
  const ask = async (path = EVENT) => {
    const response = await fetch(`${url}${path}`);
    return [response.status, (await response.text()).trim()];
  };
  const end = async (deadlineMs) => {
    const startedAtMs = performance.now();
    const report = await relay.close({ deadlineMs });
    await collector.close();
    const { published, sent, failed, dropped, pending } = report;
    return { report, tookMs: performance.now() - startedAtMs, isBalanced: published === sent + failed + dropped + pending };
  };
  return { relay, url, collector, ask, end };
}
