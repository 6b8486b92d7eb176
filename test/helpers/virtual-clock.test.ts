import test from 'ava';

import { VirtualClock } from './virtual-clock.js';

test('timers run in order of time, then of setting, each at its own moment', async (t) => {
  const clock = new VirtualClock();
  const seen: [string, number][] = [];
  const note = (name: string) => () => {
    seen.push([name, clock.now()]);
  };
  clock.setTimeout(note('late'), 20);
  clock.setTimeout(note('first of two'), 10);
  clock.setTimeout(note('second of two'), 10);
  clock.setTimeout(note('not yet'), 31);

  await clock.advance(30);

  t.deepEqual(seen, [
    ['first of two', 10],
    ['second of two', 10],
    ['late', 20],
  ]);
  t.is(clock.now(), 30);
  t.is(clock.pendingTimers, 1);
});

test('promise chains settle between two timers, and a timer set on the way runs in the same advance', async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const sleep = (ms: number) =>
    new Promise<void>((resolve) => {
      clock.setTimeout(resolve, ms);
    });
  const work = (async () => {
    await sleep(5);
    await Promise.resolve();
    seen.push(`chain at ${clock.now()}`);
    await sleep(5);
    seen.push(`chain at ${clock.now()}`);
  })();
  clock.setTimeout(() => seen.push('timer at 6'), 6);

  await clock.advance(10);
  await work;

  t.deepEqual(seen, ['chain at 5', 'timer at 6', 'chain at 10']);
});

test('a cleared timer never runs and is not pending', async (t) => {
  const clock = new VirtualClock();
  const timer = clock.setTimeout(() => t.fail(), 10);
  clock.clearTimeout(timer);
  t.is(clock.pendingTimers, 0);
  await clock.advance(100);
});

test('it tells which timers would hold a process', (t) => {
  const clock = new VirtualClock();
  const background = clock.setTimeout(() => {}, 10);
  clock.setTimeout(() => {}, 10);
  t.is(clock.pendingRefTimers, 2);
  background.unref();
  t.is(clock.pendingRefTimers, 1);
  t.is(clock.pendingTimers, 2);
  background.ref();
  t.is(clock.pendingRefTimers, 2);
});

test('delays that Node would not keep are 1 ms here too', async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.setTimeout(() => seen.push('zero'), 0);
  clock.setTimeout(() => seen.push('not a number'), Number.NaN);
  clock.setTimeout(() => seen.push('too long'), 2 ** 31);
  clock.setTimeout(() => seen.push('as long as it gets'), 2 ** 31 - 1);
  await clock.advance(1);
  t.deepEqual(seen, ['zero', 'not a number', 'too long']);
});

test('deferred work waits for the test or for advance', async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.defer(() => {
    seen.push('outer');
    clock.defer(() => seen.push('inner'));
  });
  t.is(clock.pendingDeferred, 1);
  t.deepEqual(seen, []);

  clock.runDeferred();
  t.deepEqual(seen, ['outer']);
  t.is(clock.pendingDeferred, 1);

  await clock.advance(0);
  t.deepEqual(seen, ['outer', 'inner']);
});

test('work that defers itself for ever is reported, not waited for', async (t) => {
  const clock = new VirtualClock();
  const again = (): void => {
    clock.defer(again);
  };
  again();
  await t.throwsAsync(clock.advance(0), { message: /for ever/ });
});

test('the wall clock follows, and jumps alone', async (t) => {
  const clock = new VirtualClock({ wallStartMs: 1000 });
  await clock.advance(5);
  t.is(clock.wallNow(), 1005);
  clock.jumpWall(-500);
  t.is(clock.wallNow(), 505);
  t.is(clock.now(), 5);
});

test('what a callback throws rejects advance', async (t) => {
  const clock = new VirtualClock();
  clock.setTimeout(() => {
    throw new Error('from a timer');
  }, 1);
  await t.throwsAsync(clock.advance(1), { message: 'from a timer' });
});
