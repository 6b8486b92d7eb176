import test from 'ava';
import { startLimit } from '../../../src/delivery/pacing.js';
import type { Clock } from '../../../src/base/clock.js';

interface FakeTimer {
  readonly delayMs: number;
  readonly run: () => void;
  held: boolean;
  ref(): void;
  unref(): void;
}

/** A clock whose timers are run by hand. */
function handClock(): { clock: Clock; timers: FakeTimer[] } {
  const timers: FakeTimer[] = [];
  const clock: Clock = {
    now: () => 0,
    wallNow: () => 0,
    setTimeout: (run, delayMs) => {
      const timer: FakeTimer = { delayMs, run, held: true, ref: () => {}, unref: () => (timer.held = false) };
      timers.push(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      if (timers.includes(timer as FakeTimer)) timers.splice(timers.indexOf(timer as FakeTimer), 1);
    },
    defer: () => {},
  };
  return { clock, timers };
}

test('time is up one turn of the event loop after the limit, and no timer holds the process', (t) => {
  const { clock, timers } = handClock();
  let up = 0;
  startLimit(clock, 1000, () => (up += 1));
  t.deepEqual(
    timers.map(({ delayMs, held }) => [delayMs, held]),
    [[1000, false]],
  );
  timers.shift()?.run();
  t.is(up, 0);
  t.deepEqual(
    timers.map(({ delayMs, held }) => [delayMs, held]),
    [[0, false]],
  );
  timers.shift()?.run();
  t.is(up, 1);
});

test('a limit that has ended leaves no timer, before it is reached and in the last turn', (t) => {
  const { clock, timers } = handClock();
  const stop = startLimit(clock, 1000, () => t.fail());
  stop();
  stop();
  t.is(timers.length, 0);
  const late = startLimit(clock, 1000, () => t.fail());
  timers.shift()?.run();
  late();
  t.is(timers.length, 0);
});
