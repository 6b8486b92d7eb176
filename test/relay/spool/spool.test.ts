import { mkdirSync, rmSync } from 'node:fs';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { RelayStore } from '../../../src/delivery/relay-store.js';
import { memoryStore } from '../../../src/relay/spool/index.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { startChild } from './children.js';
import { FaultyFiles } from './faulty-files.js';
import { appendAll, freshDirectory, openRig, targetsOf } from './rig.js';

/** How each store is opened with options. */
const OPEN: Readonly<Record<string, (t: ExecutionContext, options: object) => Promise<RelayStore>>> = {
  'a spool': (t, options) => openRig(t, { directory: freshDirectory(t), ...options }).then(({ store }) => store),
  'a memory store': async (_t, options) => memoryStore({ clock: new VirtualClock(), onStored: () => undefined, ...options }),
};

for (const [kind, open] of Object.entries(OPEN)) {
  test(`${kind} refuses options that are wrong, by name`, async (t) => {
    await t.throwsAsync(open(t, { maxBytes: 100 }), { instanceOf: TypeError, message: /`maxBytes`.*from 16384.*got 100/ });
    await t.throwsAsync(open(t, { maxAgeMs: 0 }), { instanceOf: TypeError, message: /`maxAgeMs`.*got 0/ });
    await t.throwsAsync(open(t, { onStored: 1 }), { instanceOf: TypeError, message: /`onStored`.*got 1/ });
    await t.throwsAsync(open(t, { onStored: undefined }), { instanceOf: TypeError, message: /to have `onStored`/ });
    await t.throwsAsync(open(t, { maxbytes: 1 }), { instanceOf: TypeError, message: /`maxbytes`/ });
  });

  test(`${kind} has room for at least ten events of 1 kB in 16 KiB, and counts what it needs beside them`, async (t) => {
    const store = await open(t, { maxBytes: 16 * 1024 });
    let kept = 0;
    while ((await store.append(`/${'x'.repeat(1000)}`)) !== 'full') kept += 1;
    t.true(kept >= 10 && kept <= 15, String(kept));
    store.settle(store.take(kept - 1));
    // A spool deletes its files in the background.
    while (store.stats().bytes > 4096) await new Promise((resolve) => setImmediate(resolve));
  });
}

test('a spool refuses its own options that are wrong, by name', async (t) => {
  const directory = freshDirectory(t);
  await t.throwsAsync(openRig(t, { directory: '' }), { instanceOf: TypeError, message: /`directory`.*got ""/ });
  await t.throwsAsync(openRig(t, { directory, segmentBytes: 1 }), { instanceOf: TypeError, message: /`segmentBytes`.*got 1/ });
  await t.throwsAsync(openRig(t, { directory, fs: 1 as never }), { instanceOf: TypeError, message: /`fs`.*got 1/ });
});

test('close() counts the events that are lost with the process: none if the disk takes them', async (t) => {
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t) });
  await appendAll(t, store, ['/a', '/b', '/c']);
  store.settle(store.take(1));
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/b', '/c']);
});

test('close() counts events that the disk never took, and not those that it has', async (t) => {
  const faulty = new FaultyFiles();
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  await appendAll(t, store, ['/a', '/b']);
  faulty.failAll('ENOSPC');
  for (const target of ['/c', '/d', '/e']) t.is(await store.append(target), 'memory');
  t.is(await store.close(), 3);
  faulty.faults.clear();
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a', '/b']);
});

test('a disk that works again by close() takes the events from memory', async (t) => {
  const faulty = new FaultyFiles();
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  faulty.failAll('ENOSPC');
  t.is(await store.append('/a'), 'memory');
  faulty.faults.clear();
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a']);
});

test('close() creates and fills a directory again that was deleted since the last write', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', '/b']);
  rmSync(directory, { recursive: true });
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a', '/b']);
});

test('close() counts all events if a deleted directory cannot be created again', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a', '/b']);
  rmSync(directory, { recursive: true });
  faulty.failAll('EROFS');
  t.is(await store.close(), 2);
});

test('close() counts all events if another process has the directory by then', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
  rmSync(directory, { recursive: true });
  mkdirSync(directory, { mode: 0o700 });
  const other = startChild(t, directory, 'hold');
  await other.said(1);
  t.is(await store.close(), 1);
});

test('close() of a memory store counts all its events', async (t) => {
  const store = memoryStore({ clock: new VirtualClock(), onStored: () => undefined });
  for (const target of ['/a', '/b']) await store.append(target);
  t.is(await store.close(), 2);
});
