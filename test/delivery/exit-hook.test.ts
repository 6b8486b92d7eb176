// The end of a host for which `beforeExit` does not come, because a connect of ours keeps the process alive.
import test from 'ava';
import { EndWatch } from '../../src/delivery/exit-hook.js';
import { steering } from '../../src/delivery/transport.js';
import type { Steering, Transport } from '../../src/delivery/transport.js';
import type { TelemetryOptions } from '../../src/index.js';
import { proves } from '../helpers/promises.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

test('it is looked every 40 ms, as long as something of ours is in flight, by a timer that holds nothing', async (t) => {
  const clock = new VirtualClock();
  const looks: number[] = [];
  let isNeeded = true;
  let hasEnded = false;
  let ends = 0;
  const watch = new EndWatch(clock, {
    isNeeded: () => isNeeded,
    hasEnded: () => {
      looks.push(clock.now());
      return hasEnded;
    },
    onEnd: () => (ends += 1),
  });
  watch.start();
  watch.start();
  t.is(clock.pendingTimers, 1);
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(85);
  t.deepEqual(looks, [40, 80]);
  t.is(ends, 0);
  hasEnded = true;
  await clock.advance(40);
  t.is(ends, 1);
  isNeeded = false;
  await clock.advance(1000);
  t.deepEqual(looks, [40, 80, 120]);
  t.is(clock.pendingTimers, 0);
  isNeeded = true;
  watch.start();
  watch.stop();
  watch.stop();
  t.is(clock.pendingTimers, 0);
});

/** A client whose connects never end, and a host that ends when the test says so. */
function arrange(options: Partial<TelemetryOptions>) {
  const scripted = new ScriptedTransport();
  const host = { hasEnded: false };
  const calls: string[] = [];
  const lead: Steering = {
    lastCall: (isLast) => calls.push(`lastCall ${isLast}`),
    letGo: () => {
      calls.push('letGo');
      for (const open of scripted.open.slice()) open.answer({ kind: 'deferred', waitMs: 0, reason: 'aborted' });
    },
    hostHasEnded: () => host.hasEnded,
  };
  const transport: Transport = { send: (events, signal) => scripted.send(events, signal), [steering]: lead };
  const rig = telemetryRig({ scripted, transport, concurrency: 2, drainConcurrency: 4, drainOnExit: true, ...options });
  return { ...rig, host, calls };
}

test(
  proves('exit-connect', 'a host that has ended, but for a connect of ours, is held for the exit deadline; then the connect ends'),
  async (t) => {
    const { calls, clock, host, publish, telemetry, transport } = arrange({ exitDeadlineMs: 250 });
    await publish(6);
    t.is(transport.open.length, 2);
    t.is(clock.pendingRefTimers, 0);
    await clock.advance(100);
    t.deepEqual(calls, []);
    host.hasEnded = true;
    await clock.advance(40);
    t.deepEqual(calls, ['lastCall true']);
    t.is(transport.open.length, 4, 'with the concurrency of a drain');
    t.is(clock.pendingRefTimers, 1);
    await clock.advance(229);
    t.deepEqual(calls, ['lastCall true']);
    await clock.advance(20);
    t.deepEqual(calls, ['lastCall true', 'lastCall false', 'letGo']);
    t.is(clock.pendingRefTimers, 0);
    t.is(transport.open.length, 0);
    t.like(telemetry.stats(), { published: 6, sent: 0, failed: 0, dropped: 0, pending: 6 });
  },
);

test(proves('exit-delivers', 'what is answered within the exit deadline is delivered, and releases the process at once'), async (t) => {
  const { calls, clock, host, publish, succeed, telemetry } = arrange({ exitDeadlineMs: 250 });
  await publish(6);
  host.hasEnded = true;
  await clock.advance(60);
  await succeed();
  t.is(telemetry.stats().sent, 6);
  t.is(clock.pendingRefTimers, 0);
  t.deepEqual(calls, ['lastCall true', 'lastCall false']);
});

test(proves('exit-connect', 'with drainOnExit: false the connects of a host that has ended end at the next look'), async (t) => {
  const { calls, clock, host, publish, telemetry, transport } = arrange({ drainOnExit: false });
  await publish(6);
  host.hasEnded = true;
  await clock.advance(40);
  t.deepEqual(calls, ['letGo']);
  t.is(transport.open.length, 0);
  t.is(clock.pendingRefTimers, 0);
  t.like(telemetry.stats(), { pending: 6, failed: 0, dropped: 0 });
});

test('a host that lives on after all goes on sending a second later, and has its whole exit deadline at its next end', async (t) => {
  const { calls, clock, host, publish, succeed, telemetry, transport } = arrange({ exitDeadlineMs: 250 });
  await publish(2);
  host.hasEnded = true;
  await clock.advance(40 + 250);
  host.hasEnded = false;
  await publish(2);
  await clock.advance(980);
  t.is(transport.open.length, 0);
  await clock.advance(40);
  t.is(transport.open.length, 2);
  t.is(calls.length, 3);
  host.hasEnded = true;
  await clock.advance(20 + 240);
  t.is(calls.length, 4);
  await succeed();
  t.is(telemetry.stats().sent, 4);
});

test('a close() has its own deadline, whether the host has ended or not', async (t) => {
  const { calls, clock, host, publish, telemetry } = arrange({ exitDeadlineMs: 250 });
  await publish(6);
  host.hasEnded = true;
  const closed = telemetry.close({ deadlineMs: 990 });
  await clock.advance(989);
  t.deepEqual(calls, ['lastCall true']);
  await clock.advance(1);
  t.like(await closed, { timedOut: true, durationMs: 990, pending: 0 });
  t.is(clock.pendingTimers, 0);
});

test('while nothing is in flight the host is not asked', async (t) => {
  const { clock, publish, succeed } = arrange({ drainOnExit: false });
  await publish(1);
  await succeed();
  await clock.advance(2000);
  t.is(clock.pendingTimers, 0);
});

test('a pause which the endpoint asked for is kept at the end of the host, and the process is released at once', async (t) => {
  const { calls, clock, host, publish, telemetry, transport } = arrange({ exitDeadlineMs: 250 });
  await publish(6);
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 30_000, reason: 'http_503' });
  host.hasEnded = true;
  await clock.advance(40);
  t.is(clock.pendingRefTimers, 0);
  t.true(calls.includes('letGo'));
  t.is(transport.open.length, 0);
  t.is(telemetry.stats().pending, 6);
  await clock.advance(20_000);
  t.is(transport.open.length, 0);
});
