import test from 'ava';
import { startLimit } from '../../../src/delivery/pacing.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';

test('time is up one turn of the event loop after the limit, and no timer holds the process', (t) => {
  const clock = new VirtualClock();
  let up = 0;
  startLimit(clock, 1000, () => (up += 1));
  t.deepEqual(
    clock.timers.map(({ delayMs, isHolding }) => [delayMs, isHolding]),
    [[1000, false]],
  );
  clock.fire();
  t.is(up, 0);
  t.deepEqual(
    clock.timers.map(({ delayMs, isHolding }) => [delayMs, isHolding]),
    [[0, false]],
  );
  clock.fire();
  t.is(up, 1);
});

test('a limit that has ended leaves no timer, before it is reached and in the last turn', (t) => {
  const clock = new VirtualClock();
  const stop = startLimit(clock, 1000, () => t.fail());
  stop();
  stop();
  t.is(clock.pendingTimers, 0);
  const late = startLimit(clock, 1000, () => t.fail());
  clock.fire();
  late();
  t.is(clock.pendingTimers, 0);
});
