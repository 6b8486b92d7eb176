// The option `spreadMs`: whole clients on a virtual clock, and a process that ends.
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { ProcessEnd } from '../../src/delivery/process-end.js';
import '../../src/delivery/spread.js';
import { circuitBreaker, count, createTelemetry, defineEvent, optional } from '../../src/index.js';
import type { SendOutcome, TelemetryOptions } from '../../src/index.js';
import { startCollector } from '../../src/testing/index.js';
import type { ChildReport, ChildSettings } from '../helpers/exit-child.js';
import { runChild } from '../helpers/run-child.js';
import { seededRandom, SteppedTransport } from '../helpers/stepped-transport.js';
import { addsUp, virtualMachine } from '../helpers/telemetry-rig.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

const SPREAD_MS = 60_000;
const SENT: SendOutcome = { kind: 'sent' };
const REFUSED: SendOutcome = { kind: 'retryable', reason: 'connect', cause: 'refused' };
const tick = defineEvent('tick', { n: optional(count({ description: 'Which one.', reason: 'To tell them apart in tests.' })) });

interface RigOptions {
  /** The random numbers of the spread; the last one repeats. */
  draws?: readonly number[];
  options?: Partial<TelemetryOptions>;
  /** How long the network takes to answer. */
  answerMs?: number;
}

/** A client with a breaker, and a network that the test switches. */
function rig(t: ExecutionContext, { draws = [0.5], options = {}, answerMs = 0 }: RigOptions = {}) {
  const clock = new VirtualClock();
  const network = { answer: SENT };
  const inner = new SteppedTransport(
    async () => {
      const { answer } = network;
      if (answerMs > 0) await new Promise<void>((resolve) => void clock.setTimeout(resolve, answerMs));
      return answer;
    },
    () => clock.now(),
  );
  const numbers = [...draws];
  const random = (): number => (numbers.length > 1 ? numbers.shift() : numbers[0]) ?? 0;
  ProcessEnd.of(clock, () => false);
  const transport = circuitBreaker(inner, { clock, random: () => 0.5 });
  const product = { name: 'acme', version: '1.0.0' };
  const env: Record<string, string> = {};
  const telemetry = createTelemetryWith(
    { product, transport, env, events: [tick], drainOnExit: false, spreadMs: SPREAD_MS, ...(options as object) },
    virtualMachine(clock, random),
  );
  const publish = async (events: number): Promise<void> => {
    for (let n = 0; n < events; n += 1) telemetry.publish('tick', { n });
    await clock.advance(0);
  };
  t.teardown(async () => {
    const closed = telemetry.close({ deadlineMs: 0 });
    await clock.advance(1);
    if (!addsUp(await closed)) throw new Error('the accounts do not balance');
  });
  return { telemetry, clock, network, env, publish, sentAt: () => inner.sends.map(({ atMs }) => atMs) };
}

test('the events of a run are spread evenly over spreadMs, and those that come later over theirs', async (t) => {
  const { publish, clock, sentAt, telemetry } = rig(t);
  await publish(3);
  await clock.advance(14_999);
  t.deepEqual(sentAt(), []);
  t.like(telemetry.stats(), { published: 3, pending: 3 });
  await clock.advance(30_001);
  t.deepEqual(sentAt(), [15_000, 30_000, 45_000]);
  // Nothing waits any more, so the next one has all of the time.
  await publish(1);
  await clock.advance(20_000);
  // It has 40 s left, and is drawn anew with these three, which have 60 s: one of 40 s and three of 60 s make about a batch each 12 s.
  await publish(3);
  await clock.advance(10_908);
  t.is(sentAt().length, 3);
  await clock.advance(2);
  t.is(sentAt().length, 4);
  await clock.advance(SPREAD_MS);
  t.like(telemetry.stats(), { published: 7, sent: 7, pending: 0 });
});

test('however many events wait, and whatever is drawn, none waits for longer than spreadMs', async (t) => {
  const random = seededRandom(7);
  const { publish, clock, sentAt, telemetry } = rig(t, { draws: Array.from({ length: 1000 }, random) });
  for (let round = 0; round < 3; round += 1) {
    await publish(100);
    await clock.advance(SPREAD_MS);
    t.is(telemetry.stats().pending, 0);
  }
  // In each quarter of the time about a quarter of them.
  for (let quarter = 0; quarter < 12; quarter += 1) {
    const sent = sentAt().filter((atMs) => Math.floor((atMs * 4) / SPREAD_MS) === quarter).length;
    t.true(sent > 15 && sent < 35, `${sent} in quarter ${quarter}`);
  }
});

for (const draw of [0, 0.001, 0.3, 1 - Number.EPSILON]) {
  test(`the time is drawn evenly from 0 to spreadMs: ${draw}`, async (t) => {
    const { publish, clock, sentAt } = rig(t, { draws: [draw] });
    await publish(1);
    await clock.advance(SPREAD_MS);
    t.is(sentAt().length, 1);
    t.true(Math.abs((sentAt()[0] ?? -1) - draw * SPREAD_MS) < 0.001, String(sentAt()[0]));
  });
}

test('by default nothing is drawn and nothing waits', async (t) => {
  let drawn = 0;
  const clock = new VirtualClock();
  const inner = new SteppedTransport(SENT, () => clock.now());
  const telemetry = createTelemetryWith(
    { product: { name: 'acme', version: '1.0.0' }, transport: inner, env: {}, events: [tick], drainOnExit: false },
    virtualMachine(clock, () => {
      drawn += 1;
      return 0.5;
    }),
  );
  telemetry.publish('tick', {});
  await clock.advance(0);
  t.is(inner.sends.length, 1);
  t.is(drawn, 0);
});

test('what is published while a request is in flight waits, too', async (t) => {
  const { publish, clock, sentAt } = rig(t, { draws: [0, 0.5], answerMs: 100 });
  await publish(1);
  await clock.advance(50);
  await publish(1);
  await clock.advance(SPREAD_MS);
  t.deepEqual(sentAt(), [0, 30_050]);
});

test('a drain does not end the pause that the server asked for during a longer wait', async (t) => {
  const { telemetry, clock, network, publish, sentAt } = rig(t);
  network.answer = { kind: 'deferred', waitMs: 5000, reason: 'http_429' };
  await publish(4);
  while (sentAt().length === 0) await clock.advance(1000);
  const pausedUntilMs = (sentAt()[0] ?? 0) + 5000;
  network.answer = SENT;
  const drained = telemetry.drain({ deadlineMs: 60_000 });
  await clock.advance(pausedUntilMs - clock.now() - 1);
  t.is(sentAt().length, 1);
  await clock.advance(2);
  t.deepEqual(
    sentAt().slice(1),
    Array.from({ length: 4 }, () => pausedUntilMs),
  );
  t.is((await drained).sent, 4);
});

test('a drain ends the wait, and what is published during the drain does not wait', async (t) => {
  const { publish, clock, sentAt, telemetry } = rig(t, { answerMs: 10 });
  await publish(2);
  await clock.advance(1000);
  const drained = telemetry.drain();
  await clock.advance(5);
  await publish(1);
  await clock.advance(1000);
  t.like(await drained, { timedOut: false, durationMs: 10, sent: 2 });
  t.deepEqual(sentAt(), [1000, 1000, 1005]);
  await publish(1);
  await clock.advance(29_000);
  t.is(sentAt().length, 3, 'after the drain new events wait again');
});

test('a close ends the wait', async (t) => {
  const { publish, clock, sentAt, telemetry } = rig(t);
  await publish(2);
  const closed = telemetry.close();
  await clock.advance(0);
  t.like(await closed, { timedOut: false, durationMs: 0, sent: 2, pending: 0 });
  t.deepEqual(sentAt(), [0, 0]);
  t.is(clock.pendingRefTimers, 0);
});

test('an opt-out during the wait ends it: nothing is sent, and every event is counted', async (t) => {
  const { publish, clock, sentAt, telemetry, env } = rig(t);
  await publish(2);
  await clock.advance(5000);
  env['DO_NOT_TRACK'] = '1';
  await clock.advance(1000);
  t.like(telemetry.stats(), { published: 2, dropped: 2, pending: 0, reasons: { opted_out: 2 } });
  await clock.advance(SPREAD_MS);
  t.deepEqual(sentAt(), []);
});

test('the wait does not keep the process alive', async (t) => {
  const { publish, clock } = rig(t);
  await publish(1);
  t.true(clock.pendingTimers > 0);
  t.is(clock.pendingRefTimers, 0);
});

test('a process that ends during the wait delivers', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const settings: ChildSettings = {
    events: 5,
    end: 'return',
    liveOnMs: 20,
    options: { endpoint: collector.url, spreadMs: 3_600_000, exitDeadlineMs: 5000 },
  };
  const { code, stdout, stderr } = await runChild('exit-child', [JSON.stringify(settings)]);
  t.is(stderr, '');
  t.is(code, 0);
  const { stats, afterEndMs } = JSON.parse(stdout) as ChildReport;
  t.like(stats, { published: 5, sent: 5, pending: 0 });
  t.true(afterEndMs < 5000, `${afterEndMs} ms`);
  t.is(collector.requests.length, 5);
});

test('of a buffer that is more than half full, all above the half is sent at once', async (t) => {
  const { publish, clock, sentAt, telemetry } = rig(t, { options: { maxPendingEvents: 10 } });
  await publish(5);
  await clock.advance(1000);
  t.deepEqual(sentAt(), []);
  await publish(3);
  await clock.advance(0);
  t.deepEqual(sentAt(), [1000, 1000, 1000]);
  await clock.advance(SPREAD_MS);
  t.like(telemetry.stats(), { sent: 8, dropped: 0 });
});

test('a full buffer does not end a pause that the server asked for', async (t) => {
  const { publish, clock, network, sentAt } = rig(t, { draws: [0], options: { maxPendingEvents: 10 } });
  network.answer = { kind: 'deferred', waitMs: 30_000, reason: 'http_429' };
  await publish(1);
  network.answer = SENT;
  await publish(9);
  await clock.advance(29_999);
  t.deepEqual(sentAt(), [0]);
  await clock.advance(1);
  t.is(sentAt()[1], 30_000);
});

test('while the endpoint cannot be reached, each wait for the next attempt is longer by a random time', async (t) => {
  // The breaker waits 300 ms after a first failure, with the random number of this test.
  const { publish, clock, network, sentAt } = rig(t, { draws: [0, 0.1, 0.2] });
  network.answer = REFUSED;
  await publish(1);
  await clock.advance(6299);
  t.deepEqual(sentAt(), [0]);
  await clock.advance(1);
  t.deepEqual(sentAt(), [0, 6300]);
  await clock.advance(12_300);
  t.deepEqual(sentAt(), [0, 6300, 18_600]);
});

/** A client whose outage ends now: its probe was answered, and the other events wait. The random numbers after it are 0.5. */
async function afterOutage(t: ExecutionContext, events: number, { answerMs = 0 } = {}) {
  const client = rig(t, { draws: [0, 0.5], answerMs });
  const { publish, clock, network } = client;
  network.answer = REFUSED;
  await publish(1);
  await clock.advance(answerMs);
  await publish(events - 1);
  network.answer = SENT;
  await clock.advance(300 + SPREAD_MS / 2 + answerMs);
  return client;
}

test('after an outage the events that wait are spread over spreadMs', async (t) => {
  const { clock, sentAt, telemetry } = await afterOutage(t, 5);
  const endedAtMs = clock.now();
  t.like(telemetry.stats(), { sent: 1, pending: 4 });
  await clock.advance(SPREAD_MS);
  t.deepEqual(
    sentAt().slice(2),
    [12_000, 24_000, 36_000, 48_000].map((ms) => endedAtMs + ms),
  );
  t.like(telemetry.stats(), { sent: 5, pending: 0 });
});

test('an answer that takes longer than the time between two events does not delay the next one', async (t) => {
  const { clock, sentAt, telemetry } = await afterOutage(t, 60, { answerMs: 1200 });
  const endedAtMs = clock.now();
  await clock.advance(SPREAD_MS + 1200);
  t.true(Math.abs((sentAt().at(-1) ?? 0) - endedAtMs - 59_000) < 1);
  t.like(telemetry.stats(), { sent: 60, pending: 0 });
});

test('a drain and a close end the pacing after an outage', async (t) => {
  const drained = await afterOutage(t, 20);
  const report = drained.telemetry.drain();
  await drained.clock.advance(0);
  t.like(await report, { timedOut: false, durationMs: 0, sent: 20 });
  const closed = await afterOutage(t, 20);
  const last = closed.telemetry.close();
  await closed.clock.advance(0);
  t.like(await last, { timedOut: false, durationMs: 0, sent: 20, pending: 0 });
});

test('an opt-out during the pacing ends it', async (t) => {
  const { clock, telemetry, env } = await afterOutage(t, 5);
  await clock.advance(20_000);
  env['DO_NOT_TRACK'] = '1';
  await clock.advance(SPREAD_MS);
  t.like(telemetry.stats(), { sent: 2, dropped: 3, pending: 0, reasons: { opted_out: 3 } });
});

test('a wrong time throws and names itself', (t) => {
  const product = { name: 'acme', version: '1.0.0' };
  for (const spreadMs of [-1, 3_600_001, Number.NaN, '60', null]) {
    t.throws(() => createTelemetry({ product, endpoint: 'http://127.0.0.1:9', env: {}, spreadMs: spreadMs as number }), {
      instanceOf: TypeError,
      message: /^Expected `spreadMs` to be a number of milliseconds from 0 to 3600000, got /,
    });
  }
});
