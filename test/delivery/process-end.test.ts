// The end of the process, as emitters see it. In most tests `beforeExit` does not come, because a connect of ours keeps the process alive.
import test from 'ava';
import { ProcessEnd } from '../../src/delivery/process-end.js';
import { steering } from '../../src/delivery/transport.js';
import type { Steering, Transport } from '../../src/delivery/transport.js';
import type { TelemetryOptions } from '../../src/index.js';
import { proves } from '../helpers/promises.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

test('it is looked every 15 ms, as long as something of ours is in flight, by a timer that holds nothing', async (t) => {
  const clock = new VirtualClock();
  const looks: number[] = [];
  let isSending = true;
  const end = new ProcessEnd(clock, () => {
    looks.push(clock.now());
    return false;
  });
  const leaver = {
    get isSending() {
      return isSending;
    },
    exitMs: 250,
    hurry: () => t.fail(),
    leave: () => t.fail() as undefined,
    letGo: () => t.fail(),
    liveOn: () => t.fail(),
  };
  end.sends(leaver);
  end.sends(leaver);
  t.is(clock.pendingTimers, 1);
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(50);
  t.deepEqual(looks, [15, 30, 45]);
  isSending = false;
  await clock.advance(1000);
  t.deepEqual(looks, [15, 30, 45]);
  t.is(clock.pendingTimers, 0);
  isSending = true;
  end.sends(leaver);
  end.forget(leaver);
  end.forget(leaver);
  t.is(clock.pendingTimers, 0);
});

/** A host that ends when the test says so, and clients whose connects never end. */
function arrange(options: Partial<TelemetryOptions>, clients = 1) {
  const clock = new VirtualClock();
  const host = { hasEnded: false };
  const isHeldByUs = (): boolean => host.hasEnded && rigs.some(({ transport }) => transport.open.length > 0);
  const rigs = Array.from({ length: clients }, () => {
    const scripted = new ScriptedTransport();
    const calls: string[] = [];
    const lead: Steering = {
      lastCall: (isLast) => calls.push(`lastCall ${isLast}`),
      letGo: () => {
        calls.push('letGo');
        for (const open of scripted.open.slice()) open.answer({ kind: 'deferred', waitMs: 0, reason: 'aborted' });
      },
    };
    const transport: Transport = { send: (events, signal) => scripted.send(events, signal), [steering]: lead };
    const rig = telemetryRig({
      scripted,
      transport,
      clock,
      isHeldByUs,
      concurrency: 2,
      drainConcurrency: 4,
      drainOnExit: true,
      ...options,
    });
    return { ...rig, calls };
  });
  return { host, rigs, ...(rigs[0] as (typeof rigs)[number]) };
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
    t.is(transport.open.length, 2);
    await clock.advance(5);
    t.is(transport.open.length, 4, 'with the concurrency of a drain');
    t.is(clock.pendingRefTimers, 0, 'the connects hold it');
    await clock.advance(249);
    t.deepEqual(calls, []);
    await clock.advance(1);
    t.deepEqual(calls, ['letGo'], 'a guess is no last call');
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
  t.deepEqual(calls, []);
});

test(proves('exit-connect', 'with drainOnExit: false the connects of a host that has ended end at the next look'), async (t) => {
  const { calls, clock, host, publish, telemetry, transport } = arrange({ drainOnExit: false });
  await publish(6);
  host.hasEnded = true;
  await clock.advance(15);
  t.deepEqual(calls, ['letGo']);
  t.is(transport.open.length, 0);
  t.is(clock.pendingRefTimers, 0);
  t.like(telemetry.stats(), { pending: 6, failed: 0, dropped: 0 });
});

test(
  proves(
    'exit-guess',
    'a host that lives on goes on sending 90 ms later; each next guess comes twice as late, so that a slow connect succeeds',
  ),
  async (t) => {
    const { calls, clock, host, publish, succeed, telemetry, transport } = arrange({ exitDeadlineMs: 250 });
    await publish(2);
    // What it waits for is not listed.
    host.hasEnded = true;
    const cutAtMs: number[] = [];
    for (let cuts = 0; clock.now() < 9_000; await clock.advance(5)) {
      if (calls.length > cuts) cutAtMs.push(clock.now());
      cuts = calls.length;
    }
    t.deepEqual(cutAtMs, [265, 925, 2245, 4885]);
    t.is(transport.open.length, 2);
    await succeed();
    t.like(telemetry.stats(), { sent: 2, pending: 0, failed: 0 });
    t.false(calls.includes('lastCall true'), 'no event loses its retries');
    t.is(clock.pendingRefTimers, 0);
  },
);

// In series: others may not add a listener meanwhile.
test.serial(
  proves('exit-guess', 'after an end that was certain, a host which lives on for a second has its whole exit deadline again'),
  async (t) => {
    const { calls, clock, host, publish, succeed, telemetry, transport } = arrange({ exitDeadlineMs: 250 });
    const before = process.listeners('beforeExit');
    const beforeExit = (): void => {
      for (const listener of process.listeners('beforeExit')) if (!before.includes(listener)) listener(0);
    };
    await publish(2);
    t.is(clock.pendingRefTimers, 0);
    beforeExit();
    await clock.advance(250);
    t.deepEqual(calls, ['lastCall true', 'lastCall false', 'letGo']);
    t.is(transport.open.length, 0);
    await clock.advance(100);
    t.is(transport.open.length, 2);
    host.hasEnded = true;
    await clock.advance(15);
    t.is(transport.open.length, 0, 'it came back for a moment only');
    host.hasEnded = false;
    await clock.advance(100);
    t.is(transport.open.length, 2);
    await clock.advance(2000);
    beforeExit();
    await clock.advance(240);
    await succeed();
    t.is(telemetry.stats().sent, 2);
  },
);

test(
  proves('exit-clients', 'all clients of a process leave at the same time, however many there are, and none keeps another one'),
  async (t) => {
    const { clock, host, rigs } = arrange({ exitDeadlineMs: 250 }, 20);
    for (const { publish } of rigs) await publish(6);
    host.hasEnded = true;
    await clock.advance(264);
    for (const { transport } of rigs) t.is(transport.open.length, 4);
    await clock.advance(1);
    for (const { calls, telemetry, transport } of rigs) {
      t.deepEqual(calls, ['letGo']);
      t.is(transport.open.length, 0);
      t.like(telemetry.stats(), { pending: 6, failed: 0, dropped: 0 });
    }
    t.is(clock.pendingRefTimers, 0);
  },
);

test(proves('exit-clients', 'a client that begins to send while the others leave is let go with them'), async (t) => {
  const { clock, host, rigs } = arrange({ exitDeadlineMs: 250 }, 2);
  await rigs[0]?.publish(1);
  host.hasEnded = true;
  await clock.advance(125);
  await rigs[1]?.publish(1);
  t.is(rigs[1]?.transport.open.length, 1);
  await clock.advance(150);
  t.is(rigs[1]?.transport.open.length, 0);
  t.deepEqual(rigs[1]?.calls, ['letGo']);
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

test('a pause which the endpoint asked for is kept at the end of the host, whose deadline holds for the connects under way', async (t) => {
  const { calls, clock, host, publish, telemetry, transport } = arrange({ exitDeadlineMs: 250 });
  await publish(6);
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 30_000, reason: 'http_503' });
  host.hasEnded = true;
  await clock.advance(264);
  t.is(clock.pendingRefTimers, 0);
  t.is(transport.open.length, 1, 'and no other begins');
  await clock.advance(1);
  t.deepEqual(calls, ['letGo']);
  t.is(transport.open.length, 0);
  t.is(telemetry.stats().pending, 6);
  await clock.advance(20_000);
  t.is(transport.open.length, 0);
});
