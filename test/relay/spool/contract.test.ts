import test from 'ava';
import type { ExecutionContext } from 'ava';
import { memoryStore } from '../../../src/relay/spool/index.js';
import type { RelayStore } from '../../../src/delivery/relay-store.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { freshDirectory, openRig, targetsOf } from './rig.js';

interface Subject {
  store: RelayStore;
  clock: VirtualClock;
  told: () => number;
}

const kinds: Record<string, (t: ExecutionContext, onStored?: () => void) => Promise<Subject>> = {
  'a spool': (t) => openRig(t, { directory: freshDirectory(t), maxBytes: 16 * 1024, maxAgeMs: 60_000 }),
  'a memory store': () => {
    const clock = new VirtualClock();
    let told = 0;
    const store = memoryStore({ clock, maxBytes: 16 * 1024, maxAgeMs: 60_000, onStored: (events) => (told += events) });
    return Promise.resolve({ store, clock, told: () => told });
  },
};

for (const [kind, make] of Object.entries(kinds)) {
  const stored = kind === 'a spool' ? 'disk' : 'memory';

  test(`${kind} gives events out in the order in which they came, with numbers and times`, async (t) => {
    const { store, clock, told } = await make(t);
    t.deepEqual([store.length, store.nextSeq, store.oldestSeq], [0, 0, 0]);
    t.is(await store.append('/v3/dag_run?a=1'), stored);
    await clock.advance(7);
    t.is(await store.append('/v3/dag_run?a="2"&\u00e9'), stored);
    t.deepEqual([store.length, store.nextSeq, store.oldestSeq, told()], [2, 2, 0, 2]);
    const taken = store.take(5);
    t.deepEqual(
      taken.map(({ seq, target, acceptedAtMs, mayBeSecond }) => ({ seq, target, acceptedAtMs, mayBeSecond })),
      [
        { seq: 0, target: '/v3/dag_run?a=1', acceptedAtMs: Date.UTC(2026, 0, 1), mayBeSecond: false },
        { seq: 1, target: '/v3/dag_run?a="2"&\u00e9', acceptedAtMs: Date.UTC(2026, 0, 1) + 7, mayBeSecond: false },
      ],
    );
    t.deepEqual([store.length, store.nextSeq, store.oldestSeq], [0, 2, 2]);
    t.deepEqual(store.take(1), []);
  });

  test(`${kind} takes events back to its head, once, and only those that were taken`, async (t) => {
    const { store, told } = await make(t);
    for (const name of ['a', 'b', 'c', 'd']) await store.append(`/${name}`);
    const [a, b] = [store.take(1), store.take(2)];
    store.putBack(b);
    store.putBack(a);
    store.putBack(a);
    t.deepEqual([store.length, store.oldestSeq], [4, 0]);
    t.deepEqual(targetsOf(store.take(9)), ['/a', '/b', '/c', '/d']);
    t.is(told(), 4, 'what comes back is not new');
  });

  test(`${kind} forgets what is settled, whatever is said of it later`, async (t) => {
    const { store } = await make(t);
    for (const name of ['a', 'b']) await store.append(`/${name}`);
    const taken = store.take(1);
    store.settle(taken);
    store.settle(taken);
    store.putBack(taken);
    t.deepEqual(targetsOf(store.take(9)), ['/b']);
  });

  test(`${kind} knows copies of its events`, async (t) => {
    const { store } = await make(t);
    await store.append('/a');
    store.putBack(store.take(1).map((event) => ({ ...event })));
    t.deepEqual(targetsOf(store.take(1)), ['/a']);
  });

  test(`${kind} says full, keeps what it has, and has room again once events are settled`, async (t) => {
    const { store, told } = await make(t);
    const target = `/${'x'.repeat(1000)}`;
    let kept = 0;
    while ((await store.append(target)) === stored) kept += 1;
    t.true(kept >= 10 && kept <= 15, String(kept));
    t.deepEqual([await store.append(target), store.length, told(), store.nextSeq], ['full', kept, kept, kept]);
    store.settle(store.take(kept - 1));
    // A spool deletes its files on the side.
    while (store.stats().bytes > 4096) await new Promise((resolve) => setImmediate(resolve));
    let more = 0;
    while ((await store.append(target)) === stored) more += 1;
    t.true(more >= 5, String(more));
  });

  test(`${kind} never holds more bytes than it may`, async (t) => {
    const { store } = await make(t);
    const answers = await Promise.all(Array.from({ length: 200 }, () => store.append(`/${'x'.repeat(200)}`)));
    t.true(answers.includes('full'));
    t.true(store.stats().bytes <= 16 * 1024, String(store.stats().bytes));
  });

  test(`${kind} forgets what has waited for too long, and nothing else`, async (t) => {
    const { store, clock } = await make(t);
    await store.append('/old');
    await store.append('/taken');
    await store.append('/old too');
    await clock.advance(30_000);
    await store.append('/young');
    const [old, taken] = [store.take(1), store.take(1)];
    store.putBack(old);
    await clock.advance(30_000);
    t.is(store.expire(), 0, 'exactly the allowed age is allowed');
    await clock.advance(1);
    t.is(store.expire(), 2);
    t.is(store.expire(), 0);
    store.putBack(taken);
    t.deepEqual(targetsOf(store.take(9)), ['/taken', '/young']);
  });

  test(`${kind} lets no wall clock that was ahead keep an event for ever`, async (t) => {
    const { store, clock } = await make(t);
    clock.jumpWall(365 * 24 * 3_600_000);
    await store.append('/from the future');
    clock.jumpWall(-365 * 24 * 3_600_000);
    t.is(store.expire(), 0);
    await clock.advance(60_001);
    t.is(store.expire(), 1);
  });

  test(`${kind} is empty after clear, and what was taken does not come back`, async (t) => {
    const { store } = await make(t);
    for (const name of ['a', 'b', 'c']) await store.append(`/${name}`);
    const taken = store.take(1);
    t.is(store.clear(), 2);
    store.putBack(taken);
    t.deepEqual([store.length, store.oldestSeq, store.take(9)], [0, 3, []]);
    t.is(await store.append('/d'), stored);
    t.deepEqual(targetsOf(store.take(9)), ['/d']);
  });

  test(`${kind} that is closed takes and gives nothing`, async (t) => {
    const { store } = await make(t);
    await store.append('/a');
    await Promise.all([store.close(), store.close()]);
    t.is(await store.append('/b'), 'full');
    t.deepEqual(store.take(1), []);
    t.is(store.length, 1);
  });

  test(`${kind} refuses options that are wrong, by name`, async (t) => {
    const clock = new VirtualClock();
    const open = (more: object): Promise<unknown> =>
      kind === 'a spool'
        ? openRig(t, { directory: freshDirectory(t), ...more })
        : Promise.resolve().then(() => memoryStore({ clock, onStored: () => {}, ...more }));
    await t.throwsAsync(open({ maxBytes: 100 }), { instanceOf: TypeError, message: /`maxBytes`.*from 16384.*got 100/ });
    await t.throwsAsync(open({ maxAgeMs: 0 }), { instanceOf: TypeError, message: /`maxAgeMs`.*got 0/ });
    await t.throwsAsync(open({ onStored: 1 }), { instanceOf: TypeError, message: /`onStored`.*got 1/ });
    await t.throwsAsync(open({ onStored: undefined }), { instanceOf: TypeError, message: /to have `onStored`/ });
    await t.throwsAsync(open({ maxbytes: 1 }), { instanceOf: TypeError, message: /`maxbytes`/ });
  });
}

test('a spool refuses its own options that are wrong, by name', async (t) => {
  const directory = freshDirectory(t);
  await t.throwsAsync(openRig(t, { directory: '' }), { instanceOf: TypeError, message: /`directory`.*got ""/ });
  await t.throwsAsync(openRig(t, { directory, segmentBytes: 1 }), { instanceOf: TypeError, message: /`segmentBytes`.*got 1/ });
  await t.throwsAsync(openRig(t, { directory, fs: 1 as never }), { instanceOf: TypeError, message: /`fs`.*got 1/ });
});
