import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import { SpoolError } from '../../../src/relay/spool/index.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { startChild } from './children.js';
import { CHANGING, FaultyFiles, ON_THE_WAY } from './faulty-files.js';
import type { Call } from './faulty-files.js';
import { appendAll, freshDirectory, linesOf, openRig, spoolFiles, targetsOf, turn, untilDurable } from './rig.js';

for (const code of ['ENOSPC', 'EROFS', 'EIO', 'EDQUOT', 'EMFILE']) {
  for (const call of ON_THE_WAY) {
    test(`${code} at ${call}: memory, one log line without a secret, and the disk again once it works`, async (t) => {
      const directory = freshDirectory(t);
      const faulty = new FaultyFiles();
      const { store, clock, lines, told, reopen } = await openRig(t, { directory, fs: faulty.files });
      faulty.faults.set(call, code);
      t.is(await store.append('/a'), 'memory');
      t.is(await store.append('/b'), 'memory');
      t.deepEqual([store.length, told(), store.stats().isDurable], [2, 2, false]);
      t.deepEqual(
        lines.map((line) => [line.includes(code), line.includes('secret')]),
        [[true, false]],
      );

      await clock.advance(4999);
      const tries = faulty.count(call);
      t.is(await store.append('/c'), 'memory');
      t.is(faulty.count(call), tries, 'there is no retry for five seconds');
      await clock.advance(1);
      while (faulty.count(call) === tries) await turn();
      t.true(faulty.count(call) > tries, 'then there is a retry');
      t.false(store.stats().isDurable);
      const [a] = store.take(1);
      store.settle(a === undefined ? [] : [a]);

      faulty.faults.clear();
      // The failed retry may still be deleting its files.
      while (!store.stats().isDurable) await clock.advance(100);
      t.is(await store.append('/d'), 'disk');
      store.take(1);
      await store.close();
      const again = await reopen();
      t.deepEqual(
        again.take(9).map(({ target, mayBeSecond }) => [target, mayBeSecond]),
        [
          ['/b', true],
          ['/c', false],
          ['/d', false],
        ],
      );
      t.is(again.stats().tornLines, 0);
    });
  }
}

test('events that are taken or settled while a segment is created for them get their marks', async (t) => {
  const faulty = new FaultyFiles();
  const { store, clock, reopen } = await openRig(t, {
    directory: freshDirectory(t),
    maxBytes: 64 * 1024,
    segmentBytes: 1600,
    fs: faulty.files,
  });
  faulty.faults.set('file.write', 'EIO');
  for (let event = 0; event < 60; event += 1) t.is(await store.append(`/${event}`), 'memory');
  faulty.faults.clear();
  const made = faulty.hold('file.sync');
  await clock.advance(5000);
  // The first segment takes the first 22 events, the second one the next.
  await made.arrived();
  made.letThrough();
  await made.arrived();
  store.settle(store.take(1));
  const inDoubt = store.take(23);
  store.settle(store.take(1));
  made.end();
  await untilDurable(store);
  await store.close();
  const found = (await reopen()).take(99);
  t.deepEqual(
    found.filter(({ mayBeSecond }) => mayBeSecond).map(({ seq }) => seq),
    inDoubt.map(({ seq }) => seq),
  );
  t.deepEqual(
    found.filter(({ mayBeSecond }) => !mayBeSecond).map(({ seq }) => seq),
    Array.from({ length: 35 }, (_, index) => 25 + index),
  );
});

test('a write that failed halfway leaves nothing that is recovered', async (t) => {
  for (const isStuck of [false, true]) {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, clock, reopen } = await openRig(t, { directory, fs: faulty.files });
    await appendAll(t, store, ['/kept']);
    faulty.faults.set('file.datasync', 'EIO');
    if (isStuck) faulty.faults.set('file.truncate', 'EIO');
    t.is(await store.append('/doubtful'), 'memory');
    t.is(linesOf(directory, 'events-000001.jsonl').length, isStuck ? 2 : 1);
    store.settle(store.take(2).slice(1));
    faulty.faults.clear();
    await clock.advance(5000);
    await untilDurable(store);
    await store.close();
    t.deepEqual(targetsOf((await reopen()).take(9)), ['/kept']);
  }
});

test('a line that a full disk cut off is never continued', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, clock, reopen } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a']);
  faulty.writtenBeforeFault = 10;
  faulty.failAll('ENOSPC');
  t.is(await store.append('/b'), 'memory');
  faulty.faults.clear();
  await clock.advance(5000);
  await untilDurable(store);
  await appendAll(t, store, ['/c']);
  await store.close();
  const again = await reopen();
  t.deepEqual(targetsOf(again.take(9)), ['/a', '/b', '/c']);
  t.is(again.stats().tornLines, 1);
});

test('events are delivered even if the disk takes no marks', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, lines } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a', '/b']);
  faulty.faults.set('writeSync', 'EIO');
  const taken = store.take(1);
  t.deepEqual(targetsOf(taken), ['/a']);
  store.putBack(taken);
  store.settle(store.take(1));
  t.deepEqual([store.length, store.expire(), lines.length, store.stats().isDurable], [1, 0, 1, false]);
});

test('marks work on a full disk', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, reopen } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a', '/b', '/c']);
  faulty.faults.set('file.write', 'ENOSPC');
  t.is(await store.append('/d'), 'memory');
  store.settle(store.take(1));
  store.take(1);
  await store.close();
  faulty.faults.clear();
  t.deepEqual(
    (await reopen()).take(9).map(({ target, mayBeSecond }) => [target, mayBeSecond]),
    [
      ['/b', true],
      ['/c', false],
    ],
  );
});

test('files that cannot be deleted are deleted later', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, lines } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a']);
  faulty.faults.set('unlinkSync', 'EIO').set('unlink', 'EIO');
  t.is(store.clear(), 1);
  t.deepEqual([store.length, lines.length, spoolFiles(directory).length], [0, 1, 2]);
  t.true(store.stats().bytes > 0, 'they count as used room until then');
  faulty.faults.clear();
  await store.close();
  t.deepEqual(spoolFiles(directory), []);
});

test('close() tries a failed disk once more, and ends in any case', async (t) => {
  for (const isMended of [true, false]) {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, reopen, clock } = await openRig(t, { directory, fs: faulty.files });
    faulty.failAll('ENOSPC');
    t.is(await store.append('/a'), 'memory');
    if (isMended) faulty.faults.clear();
    await store.close();
    t.is(clock.pendingTimers, 0);
    faulty.faults.clear();
    t.is((await reopen()).length, isMended ? 1 : 0);
  }
});

test('waiting for the disk does not keep the process alive', async (t) => {
  const faulty = new FaultyFiles();
  const { store, clock } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  faulty.failAll('EROFS');
  await store.append('/a');
  t.is(clock.pendingRefTimers, 0);
  while (clock.pendingTimers > 1) await turn();
  t.is(clock.pendingRefTimers, 0);
});

test('a required spool that cannot be opened says why, and releases the directory', async (t) => {
  for (const call of ['mkdir', 'chmod', 'lstat', 'readdir', 'link', 'open', 'file.readFile', 'file.stat'] as const) {
    const directory = freshDirectory(t);
    if (call.startsWith('file.') || call === 'open') {
      const { store } = await openRig(t, { directory });
      await appendAll(t, store, ['/a']);
      await store.close();
    }
    const faulty = new FaultyFiles();
    faulty.faults.set(call, 'ENOTDIR');
    const error = await t.throwsAsync(
      openRig(t, { directory, required: true, fs: faulty.files }),
      { instanceOf: SpoolError, code: 'unusable', message: /\(ENOTDIR\)/ },
      call,
    );
    t.true(error?.message.includes(directory) && !error.message.includes('secret'));
    faulty.faults.clear();
    await openRig(t, { directory, fs: faulty.files });
  }
  t.true(CHANGING.includes('link'));
});

for (const what of ['directory', 'files'] as const) {
  test(`${what} deleted while in use: the spool notices, creates it again, and writes what waits`, async (t) => {
    const directory = freshDirectory(t);
    const { store, clock, lines, reopen } = await openRig(t, { directory });
    await appendAll(t, store, ['/settled', '/begun', '/a']);
    store.settle(store.take(1));
    const begun = store.take(1);
    if (what === 'directory') rmSync(directory, { recursive: true });
    else for (const name of readdirSync(directory)) rmSync(join(directory, name));
    t.is(await store.append('/b'), 'memory');
    t.true(lines[0]?.includes('spool_gone'));
    await clock.advance(5000);
    await untilDurable(store);
    t.is(await store.append('/c'), 'disk');
    await t.throwsAsync(openRig(t, { directory }), { code: 'in_use' }, 'the lock was created again too');
    store.putBack(begun);
    await store.append('/d');
    await store.close();
    t.false(readFileSync(join(directory, 'events-000002.jsonl'), 'utf8').includes('settled'));
    t.deepEqual(targetsOf((await reopen()).take(9)), ['/begun', '/a', '/b', '/c', '/d']);
  });
}

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
    test(`${code} at ${call} at the start: memory and one log line, then the disk with all events on it`, async (t) => {
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
      t.deepEqual([length, told()], [3, 2], 'recovered events are not new');
      const { waiting, recovered, maybeSentTwice } = store.stats();
      t.deepEqual({ waiting, recovered, maybeSentTwice }, { waiting: 3, recovered: 2, maybeSentTwice: 1 });
      store.putBack(begun);
      t.deepEqual(targetsOf(store.take(2)), ['/left begun', '/left'], 'the oldest first');
      t.is(await store.append('/newest'), 'disk');
      t.is(await store.close(), 0);
      const last = await reopen();
      t.deepEqual(targetsOf(last.take(9)), ['/left begun', '/left', '/new begun', '/new', '/newest']);
      t.is(last.nextSeq, 5, 'each has its own number');
    });
  }
}

test('a directory that cannot be created at first is created later', async (t) => {
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

test('a disk that works only at the end takes what waits, beside what an earlier process left', async (t) => {
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

test('events in memory are lost with the process if the disk never works', async (t) => {
  const faulty = new FaultyFiles();
  faulty.failAll('EROFS');
  const { store, clock } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  t.is(await store.append('/a'), 'memory');
  t.deepEqual([await store.close(), clock.pendingTimers], [1, 0]);
});

test('a disk that hangs at the start: after five seconds memory, until it responds', async (t) => {
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
    while (!store.stats().isDurable) await turn();
    t.deepEqual(targetsOf(store.take(9)), ['/left begun', '/left', '/new'], call);
    t.is(await store.close(), 0);
  }
});

test('a directory that another process acquires meanwhile stays with that process', async (t) => {
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

test('a directory that another process uses is refused at the start', async (t) => {
  const taken = freshDirectory(t);
  mkdirSync(taken, { mode: 0o700 });
  await openRig(t, { directory: taken });
  await t.throwsAsync(openRig(t, { directory: taken }), { code: 'in_use' });
});

for (const [code, isMissing] of [
  ['EROFS', false],
  ['ENOSPC', true],
] as const) {
  test(`${code} at a missing directory${isMissing ? ' and parent' : ''}, which Node reports as ENOENT: memory for now`, async (t) => {
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
