// What the transports of one process share: connections, look-ups, and turns.
import type { RequestListener, ServerResponse } from 'node:http';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { emitUsageMetrics } from '../../../src/client/direct.js';
import { createTelemetry } from '../../../src/client/telemetry.js';
import type { DrainReport, Telemetry } from '../../../src/client/telemetry.js';
import { Turns } from '../../../src/delivery/http/pool.js';
import type { SendOutcome } from '../../../src/delivery/transport.js';
import { startHttpProxy } from '../../helpers/http-proxy.js';
import { startHttp, startTcp, until } from '../../helpers/loopback.js';
import type { LoopbackServer } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { send, transportTo } from '../../helpers/sending.js';

const SENT: SendOutcome = { kind: 'sent' };
const ABORTED: SendOutcome = { kind: 'aborted' };

const ok: RequestListener = (_request, response) => {
  response.end('ok');
};

test('a limited number of turns run, the others wait in order', (t) => {
  const clock = new VirtualClock();
  const turns = new Turns(2, clock);
  const started: string[] = [];
  const take = (name: string) => turns.take(() => started.push(name));
  const [first, second, third, fourth] = [take('1'), take('2'), take('3'), take('4')];
  take('5');
  t.deepEqual(started, ['1', '2']);
  third();
  first();
  first();
  t.deepEqual(started, ['1', '2'], 'not before the next tick: who aborts many attempts aborts the waiting ones, too');
  clock.runDeferred();
  t.deepEqual(started, ['1', '2', '4']);
  second();
  fourth();
  clock.runDeferred();
  t.deepEqual(started, ['1', '2', '4', '5']);
  take('6');
  t.deepEqual(started, ['1', '2', '4', '5', '6'], 'at once if there is room');
  t.is(clock.pendingDeferred, 0);
});

test('when a transport joins, more may run at a time; when one leaves, fewer', (t) => {
  const clock = new VirtualClock();
  const turns = new Turns(2, clock);
  let running = 0;
  const ends = Array.from({ length: 9 }, () => turns.take(() => (running += 1)));
  const endOne = () => {
    ends.shift()?.();
    running -= 1;
    clock.runDeferred();
    return running;
  };
  t.is(running, 2);
  turns.allow(4);
  t.is(endOne(), 4);
  turns.allow(3);
  t.is(endOne(), 3);
  t.is(endOne(), 3);
});

// In series: on a busy machine a connection may be too old for the second request.
test.serial('transports with equal settings share connections, and the last one to close ends them', async (t) => {
  const waiting: ServerResponse[] = [];
  const server = await startHttp(t, (request, response) => {
    if (request.url?.includes('wait') === true) waiting.push(response);
    else response.end('ok');
  });
  const [first, second] = [transportTo(t, server.port), transportTo(t, server.port)];
  const other = transportTo(t, server.port, { connectTimeoutMs: 9000 });
  t.deepEqual(await send(first), SENT);
  t.deepEqual(await send(second), SENT);
  t.is(server.connections.length, 1);
  t.deepEqual(await send(other), SENT);
  t.is(server.connections.length, 2, 'other settings, other connections');
  const [own, theirs] = [send(first, '/v3/wait'), send(second, '/v3/wait')];
  await until(() => waiting.length === 2);
  await first.close?.();
  await first.close?.();
  t.deepEqual(await own, ABORTED);
  t.deepEqual(await send(first), ABORTED);
  for (const response of waiting) response.end('ok');
  t.deepEqual(await theirs, SENT, 'a close ends its own sends alone');
  const kept = server.connections.filter((socket) => !socket.destroyed).length;
  await second.close?.();
  await until(() => server.connections.filter((socket) => !socket.destroyed).length < kept);
  t.deepEqual(await send(transportTo(t, server.port)), SENT, 'a pool that was closed is not used again');
});

test('a proxy gets the credentials of the transport that sends', async (t) => {
  const proxy = await startHttpProxy(t, { targetPort: (await startHttp(t, ok)).port });
  const endpoint = 'http://collector.test';
  for (const credentials of ['me:one', 'me:two']) {
    const transport = transportTo(t, 0, { endpoint, proxy: `http://${credentials}@127.0.0.1:${proxy.port}` });
    t.deepEqual(await send(transport), SENT);
  }
  t.deepEqual(proxy.authorizations, ['Basic bWU6b25l', 'Basic bWU6dHdv']);
});

test('a close ends the tunnels that open for its own sends, also in a pool that others use', async (t) => {
  const silent = await startTcp(t, (socket) => socket.resume());
  const options = { endpoint: 'https://shared.test', proxy: `http://127.0.0.1:${silent.port}` };
  const [closed, other] = [transportTo(t, 0, options), transportTo(t, 0, options)];
  const [own, theirs] = [send(closed), send(other)];
  await until(() => silent.connections.length === 2);
  await closed.close?.();
  t.deepEqual(await own, ABORTED);
  await until(() => silent.connections.filter((socket) => socket.destroyed).length === 1);
  await other.close?.();
  t.deepEqual(await theirs, ABORTED);
});

const EVENT = { status: 'success', task_count: 1, acme_task_count: 1 } as const;

const UNHURRIED = { connectTimeoutMs: 10_000, attemptTimeoutMs: 20_000, drainOnExit: false } as const;

function clients(t: ExecutionContext, count: number, port: number, env: NodeJS.ProcessEnv = {}): Telemetry<'acme'>[] {
  const all = Array.from({ length: count }, () =>
    createTelemetry({ product: { name: 'acme', version: '1.0' }, endpoint: `http://127.0.0.1:${port}`, env, ...UNHURRIED }),
  );
  t.teardown(() => Promise.all(all.map((each) => each.close({ deadlineMs: 0 }))));
  return all;
}

function publish(all: readonly Telemetry<'acme'>[], events: number): void {
  for (let count = 0; count < events; count += 1) for (const each of all) each.publish('dag_run', EVENT);
}

function sum(reports: readonly DrainReport[]): Record<'published' | 'sent' | 'failed' | 'dropped' | 'pending', number> {
  const total = { published: 0, sent: 0, failed: 0, dropped: 0, pending: 0 };
  for (const report of reports) for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += report[key];
  return total;
}

/** A server that counts how many requests it has at a time. */
async function startCounting(t: ExecutionContext): Promise<{ server: LoopbackServer; mostAtATime: () => number }> {
  let now = 0;
  let most = 0;
  const server = await startHttp(t, (_request, response) => {
    now += 1;
    most = Math.max(most, now);
    response.once('close', () => {
      now -= 1;
    });
    response.end('ok');
  });
  return { server, mostAtATime: () => most };
}

test(proves('many-instances', 'events of 60 instances at once all arrive, over a bounded number of connections'), async (t) => {
  const { server, mostAtATime } = await startCounting(t);
  const all = clients(t, 60, server.port);
  publish(all, 8);
  const reports = await Promise.all(all.map((each) => each.close({ deadlineMs: 60_000 })));
  t.deepEqual(sum(reports), { published: 480, sent: 480, failed: 0, dropped: 0, pending: 0 });
  t.is(server.targets.length, 480);
  t.true(mostAtATime() <= 256, `${mostAtATime()} requests at a time`);
});

test('usage metrics of 400 calls at once all arrive, over a bounded number of connections', async (t) => {
  const { server, mostAtATime } = await startCounting(t);
  const options = { endpoint: `http://127.0.0.1:${server.port}`, env: {}, attemptTimeoutMs: 20_000 };
  const sent = await Promise.all(Array.from({ length: 400 }, (_, index) => emitUsageMetrics({ event_type: 'dag_run', index }, options)));
  t.is(sent.filter(Boolean).length, 400);
  t.true(mostAtATime() <= 256, `${mostAtATime()} requests at a time`);
});

for (const [how, reason] of [
  ['a close', 'deadline'],
  ['an opt-out', 'opted_out'],
] as const) {
  test(`at ${how}, an event that waits for its turn was not tried: it is dropped, and only what was tried has failed`, async (t) => {
    const server = await startHttp(t, () => undefined);
    const env: NodeJS.ProcessEnv = {};
    const all = clients(t, 13, server.port, env);
    publish(all, 30);
    const draining = all.map((each) => each.drain({ deadlineMs: 10_000 }));
    await until(() => server.targets.length === 256);
    if (reason === 'opted_out') env['DO_NOT_TRACK'] = '1';
    const reports = await Promise.all(all.map((each) => (each.enabled ? each.close({ deadlineMs: 0 }) : each.close())));
    await Promise.all(draining);
    t.deepEqual(sum(reports), { published: 390, sent: 0, failed: 256, dropped: 134, pending: 0 });
    t.deepEqual(
      reports.reduce((total, { reasons }) => total + (reasons[reason] ?? 0), 0),
      134,
    );
    t.is(server.targets.length, 256);
  });
}
