import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { RelayStore, Stored } from '../../../src/delivery/relay-store.js';
import { FaultyFiles } from './faulty-files.js';
import type { Call } from './faulty-files.js';
import { appendAll, freshDirectory, linesOf, openRig, targetsOf } from './rig.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function untilDurable(store: RelayStore): Promise<void> {
  while (!store.stats().isDurable) await turn();
}

/** What an append goes through on its way to a new segment. */
const ON_THE_WAY: readonly Call[] = ['open', 'file.chmod', 'file.write', 'file.sync', 'file.datasync', 'file.stat'];

for (const call of ON_THE_WAY) {
  test(`a disk that hangs at ${call}: memory after half a second, and each event once when it answers`, async (t) => {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, clock, lines, told, reopen } = await openRig(t, { directory, fs: faulty.files });
    const disk = faulty.hold(call);
    t.teardown(() => disk.end());
    const answers: Stored[] = [];
    const append = (target: string): void => void store.append(target).then((stored) => answers.push(stored));
    append('/first');
    append('/second');
    await disk.arrived();
    append('/behind them');
    await clock.advance(499);
    t.deepEqual([answers, told(), store.stats().isDurable], [[], 0, true]);
    await clock.advance(1);
    t.deepEqual([answers, told(), store.length, store.stats().isDurable], [['memory', 'memory', 'memory'], 3, 3, false]);
    t.is(await store.append('/later'), 'memory');
    t.deepEqual(
      lines.map((line) => line.split(': ')[0]),
      ['[telemetry] spool_hangs'],
    );
    // While nobody knows where they are, one is delivered, one comes back, one waits.
    const first = store.take(1);
    const second = store.take(1);
    t.deepEqual(targetsOf([...first, ...second]), ['/first', '/second']);
    store.settle(first);
    store.putBack(second);
    t.is(faulty.count('writeSync'), 0, 'nothing is asked of it that would hold up the process');

    disk.end();
    await untilDurable(store);
    t.is(await store.append('/last'), 'disk');
    t.deepEqual([told(), store.length], [5, 4]);
    const written = linesOf(directory, 'events-000001.jsonl').map((line) => (JSON.parse(line) as { target: string }).target);
    t.deepEqual(written.toSorted(), [...new Set(written)].toSorted(), 'no line is there twice');
    t.is(await store.close(), 0);
    t.true(lines.at(-1)?.includes('spool_back'));
    const again = await reopen();
    t.deepEqual(
      again.take(9).map(({ target, mayBeSecond }) => [target, mayBeSecond]),
      [
        ['/second', false],
        ['/behind them', false],
        ['/later', false],
        ['/last', false],
      ],
    );
  });
}

test('nobody waits for longer than half a second, though each write takes less', async (t) => {
  const faulty = new FaultyFiles();
  const { store, clock } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  const disk = faulty.hold('file.datasync');
  t.teardown(() => disk.end());
  const first = store.append('/first');
  await disk.arrived();
  await clock.advance(100);
  const second = store.append('/second');
  await clock.advance(300);
  disk.letThrough();
  t.is(await first, 'disk');
  await disk.arrived();
  await clock.advance(199);
  t.true(store.stats().isDurable);
  await clock.advance(1);
  t.deepEqual([await second, store.stats().isDurable], ['memory', false]);
  disk.end();
  await untilDurable(store);
});

test('what was begun, settled and expired while the disk hung is written down when it answers', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, clock } = await openRig(t, { directory, maxAgeMs: 60_000, fs: faulty.files });
  await appendAll(t, store, ['/old', '/old too']);
  await clock.advance(59_000);
  await appendAll(t, store, ['/settled', '/begun', '/waiting']);
  const disk = faulty.hold('file.datasync');
  t.teardown(() => disk.end());
  const late = store.append('/late');
  await disk.arrived();
  await clock.advance(1001);
  t.is(await late, 'memory');
  t.is(store.expire(), 2);
  store.settle(store.take(1));
  store.take(1);
  const marks = (): string => readFileSync(join(directory, 'marks-000001.txt'), 'utf8').slice(0, 6);
  t.is(marks(), '......');
  disk.end();
  await untilDurable(store);
  t.is(marks(), 'dddb..');
});

test('a write that fails after it was given up is made again, once', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, clock, told, reopen } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/before']);
  const failNow: (() => void)[] = [];
  const error = Object.assign(new Error('late'), { code: 'EIO' });
  faulty.before.set('file.datasync', () => new Promise((_resolve, reject) => void failNow.push(() => reject(error))));
  const appends = ['/a', '/b'].map((target) => store.append(target));
  while (failNow.length === 0) await turn();
  await clock.advance(500);
  t.deepEqual(await Promise.all(appends), ['memory', 'memory']);
  store.take(1);
  const a = store.take(1);
  failNow[0]?.();
  faulty.before.clear();
  await turn();
  store.putBack(a);
  while (!store.stats().isDurable) await clock.advance(100);
  t.deepEqual([told(), store.length], [3, 2]);
  await store.close();
  t.deepEqual(
    (await reopen()).take(9).map(({ target, mayBeSecond }) => [target, mayBeSecond]),
    [
      ['/before', true],
      ['/a', false],
      ['/b', false],
    ],
  );
});

test('emptied while the disk hangs: nothing comes back, and no call holds up the process', async (t) => {
  const directory = freshDirectory(t);
  const faulty = new FaultyFiles();
  const { store, clock, reopen } = await openRig(t, { directory, fs: faulty.files });
  await appendAll(t, store, ['/before']);
  const disk = faulty.hold('file.datasync');
  t.teardown(() => disk.end());
  const late = store.append('/late');
  await disk.arrived();
  await clock.advance(500);
  t.is(await late, 'memory');
  t.is(store.clear(), 2);
  t.deepEqual([store.length, faulty.count('unlinkSync')], [0, 0]);
  disk.end();
  await untilDurable(store);
  await store.close();
  t.is((await reopen()).length, 0);
});

for (const call of ['open', 'file.write', 'file.datasync'] as const) {
  test(`close does not wait for ever for a disk that hangs at ${call}, and what it gave up does not come back`, async (t) => {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, clock, reopen } = await openRig(t, { directory, maxBytes: 64 * 1024, segmentBytes: 1024, fs: faulty.files });
    await appendAll(t, store, [`/safe${'x'.repeat(1000)}`]);
    if (call !== 'open') await appendAll(t, store, ['/safe too']);
    const disk = faulty.hold(call);
    t.teardown(() => disk.end());
    const answer = store.append('/under way');
    await disk.arrived();
    await clock.advance(300);
    const behind = store.append('/behind it');
    let lost: number | undefined;
    void store.close(100).then((count) => (lost = count));
    await clock.advance(99);
    t.is(lost, undefined);
    await clock.advance(1);
    t.deepEqual([lost, await answer, await behind, clock.pendingRefTimers], [2, 'memory', 'memory', 0]);
    await t.throwsAsync(reopen(), { code: 'in_use' }, 'its write may still come');
    disk.end();
    let again: RelayStore | undefined;
    while (again === undefined) again = await reopen().catch(() => undefined);
    t.deepEqual(
      targetsOf(again.take(9)).map((target) => target.slice(0, 9)),
      call === 'open' ? ['/safexxxx'] : ['/safexxxx', '/safe too'],
    );
  });
}
