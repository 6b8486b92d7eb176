import test from 'ava';
import type { ExecutionContext } from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { refusedPort } from '../../src/testing/collector.js';
import { until } from './helpers/until.js';
import type { RelayOptions } from '../../src/relay/options.js';
import { startRig } from './helpers/relay-rig.js';
import type { Rig } from './helpers/relay-rig.js';

const event = (count: number) => `/v3/dag_run?status=success&task_count=${count}`;
const QUICK: RelayOptions = { backoffMs: 20, maxBackoffMs: 100 };

/** Looks at the accounts again and again while a test runs: they must add up at every instant. */
function watch(t: ExecutionContext, { relay }: Rig): void {
  const timer = setInterval(() => {
    const { published, sent, failed, dropped, pending } = relay.stats();
    if (published !== sent + failed + dropped + pending)
      t.fail(`${published} published, ${sent} sent, ${failed} failed, ${dropped} dropped, ${pending} pending`);
  }, 1);
  t.teardown(() => clearInterval(timer));
}

test('an endpoint that is down and comes back gets everything, roughly in order', async (t) => {
  const port = await refusedPort();
  const rig = await startRig(t, { ...QUICK, forward: `http://127.0.0.1:${port}/up` });
  watch(t, rig);
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
  // Six at a time leave in order, so that one may overtake another, by some places.
  const astray = arrived.reduce((sum, value, place) => sum + Math.abs(value - place), 0) / arrived.length;
  t.true(astray < 6, arrived.join(' '));
  const { published, failed, dropped, pending } = rig.relay.stats();
  t.deepEqual({ published, failed, dropped, pending }, { published: 50, failed: 0, dropped: 0, pending: 0 });
});

/** A collector on a port that was chosen before: it is the endpoint that comes back. */
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

test('an answer that says "not now" is waited out, for as long as it is given', async (t) => {
  const collector = await startCollector({
    faults: [{ kind: 'status', status: 503 }, { kind: 'status', status: 500 }, { kind: 'status', status: 408 }, { kind: 'ok' }],
  });
  t.teardown(() => collector.close());
  const rig = await startRig(t, { ...QUICK, forward: collector.url });
  watch(t, rig);
  await rig.get(event(1));
  await until(() => rig.relay.stats().sent === 1);
  t.deepEqual(
    collector.requests.map(({ status }) => status),
    [503, 500, 408, 200],
  );
  t.deepEqual(rig.relay.stats().reasons, {});
});

test('what ended unknown counts as failed and is not repeated, and neither is what was turned down', async (t) => {
  const collector = await startCollector({
    faults: [{ kind: 'status', status: 404 }, { kind: 'reset' }, { kind: 'hang' }, { kind: 'ok' }],
  });
  t.teardown(() => collector.close());
  const rig = await startRig(t, { ...QUICK, forward: collector.url, attemptTimeoutMs: 200, concurrency: 1 });
  watch(t, rig);
  for (let index = 0; index < 4; index += 1) await rig.get(event(index));
  await until(() => rig.relay.stats().pending === 0);
  const { sent, failed, failedBy, dropped } = rig.relay.stats();
  t.deepEqual({ sent, failed, dropped, failedBy }, { sent: 1, failed: 3, dropped: 0, failedBy: { http_404: 1, network: 1, timeout: 1 } });
  t.is(collector.requests.length, 4);
  t.is(rig.store().settled.length, 4);
});

test('what an earlier process left is published, and sent', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { relay, log } = await startRig(t, { forward: collector.url }, { leftBehind: [event(1), event(2)] });
  await until(() => relay.stats().sent === 2);
  const { published, accepted, pending } = relay.stats();
  t.deepEqual({ published, accepted, pending }, { published: 2, accepted: 0, pending: 0 });
  t.true(log.includes('[telemetry] recovered: 2 events were left by an earlier process'));
});

test('what is too old is dropped as expired', async (t) => {
  const rig = await startRig(t, { backoffMs: 3_600_000, maxBackoffMs: 3_600_000 });
  watch(t, rig);
  for (let index = 0; index < 3; index += 1) await rig.get(event(index));
  await until(() => rig.log.some((line) => line.includes(' connect: ')) && rig.store().length === 3);
  rig.store().tooOld = 2;
  await until(() => rig.relay.stats().dropped > 0);
  t.deepEqual([rig.relay.stats().droppedBy, rig.relay.stats().pending], [{ expired: 2 }, 1]);
});

test('close() delivers what waits', async (t) => {
  const collector = await startCollector({ faults: { kind: 'ok', delayMs: 20 } });
  t.teardown(() => collector.close());
  const { relay, get } = await startRig(t, { forward: collector.url });
  for (let index = 0; index < 40; index += 1) await get(event(index));
  const report = await relay.close();
  t.deepEqual([report.sent, report.pending, report.timedOut, collector.requests.length], [40, 0, false, 40]);
  t.is(await relay.close(), report);
});

test('close() leaves the rest in the spool, and without one it counts as dropped', async (t) => {
  for (const spool of [undefined, '/nowhere']) {
    const { relay, get, store, log } = await startRig(t, { ...(spool && { spool }), backoffMs: 1000, maxBackoffMs: 1000 });
    for (let index = 0; index < 5; index += 1) await get(event(index));
    await until(() => log.some((line) => line.includes(' connect: ')));
    if (spool === undefined) store().endsWithProcess = 5;
    const { published, sent, failed, droppedBy, pending, timedOut } = await relay.close({ deadlineMs: 400 });
    const expected = spool === undefined ? { droppedBy: { deadline: 5 }, pending: 0 } : { droppedBy: {}, pending: 5 };
    t.deepEqual(
      { published, sent, failed, droppedBy, pending, timedOut },
      { published: 5, sent: 0, failed: 0, timedOut: true, ...expected },
    );
    t.true(store().isClosed);
  }
});

test('while it closes it answers 503, and then not at all', async (t) => {
  const collector = await startCollector({ faults: { kind: 'hang' } });
  t.teardown(() => collector.close());
  const { relay, get } = await startRig(t, { forward: collector.url, attemptTimeoutMs: 3_600_000 });
  await get(event(1));
  await collector.waitFor(1);
  const closing = relay.close({ deadlineMs: 300 });
  const [late, unready, alive] = await Promise.all([get(event(2)), get('/readyz'), get('/healthz')]);
  t.deepEqual([late.status, late.text, late.headers['connection']], [503, 'closing\n', 'close']);
  t.deepEqual([unready.status, alive.status], [503, 200]);
  const { published, failedBy } = await closing;
  t.deepEqual({ published, failedBy }, { published: 1, failedBy: { aborted: 1 } });
  await t.throwsAsync(get('/healthz'), { code: 'ECONNREFUSED' });
});

test('fields that do not go on are named once, by name alone', async (t) => {
  const { get, log, relay } = await startRig(t);
  for (let index = 0; index < 3; index += 1) await get('/v3/dag_run?status=secret-value&new%0Afield=secret-value&task_count=1');
  const named = log.filter((line) => line.includes('field_dropped'));
  t.deepEqual(named, [
    '[telemetry] field_dropped: the field "status" does not go on: its value is not of its kind',
    '[telemetry] field_dropped: the field "new%0Afield" does not go on: nobody has declared it',
  ]);
  t.is(relay.stats().fieldsDropped, 6);
  t.false(log.join('\n').includes('secret-value'));
  for (let index = 0; index < 200; index += 1) await get(`/v3/dag_run?field_${index}_${'x'.repeat(1000)}=1`);
  const all = log.filter((line) => line.includes('field_dropped'));
  t.is(all.length, 50);
  t.true(all.every((line) => line.length < 200));
});
