import test from 'ava';
import { circuitBreaker, retrying } from '../../src/index.js';
import type { EventOutcome, SendOutcome, Transport, UsageEvent } from '../../src/index.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { SteppedTransport, usageEvent } from '../helpers/stepped-transport.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';

/** A scripted transport that says more of its batches. */
function batching(maxBatchSize: number, more: Partial<Transport>): ScriptedTransport {
  return Object.assign(new ScriptedTransport({ maxBatchSize }), more);
}

const sizes = ({ sends }: ScriptedTransport): number[] => sends.map(({ events }) => events.length);

test('a batch waits `lingerMs` for company, and then leaves as it is', async (t) => {
  const scripted = batching(100, { lingerMs: 1000 });
  const { publish, succeed, clock, telemetry } = telemetryRig({ scripted });
  await publish(3);
  await clock.advance(999);
  t.deepEqual(sizes(scripted), []);
  t.is(clock.pendingRefTimers, 0, 'the wait does not keep the process alive');
  await publish(2);
  await clock.advance(1);
  t.deepEqual(sizes(scripted), [5]);
  await succeed();
  await publish(1);
  await clock.advance(999);
  t.deepEqual(sizes(scripted), [5], 'the next batch waits anew');
  await clock.advance(1);
  await succeed();
  t.deepEqual(sizes(scripted), [5, 1]);
  t.like(telemetry.stats(), { published: 6, sent: 6, pending: 0 });
});

test('200 events a second make a batch a second', async (t) => {
  const scripted = batching(512, { lingerMs: 1000 });
  const { publish, succeed, clock, telemetry } = telemetryRig({ scripted });
  for (let n = 0; n < 1000; n += 1) {
    await publish(1);
    clock.nowMs += 4;
    await clock.advance(1);
    await succeed();
  }
  const { sent, pending } = telemetry.stats();
  t.is(sent + pending, 1000);
  t.true(scripted.sends.length <= 5, `${scripted.sends.length} sends`);
  t.true(sent >= 800, `${sent} sent`);
});

test('a full batch does not wait, and what is left of a burst does', async (t) => {
  const scripted = batching(4, { lingerMs: 1000 });
  const { publish, succeed, clock } = telemetryRig({ scripted, concurrency: 8 });
  await publish(10);
  t.deepEqual(sizes(scripted), [4, 4]);
  await succeed();
  t.deepEqual(sizes(scripted), [4, 4]);
  await publish(2);
  t.deepEqual(sizes(scripted), [4, 4, 4]);
  await clock.advance(2000);
  t.deepEqual(sizes(scripted), [4, 4, 4], 'nothing is left, and no timer');
});

test('half a buffer does not wait: a batch larger than the buffer would never be full', async (t) => {
  const scripted = batching(512, { lingerMs: 60_000 });
  const { publish, succeed, telemetry } = telemetryRig({ scripted, maxPendingEvents: 10 });
  await publish(4);
  t.deepEqual(sizes(scripted), []);
  await publish(1);
  t.deepEqual(sizes(scripted), [5]);
  await succeed();
  t.is(telemetry.stats().dropped, 0);
});

test('drain and close end the wait', async (t) => {
  const scripted = batching(100, { lingerMs: 3_600_000 });
  const { publish, succeed, clock, telemetry } = telemetryRig({ scripted });
  await publish(2);
  const drained = telemetry.drain();
  await clock.advance(0);
  await succeed();
  t.like(await drained, { sent: 2, timedOut: false, durationMs: 0 });
  await publish(3);
  t.deepEqual(sizes(scripted), [2]);
  const closed = telemetry.close();
  await clock.advance(0);
  await succeed();
  t.like(await closed, { sent: 5, timedOut: false, durationMs: 0 });
  t.is(clock.pendingTimers, 0);
});

test('events that come back wait no longer', async (t) => {
  const scripted = batching(100, { lingerMs: 1000 });
  const { publish, succeed, clock } = telemetryRig({ scripted });
  await publish(3);
  await clock.advance(1000);
  scripted.open[0]?.answer({ kind: 'deferred', waitMs: 50, reason: 'http_503' });
  await clock.advance(49);
  t.deepEqual(sizes(scripted), [3]);
  await clock.advance(1);
  t.deepEqual(sizes(scripted), [3, 3]);
  await succeed();
});

test('`maxBatchBytes` cuts a batch, the rest keeps its order, and a larger event goes alone', async (t) => {
  const bytes = [30, 30, 50, 200, 10, 40, 60, 10];
  const bytesOf = ({ metrics }: UsageEvent): number => bytes[Number(metrics['n'])] ?? 0;
  const scripted = batching(100, { maxBatchBytes: 100, bytesOf });
  const { publish, succeed, telemetry } = telemetryRig({ scripted, concurrency: 1 });
  await publish(8);
  await succeed();
  const batches = scripted.sends.map(({ events }) => events.map(({ metrics }) => metrics['n']));
  t.deepEqual(batches, [[0, 1], [2], [3], [4, 5], [6, 7]]);
  t.like(telemetry.stats(), { sent: 8, dropped: 0, pending: 0 });
});

test('without `bytesOf` an event has the bytes of its request target in UTF-8', async (t) => {
  const scripted = batching(100, { maxBatchBytes: 200 });
  const { publish, succeed } = telemetryRig({ scripted, concurrency: 1 });
  await publish(7);
  await succeed();
  for (const { events } of scripted.sends) {
    const total = events.reduce((sum, event) => sum + Buffer.byteLength(event.requestTarget()), 0);
    t.true(total <= 200, `${events.length} events, ${total} bytes`);
  }
  t.deepEqual(sizes(scripted), [2, 2, 2, 1], 'each has 98 bytes');
});

test('an event without a size goes alone', async (t) => {
  for (const wrong of [NaN, -1, '7', undefined, Symbol('size')]) {
    const scripted = batching(100, { maxBatchBytes: 100, bytesOf: () => wrong as number });
    const { publish, succeed, telemetry } = telemetryRig({ scripted, concurrency: 1 });
    await publish(3);
    await succeed();
    t.deepEqual(sizes(scripted), [1, 1, 1]);
    t.is(telemetry.stats().sent, 3);
  }
  const throwing = batching(100, {
    maxBatchBytes: 100,
    bytesOf: () => {
      throw new Error('broken');
    },
  });
  const { publish, succeed } = telemetryRig({ scripted: throwing, concurrency: 1 });
  await publish(2);
  await succeed();
  t.deepEqual(sizes(throwing), [1, 1]);
});

test('a batch that its bytes end does not wait for company', async (t) => {
  const scripted = batching(10, { maxBatchBytes: 100, bytesOf: () => 40, lingerMs: 1000 });
  const { publish, succeed } = telemetryRig({ scripted, concurrency: 1 });
  await publish(10);
  await succeed();
  t.deepEqual(sizes(scripted), [2, 2, 2, 2, 2]);
});

const CONNECT: EventOutcome = { kind: 'retryable', reason: 'connect' };
const SENT: EventOutcome = { kind: 'sent' };

test('each event of a partial outcome is counted by its own', async (t) => {
  const scripted = batching(7, {});
  const { publish, clock, telemetry } = telemetryRig({ scripted });
  await publish(7);
  const outcomes: EventOutcome[] = [
    SENT,
    { kind: 'rejected', reason: 'http_400' },
    { kind: 'refused', reason: 'too_large' },
    { kind: 'deferred', waitMs: 100, reason: 'http_429' },
    { kind: 'sent', handedOver: true },
    { kind: 'aborted' },
    CONNECT,
  ];
  scripted.open[0]?.answer({ kind: 'partial', outcomes });
  await clock.advance(0);
  const stats = telemetry.stats();
  t.like(stats, { published: 7, sent: 2, handedOver: 1, failed: 3, dropped: 1, pending: 1 });
  t.deepEqual(stats.reasons, { http_400: 1, too_large: 1, aborted: 1, connect: 1 });
  t.true(addsUp(stats));
  await clock.advance(100);
  t.deepEqual(
    scripted.open[0]?.events.map(({ metrics }) => metrics['n']),
    [3],
    'the deferred one comes again',
  );
});

test('a drain and a close wait for the events of a partial outcome that return to the buffer', async (t) => {
  for (const deferredAt of [0, 2]) {
    for (const how of ['drain', 'close'] as const) {
      const scripted = batching(3, {});
      const { publish, clock, telemetry } = telemetryRig({ scripted });
      await publish(3);
      const report = telemetry[how]({ deadlineMs: 5000 });
      const outcomes = Array.from({ length: 3 }, (): EventOutcome => SENT);
      outcomes[deferredAt] = { kind: 'deferred', waitMs: 100, reason: 'http_429' };
      scripted.open[0]?.answer({ kind: 'partial', outcomes });
      await clock.advance(100);
      scripted.open[0]?.answer(SENT);
      await clock.advance(0);
      t.like(await report, { published: 3, sent: 3, dropped: 0, pending: 0, timedOut: false }, how);
      t.deepEqual(sizes(scripted), [3, 1]);
    }
  }
});

test('a partial outcome without one outcome an event, or with a partial one, is a bug of the transport', async (t) => {
  const wrong: unknown[] = [
    [],
    [SENT],
    [SENT, SENT, SENT],
    [SENT, { kind: 'partial', outcomes: [SENT] }],
    [SENT, undefined],
    'ab',
    undefined,
  ];
  for (const outcomes of wrong) {
    const scripted = batching(2, {});
    const { publish, clock, telemetry } = telemetryRig({ scripted });
    await publish(2);
    scripted.open[0]?.answer({ kind: 'partial', outcomes } as SendOutcome);
    await clock.advance(0);
    t.deepEqual(telemetry.stats().reasons, { transport_error: 2 });
  }
});

test('retrying repeats only the retryable events of a partial outcome, and merges what became of them', async (t) => {
  const clock = new VirtualClock();
  const inner = new SteppedTransport([
    { kind: 'partial', outcomes: [SENT, CONNECT, { kind: 'rejected', reason: 'http_400' }, CONNECT, CONNECT] },
    { kind: 'partial', outcomes: [CONNECT, SENT, { kind: 'deferred', waitMs: 5, reason: 'http_429' }] },
    { kind: 'sent', handedOver: true },
  ]);
  const events = ['a', 'b', 'c', 'd', 'e'].map((id) => usageEvent(id));
  const outcome = retrying(inner, { clock, random: () => 0 }).send(events, new AbortController().signal);
  await import('p-retry');
  await clock.advance(1000);
  await clock.advance(1000);
  t.deepEqual(await outcome, {
    kind: 'partial',
    outcomes: [
      SENT,
      { kind: 'sent', handedOver: true },
      { kind: 'rejected', reason: 'http_400' },
      SENT,
      { kind: 'deferred', waitMs: 5, reason: 'http_429' },
    ],
  });
  t.deepEqual(
    inner.sends.map(({ ids }) => ids.join('')),
    ['abcde', 'bde', 'b'],
  );
});

test('an abort during the backoff of a partial outcome leaves what was delivered', async (t) => {
  const clock = new VirtualClock();
  const inner = new SteppedTransport({ kind: 'partial', outcomes: [SENT, CONNECT] });
  const controller = new AbortController();
  const outcome = retrying(inner, { clock, random: () => 0.5 }).send([usageEvent('a'), usageEvent('b')], controller.signal);
  await import('p-retry');
  await settle();
  controller.abort();
  t.deepEqual(await outcome, { kind: 'partial', outcomes: [SENT, { kind: 'aborted' }] });
});

test('to a breaker one answer of a partial outcome means that the endpoint was reached', async (t) => {
  const clock = new VirtualClock();
  const refused: EventOutcome = { kind: 'rejected', reason: 'http_400' };
  const send = async (...steps: SendOutcome[]): Promise<SendOutcome> => {
    const breaker = circuitBreaker(new SteppedTransport(steps), { clock, failureThreshold: 1, random: () => 0 });
    const events = [usageEvent('a'), usageEvent('b')];
    let last: SendOutcome = SENT;
    for (let sends = 0; sends < steps.length; sends += 1) last = await breaker.send(events, new AbortController().signal);
    return last;
  };
  const reached = await send({ kind: 'partial', outcomes: [CONNECT, refused] }, SENT);
  t.deepEqual(reached, SENT, 'the second send is not held back');
  const unreached = await send({ kind: 'partial', outcomes: [CONNECT, CONNECT] }, SENT);
  t.like(unreached, { kind: 'deferred', reason: 'connect' });
  const held = await send({ kind: 'partial', outcomes: [CONNECT, { kind: 'rejected', reason: 'timeout' }] });
  t.like(held, {
    kind: 'partial',
    outcomes: [
      { kind: 'deferred', reason: 'connect' },
      { kind: 'rejected', reason: 'timeout' },
    ],
  });
});

test('decorators forward what a transport says of its batches, and only that', (t) => {
  const inner: Transport = { maxBatchSize: 3, lingerMs: 5, maxBatchBytes: 7, bytesOf: ({ id }) => id.length, send: async () => SENT };
  for (const transport of [retrying(inner), circuitBreaker(inner), retrying(circuitBreaker(inner))]) {
    t.like(transport, { maxBatchSize: 3, lingerMs: 5, maxBatchBytes: 7 });
    t.is(transport.bytesOf?.(usageEvent('four')), 4);
  }
  const plain = retrying(circuitBreaker({ send: async () => SENT }));
  for (const name of ['maxBatchSize', 'lingerMs', 'maxBatchBytes', 'bytesOf']) t.false(name in plain, name);
});

test('`handedOver` counts what was only taken over, and is a part of `sent`', async (t) => {
  const { publish, transport, telemetry, clock } = telemetryRig({ concurrency: 2 });
  await publish(2);
  transport.open[1]?.answer({ kind: 'sent', handedOver: true });
  transport.open[0]?.answer({ kind: 'sent', handedOver: 'yes' as unknown as boolean });
  await clock.advance(0);
  t.like(telemetry.stats(), { published: 2, sent: 2, handedOver: 1, pending: 0 });
});

/** A client whose transport closes when the test says so. */
function closing(close: () => void | Promise<void>) {
  const lines: string[] = [];
  const logger = { debug: () => undefined, warn: (line: string) => lines.push(line) };
  let closes = 0;
  const transport: Transport = {
    send: async () => SENT,
    close: () => {
      closes += 1;
      return close();
    },
  };
  return { ...telemetryRig({ transport, logger }), lines, closes: () => closes };
}

test('close() waits for the transport, within its deadline', async (t) => {
  const ends: (() => void)[] = [];
  const { telemetry, publish, clock, lines } = closing(() => new Promise((resolve) => void ends.push(resolve)));
  await publish(1);
  const closed = telemetry.close({ deadlineMs: 500 });
  await clock.advance(300);
  for (const end of ends) end();
  t.like(await closed, { sent: 1, timedOut: false, durationMs: 300 });
  t.deepEqual(lines, []);
  t.is(clock.pendingTimers, 0);
});

test('a transport that does not close in time ends nothing: the report says `timedOut`, and the log why', async (t) => {
  const { telemetry, publish, clock, lines } = closing(() => new Promise(() => {}));
  await publish(1);
  const closed = telemetry.close({ deadlineMs: 500 });
  await clock.advance(500);
  t.like(await closed, { sent: 1, timedOut: true, durationMs: 500 });
  t.deepEqual(lines, ['[telemetry] transport_close_slow: close() ended before the transport had closed']);
  t.is(clock.pendingTimers, 0);
});

test('a transport that cannot be closed is a warning, and the close is in time', async (t) => {
  const failures = [
    () => Promise.reject(new Error('hunter2')),
    () => {
      throw new Error('hunter2');
    },
  ];
  for (const fail of failures) {
    const { telemetry, lines } = closing(fail);
    t.like(await telemetry.close({ deadlineMs: 0 }), { timedOut: false });
    t.deepEqual(lines, ['[telemetry] transport_close_failed: the transport could not be closed']);
  }
});

test('an opt-out closes the transport, once, and close() waits for that', async (t) => {
  const ends: (() => void)[] = [];
  const { telemetry, env, publish, clock, closes } = closing(() => new Promise((resolve) => void ends.push(resolve)));
  await publish(1);
  env['DO_NOT_TRACK'] = '1';
  t.false(telemetry.enabled);
  // At once: the opt-out may not have closed it yet.
  const closed = telemetry.close({ deadlineMs: 500 });
  await clock.advance(200);
  t.is(closes(), 1);
  for (const end of ends) end();
  t.like(await closed, { timedOut: false, durationMs: 200 });
  t.is(closes(), 1);
});
