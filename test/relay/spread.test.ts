// `spreadMs` of a relay: the pump on a virtual clock, and a real relay that closes.
import test from 'ava';
// Loaded before the first test: the dispatcher imports them by need, and `settle()` does not wait for that.
import 'p-queue';
import '../../src/delivery/spread.js';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { createRelay } from '../../src/relay/index.js';
import { startCollector } from '../../src/testing/index.js';
import { settle } from '../helpers/virtual-clock.js';
import { startPumpRig } from './helpers/pump-rig.js';
import { get } from './helpers/relay-rig.js';

const SPREAD_MS = 60_000;
const SENT: SendOutcome = { kind: 'sent' };
const REFUSED: SendOutcome = { kind: 'retryable', reason: 'connect', cause: 'refused' };
const targets = (events: number): string[] => Array.from({ length: events }, (_, number) => `/v3/${number}`);

test('what waits is spread evenly over spreadMs, also what an earlier process left', async (t) => {
  const { clock, store, attempts, accounts } = startPumpRig(t, { events: targets(3), endpoint: () => SENT, spreadMs: SPREAD_MS });
  await clock.advance(0);
  await clock.advance(14_999);
  t.is(attempts.length, 0);
  await clock.advance(30_001);
  t.deepEqual(
    attempts.map(({ atMs }) => atMs),
    [15_000, 30_000, 45_000],
  );
  await store.append('/v3/later');
  await clock.advance(29_000);
  t.is(attempts.length, 3);
  await clock.advance(1001);
  t.is(attempts.length, 4);
  t.deepEqual(accounts(), { sent: 4, failed: 0, dropped: 0, pending: 0 });
});

test('without spreadMs nothing waits', async (t) => {
  const { clock, attempts } = startPumpRig(t, { events: targets(3), endpoint: () => SENT });
  await clock.advance(0);
  await settle();
  t.is(attempts.length, 3);
});

test('a drain ends the wait', async (t) => {
  const { clock, pump, attempts } = startPumpRig(t, { events: targets(5), endpoint: () => SENT, spreadMs: SPREAD_MS });
  await clock.advance(1000);
  t.is(attempts.length, 0);
  const drained = pump.drain(5000);
  await clock.advance(10);
  t.false(await drained);
  t.is(attempts.length, 5);
});

test('nothing waits while the store has no room', async (t) => {
  const { clock, pump, settings, attempts } = startPumpRig(t, { events: targets(8), endpoint: () => SENT, spreadMs: SPREAD_MS });
  settings.hasRoom = false;
  await clock.advance(1000);
  t.is(attempts.length, 8);
  t.is(pump.pending, 0);
});

test('in an outage nothing waits for longer than the next probe once the store has no room', async (t) => {
  const { clock, settings, store, attempts, pump } = startPumpRig(t, { events: targets(3), endpoint: () => REFUSED, spreadMs: 3_600_000 });
  await clock.advance(4_000_000);
  const before = attempts.length;
  t.true(before >= 1);
  settings.endpoint = () => SENT;
  settings.hasRoom = false;
  await store.append('/v3/last');
  // Without the spread the second probe is due after two seconds at most.
  await clock.advance(2000);
  t.true(attempts.length > before, `${attempts.length} attempts`);
  await clock.advance(1000);
  t.is(pump.pending, 0);
});

test('after an outage what waits is spread', async (t) => {
  const { clock, settings, attempts, accounts, pump } = startPumpRig(t, {
    events: targets(20),
    endpoint: () => REFUSED,
    spreadMs: SPREAD_MS,
  });
  await clock.advance(600_000);
  t.is(accounts().pending, 20);
  settings.endpoint = () => SENT;
  const before = attempts.length;
  await clock.advance(4 * SPREAD_MS);
  t.is(pump.pending, 0);
  const times = attempts.slice(before).map(({ atMs }) => atMs);
  const first = times[0] ?? 0;
  // Twenty at once would be within a second.
  t.true((times.at(-1) ?? 0) - first > SPREAD_MS / 2, times.join(' '));
  for (const atMs of times) t.true(times.filter((each) => each >= atMs && each < atMs + 1000).length <= 2, times.join(' '));
});

test('createRelay takes spreadMs, and its close sends what waits', async (t) => {
  for (const spreadMs of [-1, 3_600_001, Number.NaN, '60']) {
    t.throws(() => createRelay({ spreadMs: spreadMs as number }), {
      instanceOf: TypeError,
      message: /^Expected `spreadMs` to be a number of milliseconds from 0 to 3600000, got /,
    });
  }
  const collector = await startCollector();
  const relay = createRelay({ listen: '127.0.0.1:0', forward: collector.url, env: {}, spreadMs: 3_600_000 });
  const { port } = await relay.listen();
  for (let count = 0; count < 10; count += 1) await get(port, `/v3/dag_run?status=success&task_count=${count}`);
  const { pending } = relay.stats();
  t.true(pending >= 9, `${pending} wait`);
  const { sent, dropped, failed } = await relay.close();
  t.deepEqual([sent, dropped, failed, collector.requests.length], [10, 0, 0, 10]);
  await collector.close();
});
