import test from 'ava';
import { Checkpoints } from '../../src/delivery/emitter.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { settled } from '../helpers/product.js';

function setUp() {
  const clock = new VirtualClock();
  return { clock, checkpoints: new Checkpoints(clock) };
}

/** What a promise has come to so far. */
async function stateOf(promise: Promise<boolean>): Promise<boolean | 'waiting'> {
  await settled();
  return Promise.race([promise, Promise.resolve('waiting' as const)]);
}

test('nothing to wait for is over at once, without a timer', async (t) => {
  const { clock, checkpoints } = setUp();
  t.false(await checkpoints.wait(0, 0, 1000));
  t.false(await checkpoints.wait(5, 5, 1000));
  t.false(await checkpoints.wait(5, 9, 0));
  t.is(clock.timers.length, 0);
  t.false(checkpoints.mayEndAt(Infinity));
});

test('waits until everything before its event is over', async (t) => {
  const { clock, checkpoints } = setUp();
  const wait = checkpoints.wait(10, 3, 1000);
  t.deepEqual([checkpoints.mayEndAt(9), checkpoints.mayEndAt(10)], [false, true]);
  checkpoints.reached(9);
  t.is(await stateOf(wait), 'waiting');
  checkpoints.reached(10);
  t.is(await stateOf(wait), false);
  t.false(checkpoints.mayEndAt(Infinity));
  t.is(clock.timers.length, 0);
});

test('the deadline ends the wait, and later news ends it no second time', async (t) => {
  const { clock, checkpoints } = setUp();
  const wait = checkpoints.wait(10, 3, 1000);
  t.is(clock.timers[0]?.delayMs, 1000);
  clock.fire();
  t.is(await stateOf(wait), true);
  t.false(checkpoints.mayEndAt(Infinity));
  t.notThrows(() => {
    checkpoints.reached(10);
  });
  t.true(await wait);
});

test('each waits for its own event and has its own deadline', async (t) => {
  const { clock, checkpoints } = setUp();
  const near = checkpoints.wait(5, 0, 100);
  const far = checkpoints.wait(10, 0, 200);
  const late = checkpoints.wait(10, 0, 300);
  checkpoints.reached(5);
  t.deepEqual([await stateOf(near), await stateOf(far), await stateOf(late)], [false, 'waiting', 'waiting']);
  t.deepEqual(
    clock.timers.map(({ delayMs }) => delayMs),
    [200, 300],
  );
  clock.fire();
  t.deepEqual([await stateOf(far), await stateOf(late)], [true, 'waiting']);
  checkpoints.reached(Infinity);
  t.is(await stateOf(late), false);
  t.is(clock.timers.length, 0);
});

test('somebody awaits it, so its timer holds the process', async (t) => {
  const { clock, checkpoints } = setUp();
  const wait = checkpoints.wait(1, 0, 1000);
  t.true(clock.timers[0]?.isHolding);
  clock.fire();
  await wait;
});

test('a deadline beyond what timers can do is not a deadline that has passed', async (t) => {
  const { clock, checkpoints } = setUp();
  for (const deadlineMs of [Infinity, 1e15, 2 ** 31]) {
    const wait = checkpoints.wait(1, 0, deadlineMs);
    t.is(clock.timers[0]?.delayMs, 2 ** 31 - 1);
    clock.fire();
    await wait;
  }
});

test('no time at all is a deadline too', async (t) => {
  const { clock, checkpoints } = setUp();
  const wait = checkpoints.wait(1, 0, 0);
  t.is(clock.timers[0]?.delayMs, 0);
  t.is(await stateOf(wait), 'waiting');
  clock.fire();
  t.true(await wait);
});
