// The relay's core through its HTTP interface: delivery, opt-outs, and a disk that fails.
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { RelayOptions } from '../../src/relay/options.js';
import { openSpool } from '../../src/relay/spool/index.js';
import { defaultParts } from '../../src/relay/wiring.js';
import type { StoreRequest } from '../../src/relay/wiring.js';
import { startCollector } from '../../src/testing/index.js';
import { refusedPort } from '../../src/testing/collector.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { makeFolder } from './helpers/relay-child.js';
import { closeOf, machine, startRig } from './helpers/relay-rig.js';
import type { Rig } from './helpers/relay-rig.js';
import { StandInStore } from './helpers/stand-in-store.js';
import { until } from './helpers/until.js';
import { FaultyFiles } from './spool/faulty-files.js';
import { proves } from '../helpers/promises.js';

const { openStore } = defaultParts;
const EVENT = '/v3/dag_run?status=success&task_count=3';
const event = (count: number) => `/v3/dag_run?status=success&task_count=${count}`;
const QUICK: RelayOptions = { backoffMs: 20, maxBackoffMs: 100 };
/** One failed attempt stops delivery for the test. */
const ONE_ATTEMPT: RelayOptions = { backoffMs: 3_600_000, maxBackoffMs: 3_600_000 };

/** Checks the sum of the counters every millisecond while a test runs. */
function checkSum(t: ExecutionContext, { relay }: Rig): void {
  const timer = setInterval(() => {
    const { published, sent, failed, dropped, pending } = relay.stats();
    if (published !== sent + failed + dropped + pending)
      t.fail(`${published} published, ${sent} sent, ${failed} failed, ${dropped} dropped, ${pending} pending`);
  }, 1);
  t.teardown(() => clearInterval(timer));
}

test('what waits on disk alone is sent later, and what is lost there is counted as unreadable', async (t) => {
  const port = await refusedPort();
  const spool = path.join(makeFolder(t), 'spool');
  const parts = { openStore: (request: StoreRequest) => openStore({ ...request, readAheadBytes: 1024 }) };
  const rig = await startRig(t, { ...QUICK, forward: `http://127.0.0.1:${port}/up`, spool }, parts);
  checkSum(t, rig);
  for (let index = 0; index < 100; index += 1) t.is((await rig.get(event(index))).status, 204);
  const events = path.join(spool, 'events-000001.jsonl');
  const lines = readFileSync(events, 'utf8').split('\n');
  truncateSync(events, lines.slice(0, 90).join('\n').length + 1);
  const collector = await startCollectorAt(t, port);
  await until(() => rig.relay.stats().pending === 0);
  t.is(collector.requests.length, 90);
  t.deepEqual(rig.relay.stats().droppedBy, { unreadable: 10 });
  t.true(rig.log.some((line) => line.includes('spool_unreadable')));
});

test('the page tells the events that were lost as unreadable, and none of the others', async (t) => {
  const port = await refusedPort();
  const spool = path.join(makeFolder(t), 'spool');
  const parts = { openStore: (request: StoreRequest) => openStore({ ...request, readAheadBytes: 1024 }) };
  const rig = await startRig(t, { ...QUICK, forward: `http://127.0.0.1:${port}/up`, spool, showEvents: true }, parts);
  for (let index = 0; index < 50; index += 1) await rig.get(event(index));
  const events = path.join(spool, 'events-000001.jsonl');
  const lines = readFileSync(events, 'utf8').split('\n');
  truncateSync(events, lines.slice(0, 40).join('\n').length + 1);
  await startCollectorAt(t, port);
  await until(() => rig.relay.stats().pending === 0);
  const shown = async () => (await rig.get('/')).text.match(/(?<=<span class="\w+">)(?:sent|waiting|dropped)(?=<)/g)?.map(String) ?? [];
  let fates = await shown();
  while (fates.includes('waiting')) fates = await shown();
  t.deepEqual(fates, [...Array.from({ length: 10 }, () => 'dropped'), ...Array.from({ length: 40 }, () => 'sent')]);
});

test(proves('relay-endpoint-away', 'an endpoint that is down and comes back gets all events, roughly in order'), async (t) => {
  const port = await refusedPort();
  const rig = await startRig(t, { ...QUICK, forward: `http://127.0.0.1:${port}/up` });
  checkSum(t, rig);
  for (let index = 0; index < 50; index += 1) t.is((await rig.get(event(index))).status, 204);
  await until(() => rig.log.some((line) => line.includes(' connect: ')));
  t.deepEqual([rig.relay.stats().sent, rig.relay.stats().pending], [0, 50]);
  const collector = await startCollectorAt(t, port);
  await collector.waitFor(50);
  await until(() => rig.relay.stats().sent === 50);
  const arrived = collector.requests.map(({ query }) => Number(query[1]?.[1]));
  t.deepEqual(
    [...arrived].sort((left, right) => left - right),
    Array.from({ length: 50 }, (_, index) => index),
  );
  // Six events are in flight at a time: one may overtake another by a few places.
  const astray = arrived.reduce((sum, value, place) => sum + Math.abs(value - place), 0) / arrived.length;
  t.true(astray < 6, arrived.join(' '));
  const { published, failed, dropped, pending } = rig.relay.stats();
  t.deepEqual({ published, failed, dropped, pending }, { published: 50, failed: 0, dropped: 0, pending: 0 });
});

/** A collector on a port chosen before: the endpoint that comes back. */
async function startCollectorAt(t: ExecutionContext, port: number) {
  const collector = await startCollector();
  const { createServer, connect } = await import('node:net');
  const front = createServer((socket) => {
    const inner = connect(collector.port, '127.0.0.1');
    socket.on('error', () => inner.destroy());
    inner.on('error', () => socket.destroy());
    socket.pipe(inner).pipe(socket);
  });
  await new Promise<void>((resolve) => {
    front.listen(port, '127.0.0.1', resolve);
  });
  t.teardown(async () => {
    front.close();
    await collector.close();
  });
  return collector;
}

test('an event is sent again for as long as the endpoint answers 408, 500 or 503', async (t) => {
  const collector = await startCollector({
    faults: [{ kind: 'status', status: 503 }, { kind: 'status', status: 500 }, { kind: 'status', status: 408 }, { kind: 'ok' }],
  });
  t.teardown(() => collector.close());
  const rig = await startRig(t, { ...QUICK, forward: collector.url });
  checkSum(t, rig);
  await rig.get(event(1));
  await until(() => rig.relay.stats().sent === 1);
  t.deepEqual(
    collector.requests.map(({ status }) => status),
    [503, 500, 408, 200],
  );
  t.deepEqual(rig.relay.stats().reasons, {});
});

test('an attempt with an unknown outcome counts as failed and is not retried', async (t) => {
  const collector = await startCollector({ faults: [{ kind: 'reset' }, { kind: 'hang' }, { kind: 'ok' }] });
  t.teardown(() => collector.close());
  const rig = await startRig(t, { ...QUICK, forward: collector.url, attemptTimeoutMs: 200, concurrency: 1 });
  checkSum(t, rig);
  for (let index = 0; index < 3; index += 1) await rig.get(event(index));
  await until(() => rig.relay.stats().pending === 0);
  const { sent, failed, failedBy, dropped } = rig.relay.stats();
  t.deepEqual({ sent, failed, dropped, failedBy }, { sent: 1, failed: 2, dropped: 0, failedBy: { network: 1, timeout: 1 } });
  t.is(collector.requests.length, 3);
  t.is(rig.store().settled.length, 3);
});

test('events of an earlier process are published and sent', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { relay, log } = await startRig(t, { forward: collector.url }, { leftBehind: [event(1), event(2)] });
  await until(() => relay.stats().sent === 2);
  const { published, accepted, pending } = relay.stats();
  t.deepEqual({ published, accepted, pending }, { published: 2, accepted: 0, pending: 0 });
  t.true(log.includes('[telemetry] recovered: 2 events were left by an earlier process'));
});

test('an event that is too old is dropped as expired', async (t) => {
  const rig = await startRig(t, ONE_ATTEMPT);
  checkSum(t, rig);
  for (let index = 0; index < 3; index += 1) await rig.get(event(index));
  await until(() => rig.log.some((line) => line.includes(' connect: ')) && rig.store().length === 3);
  rig.store().tooOld = 2;
  await until(() => rig.relay.stats().dropped > 0);
  t.deepEqual([rig.relay.stats().droppedBy, rig.relay.stats().pending], [{ expired: 2 }, 1]);
  t.is(rig.log.filter((line) => line.includes('expired: 2 events')).length, 1, rig.log.join('\n'));
});

test(proves('relay-clock', 'an event that is too old at the start is dropped as expired, and a line says so'), async (t) => {
  const { relay, log } = await startRig(t, ONE_ATTEMPT, { leftBehind: [event(1), event(2), event(3)], tooOld: 2 });
  t.deepEqual([relay.stats().published, relay.stats().droppedBy, relay.stats().pending], [3, { expired: 2 }, 1]);
  t.is(log.filter((line) => line.includes('expired: 2 events')).length, 1, log.join('\n'));
});

test('COSMOS_TELEMETRY_ENDPOINT does not change where events are forwarded', async (t) => {
  const trap = await startCollector();
  const endpoint = await startCollector();
  t.teardown(() => Promise.all([trap.close(), endpoint.close()]));
  const { get } = await startRig(t, { forward: endpoint.url, env: { COSMOS_TELEMETRY_ENDPOINT: trap.url } });
  t.is((await get(EVENT)).status, 204);
  await endpoint.waitFor(1);
  t.is(trap.requests.length, 0);
});

test('a dropped field is logged once, by its name alone', async (t) => {
  const { get, log, relay } = await startRig(t);
  for (let index = 0; index < 3; index += 1) await get('/v3/dag_run?status=secret-value&new%0Afield=secret-value&task_count=1');
  const named = log.filter((line) => line.includes('field_dropped'));
  t.deepEqual(named, [
    '[telemetry] field_dropped: the field "status" is not forwarded: its value is not of the declared kind',
    '[telemetry] field_dropped: the field "new%0Afield" is not forwarded: it is not declared',
  ]);
  t.is(relay.stats().fieldsDropped, 6);
  t.false(log.join('\n').includes('secret-value'));
  for (let index = 0; index < 200; index += 1) await get(`/v3/dag_run?field_${index}_${'x'.repeat(1000)}=1`);
  const all = log.filter((line) => line.includes('field_dropped'));
  t.is(all.length, 50);
  t.true(all.every((line) => line.length < 200));
});

const SWITCHES = [
  { DO_NOT_TRACK: '1' },
  { SCARF_NO_ANALYTICS: 'true' },
  { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'False' },
  { COSMOS_TELEMETRY: 'off' },
];

for (const env of SWITCHES) {
  test(
    proves('relay-opt-out', `${Object.keys(env)[0]} at the start: new events are answered 202, and stored ones are deleted`),
    async (t) => {
      const collector = await startCollector();
      t.teardown(() => collector.close());
      const { get, store, relay } = await startRig(t, { env, forward: collector.url, spool: '/' }, { leftBehind: [EVENT, EVENT] });
      const answer = await get(EVENT);
      t.deepEqual([answer.status, answer.text], [202, 'telemetry is opted out of here: the event is discarded\n']);
      t.deepEqual([store().length, store().isClosed], [0, true]);
      const {
        published,
        accepted,
        store: { recovered },
        droppedBy,
        pending,
      } = await relay.close();
      t.deepEqual(
        { published, accepted, recovered, droppedBy, pending },
        { published: 2, accepted: 0, recovered: 2, droppedBy: { opted_out: 2 }, pending: 0 },
      );
      t.is(collector.connections, 0);
    },
  );

  test(
    proves('relay-opt-out', `${Object.keys(env)[0]} while it runs: pending events are deleted, and no more events are sent`),
    async (t) => {
      const mine: NodeJS.ProcessEnv = {};
      const { get, store, relay, log } = await startRig(t, { env: mine, spool: '/nowhere', ...ONE_ATTEMPT });
      for (let index = 0; index < 5; index += 1) t.is((await get(EVENT)).status, 204);
      await until(() => store().length === 5 && log.some((line) => line.includes(' connect: ')));
      Object.assign(mine, env);
      await until(() => store().length === 0);
      t.is((await get(EVENT)).status, 202);
      t.is((await get('/v3/dag_run?status=%zz')).status, 400);
      const { published, droppedBy, pending } = await relay.close();
      t.deepEqual({ published, droppedBy, pending }, { published: 5, droppedBy: { opted_out: 5 }, pending: 0 });
      t.true(log.some((line) => line.startsWith('[telemetry] opted_out: ')));
    },
  );
}

test('opted out from the start, a missing spool is not created', async (t) => {
  const { get, store } = await startRig(t, { env: { DO_NOT_TRACK: '1' }, spool: '/nowhere/at/all' });
  t.is((await get(EVENT)).status, 202);
  t.is(store(), undefined as never);
});

test('`enabled: false` opts out', async (t) => {
  const { get } = await startRig(t, { enabled: false });
  t.is((await get(EVENT)).status, 202);
});

test('an event that is being stored when an opt-out appears is deleted', async (t) => {
  const mine: NodeJS.ProcessEnv = {};
  let finishAppend: (() => void) | undefined;
  let store: StandInStore | undefined;
  const { get, relay, log } = await startRig(
    t,
    { env: mine, spool: '/nowhere' },
    {
      openStore: ({ onStored }) => {
        const held = new StandInStore(onStored);
        const append = held.append.bind(held);
        held.append = async (target) => {
          await new Promise<void>((resolve) => {
            finishAppend = resolve;
          });
          return append(target);
        };
        store = held;
        return Promise.resolve(held);
      },
    },
  );
  const answer = get(EVENT);
  await until(() => finishAppend !== undefined);
  mine['DO_NOT_TRACK'] = '1';
  await until(() => log.some((line) => line.startsWith('[telemetry] opted_out: ')));
  finishAppend?.();
  t.is((await answer).status, 202);
  await until(() => relay.stats().dropped === 1);
  t.deepEqual([store?.length, relay.stats().published, relay.stats().pending], [0, 1, 0]);
});

test('debug mode prints each request and sends none', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const printed: string[] = [];
  const { get, relay } = await startRig(
    t,
    { env: { COSMOS_TELEMETRY_DEBUG: '1' }, forward: collector.url },
    {
      machine: {
        ...machine,
        descriptors: {
          open: () => Promise.resolve(2),
          write: (_descriptor, bytes) => {
            printed.push(Buffer.from(bytes).toString());
            return Promise.resolve(bytes.length);
          },
          close: () => Promise.resolve(),
        },
      },
    },
  );
  await get(EVENT);
  await until(() => relay.stats().dropped === 1);
  t.deepEqual([printed, relay.stats().droppedBy, collector.connections], [[`[telemetry] GET ${collector.url}${EVENT}\n`], { debug: 1 }, 0]);
});

test(proves('relay-disk', 'a disk that hangs delays neither answers nor close()'), async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const clock = new VirtualClock();
  const faulty = new FaultyFiles();
  const openHanging: typeof openStore = ({ directory = '', ...rest }) => openSpool({ directory, ...rest, fs: faulty.files });
  const rig = await startRig(t, { spool, ...ONE_ATTEMPT }, { openStore: openHanging, machine: { ...machine, clock } });
  t.is((await rig.get(event(0))).status, 204);
  const disk = faulty.hold('file.datasync');
  t.teardown(() => disk.end());
  const late = rig.get(event(1));
  await disk.arrived();
  await clock.advance(500);
  t.is((await late).status, 200);
  t.is((await rig.get(event(2))).status, 200);
  t.false(rig.relay.stats().store.isDurable);
  const startedAtMs = clock.now();
  const report = await closeOf(rig.relay, clock, 100);
  const { published, sent, failed, droppedBy, pending } = report;
  t.deepEqual(
    { published, sent, failed, droppedBy, pending },
    { published: 3, sent: 0, failed: 0, droppedBy: { deadline: 2 }, pending: 1 },
  );
  t.true(clock.now() - startedAtMs <= 1500, String(clock.now() - startedAtMs));
});

test('a disk that fails at the start: events go to memory, and those of an earlier process count once the disk works', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const away = { spool, ...ONE_ATTEMPT };
  const first = await startRig(t, away, { openStore });
  for (const count of [0, 1]) t.is((await first.get(event(count))).status, 204);
  await first.relay.close({ deadlineMs: 0 });
  const clock = new VirtualClock();
  const faulty = new FaultyFiles();
  faulty.failAll('EROFS');
  const openReadOnly: typeof openStore = ({ directory = '', ...rest }) => openSpool({ directory, ...rest, fs: faulty.files });
  const { relay, get, log } = await startRig(t, away, { openStore: openReadOnly, machine: { ...machine, clock } });
  t.is((await get(event(2))).status, 200);
  t.deepEqual([relay.stats().published, relay.stats().isAccepting, log.filter((line) => line.includes('EROFS')).length], [1, true, 1]);
  faulty.faults.clear();
  while (!relay.stats().store.isDurable) await clock.advance(100);
  t.is((await get(event(3))).status, 204);
  const { published, accepted, pending, store } = relay.stats();
  t.deepEqual({ published, accepted, pending, recovered: store.recovered }, { published: 4, accepted: 2, pending: 4, recovered: 2 });
});

test('opted out, events on a disk that fails at the start are deleted once the disk works', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const first = await startRig(t, { spool, ...ONE_ATTEMPT }, { openStore });
  t.is((await first.get(event(0))).status, 204);
  await first.relay.close({ deadlineMs: 0 });
  for (const isOptedOutFromTheStart of [true, false]) {
    const env: NodeJS.ProcessEnv = isOptedOutFromTheStart ? { DO_NOT_TRACK: '1' } : {};
    const clock = new VirtualClock();
    const faulty = new FaultyFiles();
    faulty.failAll('EROFS');
    const openReadOnly: typeof openStore = ({ directory = '', ...rest }) => openSpool({ directory, ...rest, fs: faulty.files });
    const { relay } = await startRig(t, { env, spool }, { openStore: openReadOnly, machine: { ...machine, clock } });
    env['DO_NOT_TRACK'] = '1';
    await clock.advance(2000);
    faulty.faults.clear();
    while (relay.stats().dropped === 0) await clock.advance(100);
    const { published, droppedBy, pending } = await closeOf(relay, clock);
    t.deepEqual({ published, droppedBy, pending }, { published: 1, droppedBy: { opted_out: 1 }, pending: 0 });
    const next = await startRig(t, { spool, ...ONE_ATTEMPT }, { openStore });
    t.is(next.relay.stats().store.recovered, 0);
    t.is((await next.get(event(0))).status, 204);
    await next.relay.close({ deadlineMs: 0 });
  }
});

test('a spool that cannot be used: the relay starts with memory, and /readyz and the log say so; spoolRequired refuses', async (t) => {
  const spool = path.join(makeFolder(t), 'file');
  writeFileSync(spool, '');
  const { get, log } = await startRig(t, { ...ONE_ATTEMPT, spool }, { openStore });
  t.is((await get(EVENT)).status, 200);
  const ready = await get('/readyz');
  t.deepEqual([ready.status, ready.text], [200, 'ready, but the spool cannot be used: events are in memory only\n']);
  t.true(log.some((line) => line.includes('spool_refused') && line.includes(spool)));
  await t.throwsAsync(startRig(t, { spool, spoolRequired: true }, { openStore }), { name: 'SpoolError', message: /is not a directory/ });
  const message = 'Expected `spool` to be the path of a directory if `spoolRequired` is true, got none.';
  await t.throwsAsync(startRig(t, { spool: undefined, spoolRequired: true }), { instanceOf: TypeError, message });
});
