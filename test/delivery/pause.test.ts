import test from 'ava';
import { Pause } from '../../src/delivery/pacing.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

function setUp() {
  const clock = new VirtualClock();
  const over: number[] = [];
  return { clock, over, pause: new Pause(clock, () => over.push(clock.now())) };
}

test('a pause ends at its time, says so once, and holds no process', async (t) => {
  const { clock, over, pause } = setUp();
  pause.begin(500);
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(499);
  t.true(pause.isOn);
  await clock.advance(1);
  t.false(pause.isOn);
  t.deepEqual(over, [500]);
});

test('it gets longer, never shorter, and stays within its bounds', async (t) => {
  const { clock, over, pause } = setUp();
  pause.begin(500);
  pause.begin(100);
  pause.begin(900);
  t.is(clock.pendingTimers, 1);
  await clock.advance(900);
  t.deepEqual(over, [900]);
  pause.begin(0);
  t.is(pause.untilMs, 910);
  pause.begin(Infinity);
  t.is(pause.untilMs, 900 + 3_600_000);
});

test('waking ends a rest of our own, and no pause that the network asked for', (t) => {
  const { clock, over, pause } = setUp();
  pause.rest(1000);
  t.true(pause.isOn);
  pause.wake();
  t.false(pause.isOn);
  t.is(clock.pendingTimers, 0);
  pause.begin(500);
  pause.rest(1000);
  t.is(pause.untilMs, 500, 'a rest prolongs no pause');
  pause.wake();
  t.true(pause.isOn);
  pause.end();
  t.false(pause.isOn);
  pause.rest(100);
  pause.begin(5000);
  pause.wake();
  t.true(pause.isOn, 'what began as a rest has become a pause');
  t.deepEqual(over, []);
});
