import test from 'ava';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { Pause } from '../../src/delivery/pacing.js';
import type { Transport } from '../../src/delivery/transport.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { addsUp, telemetryRig, virtualMachine } from '../helpers/telemetry-rig.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { proves } from '../helpers/promises.js';

const SENT = { kind: 'sent' } as const;

test(proves('publish-order', 'events start in publish order when one request is in flight at a time'), async (t) => {
  const { publish, succeed, transport } = telemetryRig({ concurrency: 1 });
  await publish(5);
  t.deepEqual(transport.started('n'), [0]);
  await succeed(3);
  await publish(2);
  await succeed();
  t.deepEqual(transport.started('n'), [0, 1, 2, 3, 4, 5, 6]);
});

test('at most `concurrency` sends are in flight, and each free slot is used', async (t) => {
  const { publish, succeed, transport, telemetry } = telemetryRig({ concurrency: 3, drainConcurrency: 3 });
  await publish(1);
  t.is(transport.open.length, 1);
  await publish(9);
  t.is(transport.open.length, 3, 'the second and third slot do not wait for the first');
  await succeed(4);
  t.is(transport.open.length, 3);
  await succeed();
  t.like(telemetry.stats(), { published: 10, sent: 10, pending: 0 });
});

test('a drain uses `drainConcurrency`, and afterwards the limit is `concurrency` again', async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 2, drainConcurrency: 5 });
  await publish(20);
  t.is(transport.open.length, 2);
  const drained = telemetry.drain({ deadlineMs: 500 });
  await clock.advance(0);
  t.is(transport.open.length, 5);
  await clock.advance(500);
  t.true((await drained).timedOut);
  await succeed(4);
  t.is(transport.open.length, 2);
});

test('a transport gets up to `maxBatchSize` events at a time', async (t) => {
  const scripted = new ScriptedTransport({ maxBatchSize: 4 });
  const { publish, succeed, telemetry } = telemetryRig({ scripted, concurrency: 1 });
  await publish(9);
  await succeed();
  t.deepEqual(
    scripted.sends.map(({ events }) => events.length),
    [4, 4, 1],
  );
  t.is(telemetry.stats().sent, 9);
});

test(proves('retry-after', 'deferred events return to the head, and nothing starts before the wait is over'), async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 2 });
  await publish(4);
  const [first, second] = transport.open;
  second?.answer({ kind: 'deferred', waitMs: 30_000, reason: 'http_503' });
  await clock.advance(0);
  first?.answer({ kind: 'deferred', waitMs: 5000, reason: 'http_503' });
  t.is(clock.pendingRefTimers, 0, 'the wait does not keep the process alive');
  await clock.advance(29_999);
  t.is(transport.sends.length, 2, 'the longer wait counts for all');
  t.like(telemetry.stats(), { published: 4, pending: 4, failed: 0 });
  await clock.advance(1);
  await succeed();
  t.deepEqual(transport.started('n').slice(2), [0, 1, 2, 3]);
});

test('a deferral lasts 10 ms at least and an hour at most, and a shorter one later does not shorten it', async (t) => {
  const { publish, transport, clock } = telemetryRig({ concurrency: 2 });
  await publish(2);
  const [first, second] = transport.open;
  first?.answer({ kind: 'deferred', waitMs: 0, reason: 'http_503' });
  await clock.advance(9);
  t.is(transport.sends.length, 2);
  await clock.advance(1);
  t.is(transport.sends.length, 3);
  second?.answer({ kind: 'deferred', waitMs: 1e12, reason: 'http_503' });
  await clock.advance(0);
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 100, reason: 'http_503' });
  await clock.advance(3_599_999);
  t.is(transport.sends.length, 3);
  await clock.advance(1);
  t.is(transport.sends.length, 5);
});

test('a drain wakes a back-off of our own, but not a pause that the network asked for', async (t) => {
  const clock = new VirtualClock();
  const over: number[] = [];
  const pause = new Pause(clock, () => over.push(clock.now()));
  pause.backOff(1000);
  t.true(pause.isOn);
  pause.wake();
  t.false(pause.isOn);
  t.is(clock.pendingTimers, 0);
  pause.begin(500);
  pause.backOff(1000);
  t.is(pause.untilMs, 500, 'a back-off does not prolong a pause');
  pause.wake();
  t.true(pause.isOn);
  pause.end();
  t.false(pause.isOn);
  pause.backOff(100);
  pause.begin(5000);
  pause.wake();
  t.true(pause.isOn, 'the back-off has become a pause');
  t.deepEqual(over, []);
  await clock.advance(5000);
  t.false(pause.isOn);
  t.deepEqual(over, [5000]);
});

test('a back-off that has passed is over: what the network asks for next is not woken', async (t) => {
  const clock = new VirtualClock();
  const pause = new Pause(clock, () => undefined);
  pause.backOff(100);
  await clock.advance(100);
  pause.begin(5000);
  pause.wake();
  t.is(pause.untilMs, 5100);
  pause.backOffUntilProbe(200);
  t.is(pause.untilMs, 5100, 'a probe of ours does not shorten it either');
});

test('a pause that the network asks for during a longer back-off outlasts the end of the back-off', async (t) => {
  for (const wake of [(pause: Pause) => pause.wake(), (pause: Pause) => pause.backOffUntilProbe(200)]) {
    const clock = new VirtualClock();
    const over: number[] = [];
    const pause = new Pause(clock, () => over.push(clock.now()));
    pause.backOff(60_000);
    pause.begin(5000);
    t.is(pause.untilMs, 60_000);
    await clock.advance(1000);
    wake(pause);
    t.is(pause.untilMs, 5000);
    wake(pause);
    t.is(pause.untilMs, 5000);
    await clock.advance(4000);
    t.deepEqual(over, [5000]);
    pause.backOff(1000);
    pause.wake();
    t.false(pause.isOn, 'what was asked for is over');
  }
});

test('a back-off ends when a probe is due, if that is earlier', async (t) => {
  const clock = new VirtualClock();
  const pause = new Pause(clock, () => undefined);
  pause.backOffUntilProbe(3000);
  pause.backOffUntilProbe(250);
  t.is(pause.untilMs, 250);
  pause.backOffUntilProbe(1000);
  t.is(pause.untilMs, 250, 'it is not prolonged');
  t.is(clock.pendingTimers, 1);
  await clock.advance(250);
  t.false(pause.isOn);
});

test('an event keeps its id when it returns to the buffer', async (t) => {
  const { publish, transport, clock } = telemetryRig({ concurrency: 1 });
  await publish(2);
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 10, reason: 'http_503' });
  await clock.advance(10);
  const [before, again] = transport.sends.map(({ events }) => events[0]?.id);
  t.is(again, before);
  transport.open[0]?.answer(SENT);
  await clock.advance(0);
  t.not(transport.sends[2]?.events[0]?.id, before);
});

test('a full buffer drops the oldest events, deferred ones first', async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 1, maxPendingEvents: 3 });
  await publish(1);
  await publish(3);
  t.like(telemetry.stats(), { pending: 4, dropped: 0 }, 'an event in flight takes no place');
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 100, reason: 'http_503' });
  await clock.advance(0);
  t.like(telemetry.stats(), { pending: 3, dropped: 1, reasons: { buffer_full: 1 } });
  await publish(1);
  await clock.advance(100);
  await succeed();
  t.deepEqual(transport.started('n'), [0, 2, 3, 4]);
  t.true(addsUp(telemetry.stats()));
});

test('a send that never settles loses its slot at the cap, and a late answer changes nothing', async (t) => {
  const { publish, transport, telemetry, clock } = telemetryRig({ concurrency: 1, attemptTimeoutMs: 1000, retries: 0 });
  await publish(2);
  const [stuck] = transport.open;
  await clock.advance(1900);
  t.is(transport.sends.length, 1);
  await clock.advance(1200);
  t.true(stuck?.signal.aborted);
  t.deepEqual(transport.started('n'), [0, 1]);
  t.like(telemetry.stats(), { failed: 1, pending: 1, reasons: { timeout: 1 } });
  stuck?.answer(SENT);
  await clock.advance(0);
  t.is(telemetry.stats().sent, 0);
});

test(proves('busy-loop', 'a host that keeps the event loop busy does not bring a send nearer to its cap'), async (t) => {
  const { publish, transport, telemetry, clock } = telemetryRig({ concurrency: 1, attemptTimeoutMs: 1000, retries: 0 });
  await publish(1);
  // Turns of an hour: heartbeats come late, and one in each turn.
  for (let turn = 0; turn < 2; turn += 1) {
    clock.nowMs += 3_600_000;
    for (const _timer of clock.timers) clock.fire();
  }
  await settle();
  t.is(transport.open.length, 1);
  t.like(telemetry.stats(), { pending: 1, failed: 0 });
  transport.open[0]?.answer(SENT);
  await clock.advance(0);
  t.like(telemetry.stats(), { sent: 1, failed: 0 });
});

for (const [name, act] of [
  ['rejects', (transport: ScriptedTransport) => transport.open[0]?.fail(new Error('no'))],
  ['answers with something else than an outcome', (transport: ScriptedTransport) => transport.open[0]?.answer('sent' as never)],
  [
    'gives an error text as its reason',
    (transport: ScriptedTransport) => transport.open[0]?.answer({ kind: 'refused', reason: 'GET /?dag=x' }),
  ],
  [
    'defers for no time at all',
    (transport: ScriptedTransport) => transport.open[0]?.answer({ kind: 'deferred', waitMs: NaN, reason: 'x' }),
  ],
] as const) {
  test(`a transport that ${name} is counted as transport_error`, async (t) => {
    const { publish, transport, telemetry, clock } = telemetryRig();
    await publish(1);
    act(transport);
    await clock.advance(0);
    t.like(telemetry.stats(), { failed: 1, pending: 0, reasons: { transport_error: 1 } });
  });
}

test('a transport that throws is counted as transport_error', async (t) => {
  const scripted = new ScriptedTransport();
  scripted.onSend = () => {
    throw new Error('no');
  };
  const { publish, telemetry } = telemetryRig({ scripted });
  await publish(3);
  t.like(telemetry.stats(), { failed: 3, pending: 0, reasons: { transport_error: 3 } });
});

test('outcomes are counted as failed, dropped or aborted by their reason', async (t) => {
  const { publish, transport, telemetry, clock } = telemetryRig({ concurrency: 4 });
  await publish(4);
  const open = [...transport.open];
  open[0]?.answer({ kind: 'retryable', reason: 'http_503' });
  open[1]?.answer({ kind: 'rejected', reason: 'http_404' });
  open[2]?.answer({ kind: 'refused', reason: 'too_large' });
  open[3]?.answer({ kind: 'aborted' });
  await clock.advance(0);
  t.like(telemetry.stats(), { failed: 3, dropped: 1, reasons: { http_503: 1, http_404: 1, too_large: 1, aborted: 1 } });
});

test('a transport that answers at once does not keep the event loop from the host, even if the clock does not move', async (t) => {
  let sends = 0;
  const { telemetry, clock } = telemetryRig({
    concurrency: 1,
    transport: {
      send: () => {
        sends += 1;
        return Promise.resolve(SENT);
      },
    },
  });
  for (let event = 0; event < 1000; event += 1) telemetry.publish('tick', { n: event });
  clock.runDeferred();
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  t.is(sends, 512, 'the budget, then the next tick');
  await clock.advance(0);
  t.is(sends, 1000);
});

for (const concurrency of [1, 6]) {
  test(`a transport that computes leaves the event loop to the host after 8 ms, with ${concurrency} in flight at a time`, async (t) => {
    const clock = new VirtualClock();
    const deferred: (() => void)[] = [];
    let sends = 0;
    const transport: Transport = {
      send: async () => {
        sends += 1;
        clock.nowMs += 1;
        return SENT;
      },
    };
    const machine = virtualMachine(Object.assign(clock, { defer: (callback: () => void) => void deferred.push(callback) }) as never);
    const telemetry = createTelemetryWith(
      { product: { name: 'acme', version: '1.0.0' }, dbt: true, transport, env: {}, concurrency, drainOnExit: false },
      machine,
    );
    for (let event = 0; event < 100; event += 1) telemetry.publish('dbt_docs_access', {} as never);
    const perRound: number[] = [];
    while (deferred.length > 0) {
      const before = sends;
      for (const callback of deferred.splice(0)) callback();
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      perRound.push(sends - before);
    }
    t.is(sends, 100);
    t.is(Math.max(...perRound), 8);
    t.true(addsUp(telemetry.stats()));
  });
}

test('a signal is used for at most 64 sends, even by one long task', async (t) => {
  const { publish, clock, transport } = telemetryRig({ concurrency: 1 });
  await publish(130);
  for (let answered = 0; answered < 130; answered += 1) {
    // Each send takes 1 ms, so that one worker sends all of them.
    await clock.advance(1);
    transport.open[0]?.answer(SENT);
  }
  await clock.advance(1);
  const signals = transport.sends.map(({ signal }) => signal);
  t.is(signals.length, 130);
  t.is(new Set(signals).size, 3);
  t.is(signals[63], signals[0]);
  t.not(signals[64], signals[0]);
});
