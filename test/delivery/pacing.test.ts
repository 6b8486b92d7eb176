import test from 'ava';
import { startLimit } from '../../src/delivery/pacing.js';
import { proves } from '../helpers/promises.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

/** Runs a limit until it ends. @returns When, on the clock. */
async function endOf(clock: VirtualClock, limitMs: number): Promise<number> {
  const ends: number[] = [];
  startLimit(clock, limitMs, () => ends.push(clock.now()));
  while (ends.length === 0) await clock.advance(1);
  return ends[0] ?? Number.NaN;
}

test('a limit ends at its time, after the network was read once more', async (t) => {
  for (const limitMs of [1, 10, 25, 60, 1000, 1010.5]) {
    const endedAtMs = await endOf(new VirtualClock(), limitMs);
    t.true(endedAtMs >= limitMs && endedAtMs <= limitMs + 3, `${limitMs}: ${endedAtMs}`);
  }
});

test(proves('busy-loop', 'a turn of the event loop counts at most 50 ms, however long the host keeps it busy'), (t) => {
  const clock = new VirtualClock();
  let isUp = false;
  startLimit(clock, 400, () => {
    isUp = true;
  });
  // Seven turns of five seconds: the timers run late, and no time in between was spent waiting for an answer.
  for (let turn = 0; turn < 7; turn += 1) {
    clock.nowMs += 5000;
    clock.fire();
    t.false(isUp, `${turn}`);
  }
  clock.nowMs += 5000;
  clock.fire();
  clock.fire();
  t.true(isUp);
});

test(proves('busy-loop', 'what arrives in the turn in which a limit ends is read before'), async (t) => {
  const clock = new VirtualClock();
  const stop = startLimit(clock, 100, () => t.fail());
  for (let turn = 0; turn < 2; turn += 1) {
    clock.nowMs += 50;
    clock.fire();
  }
  // The time is up, and the answer arrives in the same turn.
  stop();
  await clock.advance(1000);
  t.is(clock.pendingTimers, 0);
});

test('many limits have one timer, which does not keep the process alive', async (t) => {
  const clock = new VirtualClock();
  const ended: string[] = [];
  startLimit(clock, 300, () => ended.push('300'));
  startLimit(clock, 100, () => ended.push('100'));
  const stop = startLimit(clock, 200, () => ended.push('200'));
  t.is(clock.pendingTimers, 1);
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(101);
  stop();
  stop();
  await clock.advance(202);
  t.deepEqual(ended, ['100', '300']);
  await clock.advance(50);
  t.is(clock.pendingTimers, 0);
});

test('a limit that starts later has its whole time', async (t) => {
  const clock = new VirtualClock();
  startLimit(clock, 1000, () => undefined);
  await clock.advance(510);
  const endedAtMs = await endOf(clock, 100);
  t.true(endedAtMs >= 610 && endedAtMs <= 613, `${endedAtMs}`);
});

test(proves('busy-loop', 'a limit that starts at the end of a long turn of the host has its whole time'), async (t) => {
  const clock = new VirtualClock();
  let up = 0;
  const stop = startLimit(clock, 10_000, () => undefined);
  // The host has kept the loop busy for five seconds, and publishes: no timer has run since.
  clock.nowMs += 5000;
  startLimit(clock, 100, () => (up += 1));
  clock.fire();
  stop();
  await clock.advance(99);
  t.is(up, 0);
  await clock.advance(3);
  t.is(up, 1);
});

test('a limit may be started and cancelled where another one ends', async (t) => {
  const clock = new VirtualClock();
  const ended: string[] = [];
  const stop = startLimit(clock, 100, () => ended.push('cancelled'));
  startLimit(clock, 50, () => {
    stop();
    startLimit(clock, 50, () => ended.push('next'));
  });
  await clock.advance(90);
  t.deepEqual(ended, []);
  await clock.advance(15);
  t.deepEqual(ended, ['next']);
  await clock.advance(50);
  t.is(clock.pendingTimers, 0);
});

test('each clock has its own limits', async (t) => {
  const clocks = [new VirtualClock(), new VirtualClock()] as const;
  let up = 0;
  startLimit(clocks[0], 100, () => (up += 1));
  startLimit(clocks[1], 100, () => (up += 1));
  await clocks[0].advance(200);
  t.is(up, 1);
});

test('a cancelled limit leaves no timer', (t) => {
  const clock = new VirtualClock();
  const stop = startLimit(clock, 1000, () => t.fail());
  stop();
  stop();
  t.is(clock.pendingTimers, 0);
});

test('what is read after the loop was away may have arrived at any time since it was seen last', async (t) => {
  const clock = new VirtualClock();
  t.is(startLimit.seenUntilMs(clock), 0);
  const stop = startLimit(clock, 60_000, () => t.fail());
  await clock.advance(1000);
  t.is(startLimit.seenUntilMs(clock), 1000);
  // Away, and read before any timer.
  clock.nowMs += 500;
  t.is(startLimit.seenUntilMs(clock), 1000);
  // Read after the timers, which come first.
  clock.fire();
  t.is(startLimit.seenUntilMs(clock), 1000);
  await clock.advance(100);
  t.is(startLimit.seenUntilMs(clock), 1600);
  stop();
});
