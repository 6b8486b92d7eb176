import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import { startChild } from './children.js';
import { FaultyFiles } from './faulty-files.js';
import type { Call } from './faulty-files.js';
import { appendAll, freshDirectory, openRig, spoolFiles, targetsOf } from './rig.js';

/** Leaves two events in a directory, one of them begun. */
async function leaveTwo(t: ExecutionContext, directory: string): Promise<void> {
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/left begun', '/left']);
  store.take(1);
  await store.close();
}

const FIRST_CALLS: readonly Call[] = ['lstat', 'readdir', 'chmod', 'link', 'open', 'file.readFile', 'file.stat'];

for (const code of ['EROFS', 'EACCES', 'EIO', 'ENOSPC']) {
  for (const call of FIRST_CALLS) {
    test(`${code} at ${call} at the start: memory and one line, then the disk with all that is on it`, async (t) => {
      const directory = freshDirectory(t);
      await leaveTwo(t, directory);
      const faulty = new FaultyFiles();
      faulty.faults.set(call, code);
      let length = 0;
      const rig = await openRig(t, { directory, fs: faulty.files, onRecovered: () => (length = rig.store.length) });
      const { store, clock, lines, told, reopen } = rig;
      for (const target of ['/new begun', '/new']) t.is(await store.append(target), 'memory');
      t.deepEqual([store.length, told(), store.stats().isDurable, store.stats().recovered], [2, 2, false, 0]);
      t.deepEqual(
        lines.map((line) => [line.includes(`(${code})`), line.includes('secret')]),
        [[true, false]],
      );
      const begun = store.take(1);
      const tries = faulty.count(call);
      await clock.advance(4999);
      t.is(faulty.count(call), tries);

      faulty.faults.clear();
      while (!store.stats().isDurable) await clock.advance(1);
      t.deepEqual([length, told()], [3, 2], 'those of before are no new ones');
      const { waiting, recovered, maybeSentTwice } = store.stats();
      t.deepEqual({ waiting, recovered, maybeSentTwice }, { waiting: 3, recovered: 2, maybeSentTwice: 1 });
      store.putBack(begun);
      t.deepEqual(targetsOf(store.take(2)), ['/left begun', '/left'], 'the oldest first');
      t.is(await store.append('/newest'), 'disk');
      t.is(await store.close(), 0);
      const last = await reopen();
      t.deepEqual(targetsOf(last.take(9)), ['/left begun', '/left', '/new begun', '/new', '/newest']);
      t.is(last.nextSeq, 5, 'no two have one number');
    });
  }
}

test('a directory that cannot be made at first is made later', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  faulty.failAll('EROFS');
  const { store, clock, reopen } = await openRig(t, { directory, fs: faulty.files });
  t.is(await store.append('/a'), 'memory');
  faulty.faults.clear();
  while (!store.stats().isDurable) await clock.advance(100);
  t.is(spoolFiles(directory).length, 2);
  t.is(await store.append('/b'), 'disk');
  const taken = store.take(9);
  t.deepEqual(
    taken.map(({ seq, target }) => [seq, target]),
    [
      [0, '/a'],
      [1, '/b'],
    ],
  );
  store.putBack(taken);
  t.deepEqual([store.length, await store.close()], [2, 0]);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a', '/b']);
});

test('a disk that is back only at the end takes what waits, beside what was left', async (t) => {
  const directory = freshDirectory(t);
  await leaveTwo(t, directory);
  const faulty = new FaultyFiles();
  faulty.faults.set('link', 'EROFS');
  const { store, reopen } = await openRig(t, { directory, fs: faulty.files });
  t.is(await store.append('/new'), 'memory');
  faulty.faults.clear();
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/left begun', '/left', '/new']);
});

test('what waits in memory ends with the process where the disk never works', async (t) => {
  const faulty = new FaultyFiles();
  faulty.failAll('EROFS');
  const { store, clock } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  t.is(await store.append('/a'), 'memory');
  t.deepEqual([await store.close(), clock.pendingTimers], [1, 0]);
});

test('a disk that hangs at the start is waited for, then memory has to do until it answers', async (t) => {
  for (const call of ['lstat', 'readdir', 'file.readFile'] as const) {
    const directory = freshDirectory(t);
    await leaveTwo(t, directory);
    const faulty = new FaultyFiles();
    const disk = faulty.hold(call);
    t.teardown(() => disk.end());
    const clock = new VirtualClock();
    const opening = openRig(t, { directory, fs: faulty.files, clock });
    await disk.arrived();
    await clock.advance(5000);
    const { store, lines } = await opening;
    t.is(await store.append('/new'), 'memory');
    t.true(lines[0]?.includes('spool_hangs'));
    disk.end();
    while (!store.stats().isDurable) await new Promise((resolve) => setImmediate(resolve));
    t.deepEqual(targetsOf(store.take(9)), ['/left begun', '/left', '/new'], call);
    t.is(await store.close(), 0);
  }
});

test('a directory that another process takes meanwhile stays with it', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  faulty.failAll('EROFS');
  const { store, clock, lines } = await openRig(t, { directory, fs: faulty.files });
  const other = startChild(t, directory, 'hold');
  await other.said(1);
  faulty.faults.clear();
  t.is(await store.append('/a'), 'memory');
  while (!lines.some((line) => line.includes('used by another process'))) await clock.advance(61_000);
  t.false(store.stats().isDurable);
  t.is(await store.close(), 1);
});

test('what waiting would not mend is refused at the start all the same', async (t) => {
  const directory = freshDirectory(t);
  writeFileSync(directory, '');
  await t.throwsAsync(openRig(t, { directory }), { code: 'unsafe', message: /is not a directory/ });
  const taken = freshDirectory(t);
  mkdirSync(taken, { mode: 0o700 });
  await openRig(t, { directory: taken });
  await t.throwsAsync(openRig(t, { directory: taken }), { code: 'in_use' });
});

for (const [code, isMissing] of [
  ['EROFS', false],
  ['ENOSPC', true],
] as const) {
  test(`a directory that is missing${isMissing ? ' with its parent' : ''} where ${code} keeps it from being made, of which Node says ENOENT: memory for now`, async (t) => {
    const directory = isMissing ? join(freshDirectory(t), 'spool') : freshDirectory(t);
    let isBroken = true;
    const mkdir: typeof nodeFiles.mkdir = (path, options) => {
      if (!isBroken) return nodeFiles.mkdir(path, options);
      return Promise.reject(Object.assign(new Error('no'), { code: options.recursive ? 'ENOENT' : code }));
    };
    const { store, clock, lines } = await openRig(t, { directory, fs: { ...nodeFiles, mkdir } });
    t.is(await store.append('/a'), 'memory');
    t.true(lines.some((line) => line.includes(`(${code})`)));
    isBroken = false;
    while (!store.stats().isDurable) await clock.advance(100);
    t.is(await store.append('/b'), 'disk');
  });
}
