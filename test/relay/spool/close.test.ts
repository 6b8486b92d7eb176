import { mkdirSync, rmSync } from 'node:fs';
import test from 'ava';
import { memoryStore } from '../../../src/relay/spool/index.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { startChild } from './children.js';
import { FaultyFiles } from './faulty-files.js';
import { appendAll, freshDirectory, openRig, targetsOf } from './rig.js';

test('close() says how many events end with the process: none where the disk takes them', async (t) => {
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t) });
  await appendAll(t, store, ['/a', '/b', '/c']);
  store.settle(store.take(1));
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/b', '/c']);
});

test('those that a disk never took end with the process, and those that it had taken do not', async (t) => {
  const faulty = new FaultyFiles();
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  await appendAll(t, store, ['/a', '/b']);
  faulty.failAll('ENOSPC');
  for (const target of ['/c', '/d', '/e']) t.is(await store.append(target), 'memory');
  t.is(await store.close(), 3);
  faulty.faults.clear();
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a', '/b']);
});

test('a disk that is back by then takes them at the last moment', async (t) => {
  const faulty = new FaultyFiles();
  const { store, reopen } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  faulty.failAll('ENOSPC');
  t.is(await store.append('/a'), 'memory');
  faulty.faults.clear();
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a']);
});

test('a directory that was deleted since the last write is made and filled anew', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', '/b']);
  rmSync(directory, { recursive: true });
  t.is(await store.close(), 0);
  t.deepEqual(targetsOf((await reopen()).take(9)), ['/a', '/b']);
});

test('where it cannot be made anew, all of it ends with the process', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/a', '/b']);
  rmSync(directory, { recursive: true });
  faulty.failAll('EROFS');
  t.is(await store.close(), 2);
});

test('where another process has it by then, all of it ends with this one', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
  rmSync(directory, { recursive: true });
  mkdirSync(directory, { mode: 0o700 });
  const other = startChild(t, directory, 'hold');
  await other.said(1);
  t.is(await store.close(), 1);
});

test('what is in memory alone always ends with the process', async (t) => {
  const store = memoryStore({ clock: new VirtualClock(), onStored: () => undefined });
  for (const target of ['/a', '/b']) await store.append(target);
  t.is(await store.close(), 2);
});
