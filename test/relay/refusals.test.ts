// Answers that refuse an event and may not be about it: stepping aside, failing, pausing, and what ends a pause.
import test from 'ava';
// Loaded before the first test: the dispatcher imports it by need, and `settle()` does not wait for that.
import 'p-queue';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { proves } from '../helpers/promises.js';
import { settle } from '../helpers/virtual-clock.js';
import { seededRandom } from '../helpers/stepped-transport.js';
import { startPumpRig } from './helpers/pump-rig.js';

const SENT: SendOutcome = { kind: 'sent' };
const MINUTE_MS = 60_000;

const retryable = (status: number): SendOutcome => ({ kind: 'retryable', reason: `http_${status}` });
const rejected = (reason: string): SendOutcome => ({ kind: 'rejected', reason });
const names = (count: number, prefix = 'e') => Array.from({ length: count }, (_, index) => `/v3/${prefix}${index}`);

const IN_BETWEEN: readonly [SendOutcome, string][] = [
  ...[500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 561, 598, 599].map((status): [SendOutcome, string] => [
    retryable(status),
    `http_${status}`,
  ]),
  ...['http_501', 'http_505', 'http_511', 'http_401', 'http_403', 'http_404', 'http_407', 'http_451', 'http_304'].map(
    (reason): [SendOutcome, string] => [rejected(reason), reason],
  ),
  [rejected('redirect_refused'), 'redirect_refused'],
  [rejected('proxy_invalid'), 'proxy_invalid'],
];

for (const [outcome, reason] of IN_BETWEEN) {
  test(
    proves('relay-refusals', `${reason} for all events: nothing is lost, sending pauses, and goes on when the answer changes`),
    async (t) => {
      const rig = startPumpRig(t, { events: names(20), endpoint: () => outcome, concurrency: 6 });
      await rig.clock.advance(30_000);
      t.deepEqual(rig.accounts(), { sent: 0, failed: 0, dropped: 0, pending: 20 });
      t.true(rig.pump.isPaused);
      t.true(rig.attempts.length < 20, String(rig.attempts.length));
      rig.settings.endpoint = () => SENT;
      await rig.clock.advance(MINUTE_MS);
      t.deepEqual(rig.accounts(), { sent: 20, failed: 0, dropped: 0, pending: 0 });
      t.false(rig.pump.isPaused);
      t.deepEqual(rig.log, [
        `warn [telemetry] paused: the endpoint refused 3 different events in a row, the last one with ${reason}: ` +
          'events are kept, and one at a time is tried until one is accepted',
        'info [telemetry] resumed: the endpoint accepts events again: sending goes on',
      ]);
    },
  );
}

test('a pause tries one event at a time at backoff intervals: new ones first, then the one whose turn is the longest ago', async (t) => {
  const rig = startPumpRig(t, { events: names(5), endpoint: () => retryable(521), concurrency: 6 });
  await rig.clock.advance(0);
  rig.mostOpen(true);
  await rig.clock.advance(10 * MINUTE_MS);
  // All five were in flight when the third was refused. The random wait is half of its bound: 1, 2, 4 ... 60 s.
  const probes = rig.attempts.slice(5);
  const waits = probes.slice(1).map(({ atMs }, index) => atMs - (probes[index]?.atMs ?? 0));
  t.is(probes[0]?.atMs, 500);
  t.deepEqual(waits.slice(0, 8), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  t.deepEqual(new Set(probes.slice(0, 5).map(({ target }) => target)), new Set(names(5)));
  t.is(rig.mostOpen(), 1);
  // A new event is the next probe, and is not sent before its time.
  const before = rig.attempts.length;
  await rig.store.append('/v3/new');
  await rig.clock.advance(1000);
  t.is(rig.attempts.length, before);
  await rig.clock.advance(30_000);
  t.is(rig.attempts[before]?.target, '/v3/new');
});

test('after a pause as many requests are in flight as before', async (t) => {
  const rig = startPumpRig(t, { events: names(20), endpoint: () => retryable(521), concurrency: 6 });
  await rig.clock.advance(400);
  t.true(rig.pump.isPaused);
  let isFirst = true;
  rig.settings.endpoint = () => {
    const outcome = isFirst ? SENT : undefined;
    isFirst = false;
    return outcome;
  };
  await rig.clock.advance(200);
  t.deepEqual([rig.pump.isPaused, rig.open.length], [false, 6]);
  rig.answerAll(SENT);
});

test('an outage that goes on after one acceptance costs one event at most, however many were accepted before it', async (t) => {
  const rig = startPumpRig(t, { events: names(10), endpoint: () => SENT, concurrency: 6 });
  await rig.clock.advance(100);
  rig.settings.endpoint = () => retryable(521);
  for (const target of names(10, 'late')) await rig.store.append(target);
  await rig.clock.advance(5 * MINUTE_MS);
  t.true(rig.pump.isPaused);
  rig.settings.endpoint = (target) => (target === '/v3/new' ? SENT : retryable(521));
  await rig.store.append('/v3/new');
  await rig.clock.advance(10 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 11, failed: 1, dropped: 0, pending: 9 });
});

test('while new events wait, one event that stepped aside is in flight at a time', async (t) => {
  const bad = names(6, 'bad');
  const isBad = (target: string) => bad.includes(target);
  const rig = startPumpRig(t, {
    events: [...bad, ...names(50)],
    endpoint: (target) => (isBad(target) ? retryable(521) : SENT),
    concurrency: 6,
  });
  await rig.clock.advance(400);
  t.true(rig.pump.isPaused);
  const together: number[] = [];
  rig.settings.endpoint = (target) => {
    if (isBad(target)) return undefined;
    together.push(rig.open.filter((each) => isBad(each.target)).length);
    return SENT;
  };
  await rig.clock.advance(200);
  t.deepEqual([together.length, Math.max(...together)], [50, 1]);
  rig.answerAll(SENT);
});

test('an event that is gone is looked for no longer', async (t) => {
  const rig = startPumpRig(t, { events: names(2), endpoint: () => retryable(521) });
  await rig.clock.advance(MINUTE_MS);
  rig.store.tooOld = 2;
  await rig.clock.advance(1000);
  rig.store.tooOld = 0;
  const limits: number[] = [];
  const take = rig.store.take.bind(rig.store);
  rig.store.take = (limit) => {
    limits.push(limit);
    return take(limit);
  };
  rig.settings.endpoint = () => SENT;
  await rig.store.append('/v3/new');
  await rig.clock.advance(100);
  t.deepEqual([rig.accounts().sent, limits[0]], [1, 1]);
});

test(proves('relay-refusals', 'an event that the endpoint refuses while it accepts others fails soon, with its status'), async (t) => {
  for (const outcome of [rejected('http_400'), rejected('http_404'), retryable(500), retryable(502), rejected('redirect_refused')]) {
    for (const concurrency of [1, 6]) {
      const rig = startPumpRig(t, {
        events: names(20),
        endpoint: (target) => (target === '/v3/e4' ? outcome : SENT),
        concurrency,
      });
      await rig.clock.advance(2000);
      t.deepEqual(rig.accounts(), { sent: 19, failed: 1, dropped: 0, pending: 0 });
      t.deepEqual(rig.failedBy(), { [(outcome as { reason: string }).reason]: 1 });
      t.is(rig.triesOf('/v3/e4'), 2);
      t.is(rig.attempts.length, 21);
      t.deepEqual(rig.log, []);
    }
  }
});

test('an event that steps aside holds up nothing, and comes back after its backoff', async (t) => {
  const rig = startPumpRig(t, {
    events: names(3),
    endpoint: (target, attempt) => (target === '/v3/e0' && attempt === 1 ? retryable(502) : SENT),
  });
  await rig.clock.advance(100);
  t.is(rig.targets(), 'e0 e1 e2');
  await rig.clock.advance(400);
  t.is(rig.targets(), 'e0 e1 e2 e0');
  t.deepEqual(rig.accounts(), { sent: 3, failed: 0, dropped: 0, pending: 0 });
});

test('three refused events at the head do not hold up the others, and fail', async (t) => {
  const bad = names(3, 'bad');
  const rig = startPumpRig(t, {
    events: [...bad, ...names(10)],
    endpoint: (target) => (bad.includes(target) ? rejected('http_404') : SENT),
  });
  await rig.clock.advance(3000);
  t.deepEqual(rig.accounts(), { sent: 10, failed: 3, dropped: 0, pending: 0 });
  t.deepEqual(
    bad.map((target) => rig.triesOf(target)),
    [2, 2, 2],
  );
});

test('a hundred refused events before a good one cost no other event, and fail as others are accepted', async (t) => {
  const bad = names(100, 'bad');
  const rig = startPumpRig(t, {
    events: [...bad, ...names(150)],
    endpoint: (target) => (bad.includes(target) ? rejected('http_404') : SENT),
    concurrency: 6,
  });
  await rig.clock.advance(2 * 60 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 150, failed: 100, dropped: 0, pending: 0 });
});

test('a single event that is refused is tried at its backoff until the answer changes', async (t) => {
  const rig = startPumpRig(t, { events: ['/v3/only'], endpoint: () => retryable(521), concurrency: 6 });
  await rig.clock.advance(3 * MINUTE_MS);
  // 0.5, 1, 2, 4, 8, 16, 30 s after the one before.
  t.deepEqual(rig.timesOf('/v3/only').slice(0, 8), [0, 500, 1500, 3500, 7500, 15_500, 31_500, 61_500]);
  t.deepEqual(rig.accounts(), { sent: 0, failed: 0, dropped: 0, pending: 1 });
  t.false(rig.pump.isPaused);
  rig.settings.endpoint = () => SENT;
  await rig.clock.advance(30_000);
  t.deepEqual(rig.accounts(), { sent: 1, failed: 0, dropped: 0, pending: 0 });
});

test('a single event that is refused is tried until it is too old', async (t) => {
  const rig = startPumpRig(t, { events: ['/v3/only'], endpoint: () => rejected('http_403') });
  await rig.clock.advance(10_000);
  rig.store.tooOld = 1;
  await rig.clock.advance(1000);
  t.deepEqual(rig.droppedBy(), { expired: 1 });
  const tries = rig.attempts.length;
  await rig.clock.advance(5 * MINUTE_MS);
  t.is(rig.attempts.length, tries);
  t.deepEqual(rig.accounts(), { sent: 0, failed: 0, dropped: 1, pending: 0 });
});

test('a new event does not wait for the backoff of one that stepped aside', async (t) => {
  const rig = startPumpRig(t, { events: ['/v3/bad'], endpoint: (target) => (target === '/v3/bad' ? rejected('http_404') : SENT) });
  await rig.clock.advance(2 * MINUTE_MS);
  const nowMs = rig.clock.now();
  await rig.store.append('/v3/new');
  await rig.clock.advance(50);
  t.deepEqual(rig.timesOf('/v3/new'), [nowMs]);
  await rig.clock.advance(MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 1, failed: 1, dropped: 0, pending: 0 });
});

test('what was sent before the refused event and is accepted after it is no evidence: an outage may lie between', async (t) => {
  const rig = startPumpRig(t, { events: names(2), endpoint: () => undefined, concurrency: 2 });
  await rig.clock.advance(0);
  const [first, second] = [...rig.open];
  second?.answer(retryable(521));
  await settle();
  first?.answer(SENT);
  rig.settings.endpoint = () => retryable(521);
  await rig.clock.advance(5 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 1, failed: 0, dropped: 0, pending: 1 });
  rig.settings.endpoint = () => SENT;
  await rig.clock.advance(MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 2, failed: 0, dropped: 0, pending: 0 });
});

test('each acceptance counts against one refused event only', async (t) => {
  const bad = ['/v3/e0', '/v3/e1'];
  const rig = startPumpRig(t, { events: names(3), endpoint: (target) => (bad.includes(target) ? rejected('http_404') : SENT) });
  await rig.clock.advance(5 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 1, failed: 1, dropped: 0, pending: 1 });
  await rig.store.append('/v3/later');
  await rig.clock.advance(MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 2, failed: 2, dropped: 0, pending: 0 });
});

test('an outage with requests in flight loses none of them, whatever order they are answered in', async (t) => {
  const rig = startPumpRig(t, { events: names(12), endpoint: () => undefined, concurrency: 6 });
  await rig.clock.advance(0);
  const inFlight = [...rig.open];
  rig.settings.endpoint = () => retryable(521);
  for (const index of [2, 0, 4, 1, 5, 3]) {
    inFlight[index]?.answer(index < 2 ? SENT : retryable(521));
    await settle();
  }
  await rig.clock.advance(10 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 2, failed: 0, dropped: 0, pending: 10 });
  rig.settings.endpoint = () => SENT;
  await rig.clock.advance(2 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 12, failed: 0, dropped: 0, pending: 0 });
});

const LATER: readonly [string, SendOutcome][] = [
  ['408', retryable(408)],
  ['425', retryable(425)],
  ['429', retryable(429)],
  ['503 with Retry-After', { kind: 'deferred', waitMs: 5000, reason: 'http_503' }],
  ['521 with Retry-After', { kind: 'deferred', waitMs: 120_000, reason: 'http_521' }],
];

for (const [name, outcome] of LATER) {
  test(`${name} says to come later, and is never a verdict`, async (t) => {
    const events = names(6);
    const rig = startPumpRig(t, { events, endpoint: (target) => (target === '/v3/e0' ? outcome : SENT) });
    await rig.clock.advance(50);
    t.is(rig.targets(), 'e0');
    await rig.clock.advance(30 * MINUTE_MS);
    t.deepEqual(rig.accounts(), { sent: 5, failed: 0, dropped: 0, pending: 1 });
    // Another event goes first once the wait is over.
    t.is(rig.targets().slice(0, 5), 'e0 e1');
    rig.settings.endpoint = () => SENT;
    await rig.clock.advance(5 * MINUTE_MS);
    t.deepEqual(rig.accounts(), { sent: 6, failed: 0, dropped: 0, pending: 0 });
    // No pause. The log says in turn that nothing could be sent for ten seconds, and that it can again.
    const codes = rig.log.map((line) => /^warn \[telemetry\] (\w+): /.exec(line)?.[1]);
    t.true(codes.length > 0);
    t.true(codes.every((code, index) => code === (index % 2 === 0 ? 'delivery_stopped' : 'delivery_resumed')));
    t.is(codes.at(-1), 'delivery_resumed');
  });
}

test('three different events that are told to come later pause nothing for longer than they say', async (t) => {
  const rig = startPumpRig(t, {
    events: names(6),
    endpoint: (_target, attempt) => (attempt === 1 ? { kind: 'deferred', waitMs: 1000, reason: 'http_503' } : SENT),
    concurrency: 6,
  });
  await rig.clock.advance(900);
  t.is(rig.attempts.length, 6);
  await rig.clock.advance(5000);
  t.deepEqual([rig.pump.isPaused, rig.accounts()], [false, { sent: 6, failed: 0, dropped: 0, pending: 0 }]);
});

test('connection failures during a pause wait by their own backoff, and are no refusals', async (t) => {
  const rig = startPumpRig(t, { events: names(4), endpoint: () => retryable(521) });
  await rig.clock.advance(3000);
  t.true(rig.pump.isPaused);
  rig.settings.endpoint = () => ({ kind: 'retryable', reason: 'connect' });
  await rig.clock.advance(5 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 0, failed: 0, dropped: 0, pending: 4 });
  rig.settings.endpoint = () => SENT;
  await rig.clock.advance(2 * MINUTE_MS);
  t.deepEqual(rig.accounts(), { sent: 4, failed: 0, dropped: 0, pending: 0 });
});

test('an edge that refuses at random does not cost a share of the events', async (t) => {
  for (const [share, most] of [
    [0.02, 1],
    [0.3, 2],
    [0.5, 3],
  ] as const) {
    const chance = seededRandom(7);
    const rig = startPumpRig(t, {
      events: names(300),
      endpoint: () => (chance() < share ? retryable(502) : SENT),
      concurrency: 6,
      random: seededRandom(11),
    });
    for (let minute = 0; minute < 60 && rig.pump.pending > 0; minute += 1) await rig.clock.advance(MINUTE_MS);
    const { sent, failed, pending } = rig.accounts();
    t.log(`${share * 100}% of attempts refused: ${failed} of 300 events failed`);
    t.deepEqual([sent + failed, pending], [300, 0]);
    t.true(failed <= most, `${share}: ${failed}`);
  }
});

test('an event that is always refused fails after its tenth refusal, though others are refused at random', async (t) => {
  const chance = seededRandom(3);
  const rig = startPumpRig(t, {
    events: ['/v3/bad'],
    endpoint: (target) => (target === '/v3/bad' || chance() < 0.2 ? retryable(500) : SENT),
  });
  for (let index = 0; index < 900 && rig.failedBy()['http_500'] === undefined; index += 1) {
    await rig.store.append(`/v3/good${index}`);
    await rig.clock.advance(1000);
  }
  t.true(rig.triesOf('/v3/bad') <= 12, String(rig.triesOf('/v3/bad')));
  await rig.clock.advance(2 * MINUTE_MS);
  t.deepEqual([rig.failedBy()['http_500'], rig.accounts().pending], [1, 0]);
});

test('a drain tries at once, pause or not; if the endpoint is back all is sent', async (t) => {
  const rig = startPumpRig(t, { events: names(30), endpoint: () => retryable(521), concurrency: 6 });
  await rig.clock.advance(5 * MINUTE_MS);
  t.true(rig.pump.isPaused);
  rig.settings.endpoint = () => SENT;
  const drained = rig.pump.drain(5000);
  await rig.clock.advance(1500);
  t.false(await drained);
  t.deepEqual(rig.accounts(), { sent: 30, failed: 0, dropped: 0, pending: 0 });
});

test('a drain that is refused keeps all events, and ends before its deadline if no turn comes until then', async (t) => {
  for (const count of [1, 20]) {
    const rig = startPumpRig(t, { events: names(count), endpoint: () => retryable(521), concurrency: 6 });
    await rig.clock.advance(10 * MINUTE_MS);
    const before = rig.attempts.length;
    const startedAtMs = rig.clock.now();
    const drained = rig.pump.drain(5000);
    await rig.clock.advance(1000);
    t.true(await drained);
    t.is(rig.attempts.length - before, 1);
    t.true(rig.clock.now() - startedAtMs <= 1000);
    t.deepEqual(rig.accounts(), { sent: 0, failed: 0, dropped: 0, pending: count });
    await rig.pump.stop();
    t.is(rig.store.length, count);
  }
});

test('an opt-out drops events that stepped aside, too', async (t) => {
  const rig = startPumpRig(t, { events: names(5), endpoint: () => rejected('http_403') });
  await rig.clock.advance(3000);
  t.true(rig.pump.isPaused);
  rig.settings.isOptedOut = true;
  await rig.clock.advance(MINUTE_MS);
  t.deepEqual([rig.droppedBy(), rig.accounts().pending, rig.store.length], [{ opted_out: 5 }, 0, 0]);
});

test('an event that was refused and then times out has failed once, and is forgotten', async (t) => {
  const rig = startPumpRig(t, {
    events: names(2),
    endpoint: (target, attempt) => (target === '/v3/e1' ? SENT : attempt === 1 ? retryable(504) : rejected('timeout')),
  });
  await rig.clock.advance(MINUTE_MS);
  t.deepEqual([rig.failedBy(), rig.accounts()], [{ timeout: 1 }, { sent: 1, failed: 1, dropped: 0, pending: 0 }]);
});
