import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { SpoolError } from '../../../src/relay/spool/index.js';
import type { RelayStore } from '../../../src/delivery/relay-store.js';
import { CHANGING, FaultyFiles } from './faulty-files.js';
import type { Call } from './faulty-files.js';
import { appendAll, freshDirectory, linesOf, openRig, spoolFiles, targetsOf } from './rig.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function untilDurable(store: RelayStore): Promise<void> {
  while (!store.stats().isDurable) await turn();
}

/** What an append goes through on its way to a new segment. */
const ON_THE_WAY: readonly Call[] = ['open', 'file.chmod', 'file.write', 'file.sync', 'file.datasync', 'file.stat'];

for (const code of ['ENOSPC', 'EROFS', 'EIO', 'EDQUOT', 'EMFILE']) {
  for (const call of ON_THE_WAY) {
    test(`${code} at ${call}: memory, one line, no secret, and the disk again once it works`, async (t) => {
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
      t.is(faulty.count(call), tries, 'the disk is left alone for five seconds');
      await clock.advance(1);
      while (faulty.count(call) === tries) await turn();
      t.true(faulty.count(call) > tries, 'then it is tried');
      t.false(store.stats().isDurable);
      const [a] = store.take(1);
      store.settle(a === undefined ? [] : [a]);

      faulty.faults.clear();
      // The try that failed may still be tidying up.
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

test('what is taken or settled while a new segment is made for it is marked as such', async (t) => {
  const faulty = new FaultyFiles();
  const { store, clock, reopen } = await openRig(t, {
    directory: freshDirectory(t),
    maxBytes: 64 * 1024,
    segmentBytes: 1024,
    fs: faulty.files,
  });
  faulty.faults.set('file.write', 'EIO');
  for (let event = 0; event < 60; event += 1) t.is(await store.append(`/${event}`), 'memory');
  faulty.faults.clear();
  const made = faulty.hold('file.sync');
  await clock.advance(5000);
  // The first segment takes the first 22, the second one is to take more.
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

test('a write that failed half-way leaves nothing behind that comes back', async (t) => {
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

test('a line that was cut off by a full disk is never continued', async (t) => {
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

test('a disk that takes no marks keeps no event from being delivered', async (t) => {
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

test('marks are made on a disk that has no room left', async (t) => {
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

test('what could not be deleted is deleted later', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, lines } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a']);
  faulty.faults.set('unlinkSync', 'EIO').set('unlink', 'EIO');
  t.is(store.clear(), 1);
  t.deepEqual([store.length, lines.length, spoolFiles(directory).length], [0, 1, 2]);
  t.true(store.stats().bytes > 0, 'it takes room for as long');
  faulty.faults.clear();
  await store.close();
  t.deepEqual(spoolFiles(directory), []);
});

test('close tries a disk that had failed once more, and ends whatever it says', async (t) => {
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

test('waiting for the disk does not hold the process', async (t) => {
  const faulty = new FaultyFiles();
  const { store, clock } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  faulty.failAll('EROFS');
  await store.append('/a');
  t.is(clock.pendingRefTimers, 0);
  while (clock.pendingTimers > 1) await turn();
  t.is(clock.pendingRefTimers, 0);
});

test('a spool that can never be opened says why, and lets the directory go', async (t) => {
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
      openRig(t, { directory, fs: faulty.files }),
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
  test(`${what} deleted under it: it is noticed, made anew, and takes what waits`, async (t) => {
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
    await t.throwsAsync(openRig(t, { directory }), { code: 'in_use' }, 'the lock was made anew too');
    store.putBack(begun);
    await store.append('/d');
    await store.close();
    t.false(readFileSync(join(directory, 'events-000002.jsonl'), 'utf8').includes('settled'));
    t.deepEqual(targetsOf((await reopen()).take(9)), ['/begun', '/a', '/b', '/c', '/d']);
  });
}
