import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Stored } from '../../../src/delivery/relay-store.js';
import { FaultyFiles } from './faulty-files.js';
import { appendAll, freshDirectory, openRig, spoolFiles, targetsOf } from './rig.js';

test('appends that come in while a write is under way share the next one, and its sync', async (t) => {
  const faulty = new FaultyFiles();
  const gate = faulty.hold('file.datasync');
  const { store, told } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  const answers: Stored[] = [];
  const append = (target: string): Promise<void> => store.append(target).then((stored) => void answers.push(stored));
  const first = append('/first');
  await gate.arrived();
  const others = Array.from({ length: 64 }, (_, number) => append(`/${number}`));
  t.deepEqual([store.length, told(), answers.length, faulty.count('file.datasync')], [0, 0, 0, 1], 'nothing is there before it is safe');
  t.deepEqual(store.take(9), []);
  gate.letThrough();
  await first;
  t.deepEqual([store.length, told(), answers], [1, 1, ['disk']]);
  await gate.arrived();
  gate.letThrough();
  await Promise.all(others);
  t.deepEqual([store.length, told(), faulty.count('file.datasync')], [65, 65, 2]);
  t.deepEqual(targetsOf(store.take(3)), ['/first', '/0', '/1']);
});

test('length and the account grow in one step', async (t) => {
  const directory = freshDirectory(t);
  let seen = 0;
  const lengths: number[] = [];
  const { store } = await openRig(t, {
    directory,
    onStored: (events) => {
      seen += events;
      lengths.push(store.length);
      t.is(store.length, seen);
    },
  });
  await Promise.all(Array.from({ length: 50 }, (_, number) => store.append(`/${number}`)));
  t.is(seen, 50);
  t.is(lengths.at(-1), 50);
});

test('numbers follow the order of the calls', async (t) => {
  const { store } = await openRig(t, { directory: freshDirectory(t) });
  await Promise.all(Array.from({ length: 200 }, (_, number) => store.append(`/${number}`)));
  const taken = store.take(200);
  t.true(taken.every(({ seq, target }) => target === `/${seq}`));
});

test('close writes what is on its way', async (t) => {
  const faulty = new FaultyFiles();
  const gate = faulty.hold('file.datasync');
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  const first = store.append('/a');
  await gate.arrived();
  const second = store.append('/b');
  const closed = store.close();
  gate.letThrough();
  t.is(await first, 'disk');
  await gate.arrived();
  gate.letThrough();
  t.is(await second, 'disk');
  await closed;
  gate.end();
  t.is((await reopen()).length, 2);
});

test('what is on its way while the spool is emptied is forgotten, on disk too', async (t) => {
  const faulty = new FaultyFiles();
  const gate = faulty.hold('file.datasync');
  const directory = freshDirectory(t);
  const { store, told } = await openRig(t, { directory, fs: faulty.files });
  const first = store.append('/under way');
  await gate.arrived();
  const second = store.append('/queued');
  t.is(store.clear(), 0);
  t.deepEqual(spoolFiles(directory), []);
  gate.letThrough();
  t.deepEqual([await first, await second, store.length, told()], ['full', 'full', 0, 0]);
  gate.end();
  await appendAll(t, store, ['/later']);
  t.deepEqual(targetsOf(store.take(9)), ['/later']);
  await store.close();
  t.deepEqual(spoolFiles(directory).length, 2);
});

test('the spool may be emptied at every step of its first write', async (t) => {
  for (const call of ['open', 'file.chmod', 'file.write', 'file.sync', 'file.stat'] as const) {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, reopen } = await openRig(t, { directory, fs: faulty.files });
    const calls = faulty.count(call);
    const append = store.append('/a');
    while (faulty.count(call) === calls) await new Promise((resolve) => setImmediate(resolve));
    store.clear();
    t.true(['full', 'disk'].includes(await append), call);
    store.clear();
    await store.close();
    t.deepEqual(spoolFiles(directory), [], call);
    t.is((await reopen()).length, 0);
  }
});

test('the spool may be emptied between any two steps of an append', async (t) => {
  for (let steps = 0; steps < 30; steps += 1) {
    const directory = freshDirectory(t);
    const { store } = await openRig(t, { directory });
    if (steps % 2 === 1) await appendAll(t, store, ['/before']);
    const append = store.append('/a');
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    store.clear();
    t.is(await append, 'full', `${steps} steps`);
    t.deepEqual(store.take(9), []);
    await store.close();
    t.deepEqual(spoolFiles(directory), [], `${steps} steps`);
  }
});

test('the last event of a segment may be settled between any two steps of an append', async (t) => {
  for (let steps = 0; steps < 30; steps += 1) {
    const { store, reopen } = await openRig(t, { directory: freshDirectory(t), maxBytes: 64 * 1024, segmentBytes: 1024 });
    // Now the segment is large enough to be deleted, and not to be followed by another.
    await appendAll(t, store, [`/${'x'.repeat(700)}`]);
    const taken = store.take(1);
    const append = store.append('/a');
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    store.settle(taken);
    t.is(await append, 'disk', `${steps} steps`);
    await store.close();
    t.deepEqual(targetsOf((await reopen()).take(9)), ['/a'], `${steps} steps`);
  }
});

test('more marks than one stretch holds', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await Promise.all(Array.from({ length: 2500 }, () => store.append('/a')));
  const taken = store.take(2500);
  store.settle(taken.slice(0, 2400));
  await store.close();
  t.is(readFileSync(join(directory, 'marks-000001.txt'), 'utf8'), 'd'.repeat(2400) + 'b'.repeat(100) + '.'.repeat(3 * 1024 - 2500));
  t.is((await reopen()).stats().maybeSentTwice, 100);
});
