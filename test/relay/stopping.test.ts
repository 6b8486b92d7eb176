import type { LookupFunction } from 'node:net';
import path from 'node:path';
import test from 'ava';
import { theseParts } from '../../src/relay/wiring.js';
import { startCollector } from '../../src/testing/index.js';
import { until } from './helpers/until.js';
import { makeFolder } from './helpers/relay-child.js';
import { machine, startRig } from './helpers/relay-rig.js';

const { openStore } = theseParts;
const event = (count: number) => `/v3/dag_run?status=success&task_count=${count}`;
const EVENTS = [0, 1, 2, 3, 4];

/** A name server that never answers: a connection is never begun. */
function silentLookup(): { lookup: LookupFunction; asked: () => number } {
  let asked = 0;
  const lookup: LookupFunction = () => {
    asked += 1;
  };
  return { lookup, asked: () => asked };
}

test('what was written to the endpoint at the deadline has failed, and does not come back; what waited comes back once', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const silent = await startCollector({ faults: { kind: 'hang' } });
  t.teardown(() => silent.close());
  const first = await startRig(t, { spool, forward: silent.url, concurrency: 2, drainConcurrency: 2 }, { openStore });
  for (const count of EVENTS) t.is((await first.get(event(count))).status, 204);
  await silent.waitFor(2);
  const { published, sent, failedBy, droppedBy, pending, timedOut } = await first.relay.close({ deadlineMs: 50 });
  t.deepEqual(
    { published, sent, failedBy, droppedBy, pending, timedOut },
    { published: 5, sent: 0, failedBy: { aborted: 2 }, droppedBy: {}, pending: 3, timedOut: true },
  );

  const collector = await startCollector();
  t.teardown(() => collector.close());
  const second = await startRig(t, { spool, forward: collector.url }, { openStore });
  await collector.waitFor(3);
  const report = await second.relay.close();
  t.deepEqual([report.published, report.sent, report.store.recovered, report.store.maybeSentTwice], [3, 3, 3, 0]);
  t.deepEqual(collector.requests.map(({ url }) => url).sort(), [2, 3, 4].map(event));
});

test('what had not left at the deadline stays in the spool, and is in no doubt', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const { lookup, asked } = silentLookup();
  const first = await startRig(t, { spool, forward: 'http://endpoint.test/up' }, { openStore, machine: { ...machine, lookup } });
  for (const count of EVENTS) t.is((await first.get(event(count))).status, 204);
  await until(() => asked() === 5);
  const { published, failed, dropped, pending } = await first.relay.close({ deadlineMs: 50 });
  t.deepEqual({ published, failed, dropped, pending }, { published: 5, failed: 0, dropped: 0, pending: 5 });

  const collector = await startCollector();
  t.teardown(() => collector.close());
  const second = await startRig(t, { spool, forward: collector.url }, { openStore });
  await collector.waitFor(5);
  const report = await second.relay.close();
  t.deepEqual([report.sent, report.store.recovered, report.store.maybeSentTwice], [5, 5, 0]);
  t.deepEqual(collector.requests.map(({ url }) => url).sort(), EVENTS.map(event));
});

test('without a spool, what had not left at the deadline was never sent', async (t) => {
  const { lookup, asked } = silentLookup();
  const { relay, get } = await startRig(t, { forward: 'http://endpoint.test/up' }, { openStore, machine: { ...machine, lookup } });
  for (const count of EVENTS) t.is((await get(event(count))).status, 200);
  await until(() => asked() === 5);
  const { published, failedBy, droppedBy, pending } = await relay.close({ deadlineMs: 50 });
  t.deepEqual({ published, failedBy, droppedBy, pending }, { published: 5, failedBy: {}, droppedBy: { deadline: 5 }, pending: 0 });
});

test('an opt-out accounts for what had not left, and takes it off the disk', async (t) => {
  const env: NodeJS.ProcessEnv = {};
  const spool = path.join(makeFolder(t), 'spool');
  const { lookup, asked } = silentLookup();
  const { relay, get } = await startRig(
    t,
    { env, spool, forward: 'http://endpoint.test/up' },
    { openStore, machine: { ...machine, lookup } },
  );
  for (const count of EVENTS) t.is((await get(event(count))).status, 204);
  await until(() => asked() === 5);
  env['DO_NOT_TRACK'] = '1';
  await until(() => relay.stats().dropped > 0);
  const { published, failed, droppedBy, pending } = await relay.close();
  t.deepEqual({ published, failed, droppedBy, pending }, { published: 5, failed: 0, droppedBy: { opted_out: 5 }, pending: 0 });
  const next = await startRig(t, { spool, forward: 'http://127.0.0.1:9' }, { openStore });
  t.is(next.relay.stats().store.recovered, 0);
});

test('events that the disk never took count as dropped when the process ends', async (t) => {
  const { relay, get, store, log } = await startRig(t, { spool: '/nowhere', backoffMs: 3_600_000, maxBackoffMs: 3_600_000 });
  for (const count of EVENTS) await get(event(count));
  await until(() => log.some((line) => line.includes(' connect: ')) && store().length === 5);
  store().endsWithProcess = 2;
  const { published, failed, droppedBy, pending } = await relay.close({ deadlineMs: 0 });
  t.deepEqual({ published, failed, droppedBy, pending }, { published: 5, failed: 0, droppedBy: { deadline: 2 }, pending: 3 });
  t.true(log.includes('[telemetry] spool_not_written: the disk did not take 2 of the events that wait: they end with this process'));
});
