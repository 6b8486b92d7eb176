import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { RelayStore } from '../../../src/delivery/relay-store.js';
import { FaultyFiles, ON_THE_WAY } from './faulty-files.js';
import { appendAll, freshDirectory, linesOf, openRig, spoolFiles, targetsOf, turn, untilDurable } from './rig.js';
import { proves } from '../../helpers/promises.js';

test('appends that arrive while a write is in flight share the next write and its sync', async (t) => {
  const faulty = new FaultyFiles();
  const gate = faulty.hold('file.datasync');
  const { store, told } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  const answers: Awaited<ReturnType<RelayStore['append']>>[] = [];
  const append = (target: string): Promise<void> => store.append(target).then((stored) => void answers.push(stored));
  const first = append('/first');
  await gate.arrived();
  const others = Array.from({ length: 64 }, (_, number) => append(`/${number}`));
  t.deepEqual([store.length, told(), answers.length, faulty.count('file.datasync')], [0, 0, 0, 1], 'nothing is stored before it is safe');
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

test('length grows in the step in which onStored is called', async (t) => {
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

test('200 appends at once get their numbers in the order of the calls', async (t) => {
  const { store } = await openRig(t, { directory: freshDirectory(t) });
  await Promise.all(Array.from({ length: 200 }, (_, number) => store.append(`/${number}`)));
  const taken = store.take(200);
  t.true(taken.every(({ seq, target }) => target === `/${seq}`));
});

test('close() writes the appends that wait', async (t) => {
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

test('clear() also forgets events of the write in flight and of the queue, on disk too', async (t) => {
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

test('clear() at every step of the first write leaves nothing', async (t) => {
  for (const call of ['open', 'file.chmod', 'file.write', 'file.sync', 'file.stat'] as const) {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, reopen } = await openRig(t, { directory, fs: faulty.files });
    const calls = faulty.count(call);
    const append = store.append('/a');
    while (faulty.count(call) === calls) await turn();
    store.clear();
    t.true(['full', 'disk'].includes(await append), call);
    store.clear();
    await store.close();
    t.deepEqual(spoolFiles(directory), [], call);
    t.is((await reopen()).length, 0);
  }
});

test('clear() between any two steps of an append leaves nothing', async (t) => {
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
    // The segment is large enough to be deleted, and too small to be followed by another.
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

test('a segment can have more marks than one chunk', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await Promise.all(Array.from({ length: 2500 }, () => store.append('/a')));
  const taken = store.take(2500);
  store.settle(taken.slice(0, 2400));
  await store.close();
  t.is(readFileSync(join(directory, 'marks-000001.txt'), 'utf8'), 'd'.repeat(2400) + 'b'.repeat(100) + '.'.repeat(3 * 1024 - 2500));
  t.is((await reopen()).stats().maybeSentTwice, 100);
});

for (const call of ON_THE_WAY) {
  test(proves('relay-disk', `a disk that hangs at ${call}: memory after half a second, and each event once when it answers`), async (t) => {
    const directory = freshDirectory(t);
    const faulty = new FaultyFiles();
    const { store, clock, lines, told, reopen } = await openRig(t, { directory, fs: faulty.files });
    const disk = faulty.hold(call);
    t.teardown(() => disk.end());
    const answers: Awaited<ReturnType<RelayStore['append']>>[] = [];
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
    // While their place is not known, one is delivered, one comes back, one waits.
    const first = store.take(1);
    const second = store.take(1);
    t.deepEqual(targetsOf([...first, ...second]), ['/first', '/second']);
    store.settle(first);
    store.putBack(second);
    t.is(faulty.count('writeSync'), 0, 'nothing is asked of it synchronously');

    disk.end();
    await untilDurable(store);
    t.is(await store.append('/last'), 'disk');
    t.deepEqual([told(), store.length], [5, 4]);
    const written = linesOf(directory, 'events-000001.jsonl').map((line) => (JSON.parse(line) as { target: string }).target);
    t.deepEqual(written.toSorted(), [...new Set(written)].toSorted(), 'no line is written twice');
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

test('an append waits for half a second at most, even if each write takes less', async (t) => {
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

test(proves('relay-disk', 'a process that was stopped for seconds does not take its own pause for one of the disk'), async (t) => {
  const faulty = new FaultyFiles();
  const { store, clock, lines } = await openRig(t, { directory: freshDirectory(t), fs: faulty.files });
  const disk = faulty.hold('file.datasync');
  t.teardown(() => disk.end());
  const first = store.append('/first');
  await disk.arrived();
  // The timer comes late, and before the disk's answer.
  clock.nowMs += 3000;
  clock.fire();
  await clock.advance(99);
  disk.letThrough();
  t.is(await first, 'disk');
  const second = store.append('/second');
  await disk.arrived();
  clock.nowMs += 3000;
  clock.fire();
  await clock.advance(100);
  t.is(await second, 'memory', 'the disk had time to answer');
  t.deepEqual([lines.length, lines[0]?.startsWith('[telemetry] spool_hangs')], [1, true]);
  disk.end();
  await untilDurable(store);
});

test('marks that are made while the disk hangs are written when it responds', async (t) => {
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

test('a write that fails after its appends were answered is repeated once', async (t) => {
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

test('clear() while the disk hangs: nothing comes back, and nothing is asked of the disk synchronously', async (t) => {
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
  test(`close() gives up a disk that hangs at ${call}, and events that it counted as lost do not come back`, async (t) => {
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
