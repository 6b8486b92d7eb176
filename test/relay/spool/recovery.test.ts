import { appendFileSync, copyFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { appendAll, freshDirectory, linesOf, openRig, spoolFiles, targetsOf } from './rig.js';
import { proves } from '../../helpers/promises.js';

test('acknowledged events are recovered with number and time, and new numbers follow', async (t) => {
  const directory = freshDirectory(t);
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/a', '/b']);
  await first.store.close();

  const clock = new VirtualClock();
  await clock.advance(5000);
  const { store, told } = await openRig(t, { directory, clock });
  t.deepEqual([store.length, store.oldestSeq, store.nextSeq, told()], [2, 0, 2, 0]);
  const { bytes, maxBytes, ...stats } = store.stats();
  t.deepEqual(stats, { waiting: 2, isDurable: true, recovered: 2, maybeSentTwice: 0, tornLines: 0, oldestAgeMs: 5000 });
  t.true(bytes > 0 && bytes < Number(maxBytes));
  await appendAll(t, store, ['/c']);
  const taken = store.take(9);
  t.deepEqual(
    taken.map(({ seq, target, acceptedAtMs, mayBeSecond }) => [seq, target, acceptedAtMs - Date.UTC(2026, 0, 1), mayBeSecond]),
    [
      [0, '/a', 0, false],
      [1, '/b', 0, false],
      [2, '/c', 5000, false],
    ],
  );
});

test('after an end: a begun event may be second, one that was put back is not, a settled one is gone', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/begun', '/put back', '/settled', '/begun too', '/waiting']);
  const [begun, back, settled, begunToo] = [store.take(1), store.take(1), store.take(1), store.take(1)];
  store.putBack(back);
  store.settle(settled);
  t.is(begun.length + begunToo.length, 2);
  await store.close();

  const again = await reopen();
  t.is(again.stats().maybeSentTwice, 2);
  t.is(again.stats().recovered, 4);
  const taken = again.take(9);
  t.deepEqual(
    taken.map(({ target, mayBeSecond }) => [target, mayBeSecond]),
    [
      ['/begun', true],
      ['/put back', false],
      ['/begun too', true],
      ['/waiting', false],
    ],
  );
  // This process did not send them; the one before may have.
  again.putBack(taken);
  await again.close();
  const third = await reopen();
  t.is(third.stats().maybeSentTwice, 2);
  third.settle(third.take(9));
  await third.close();
  const last = await reopen();
  t.deepEqual([last.length, last.stats().recovered], [0, 0]);
  t.deepEqual(spoolFiles(directory), []);
});

test('a person can read the files', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory, boot: () => ({ id: '0a1b2c3d', uptimeMs: 7000 }) });
  await appendAll(t, store, ['/v3/dag_run?a=1', '/v3/dag_run?b="']);
  store.settle(store.take(1));
  store.take(1);
  t.deepEqual(spoolFiles(directory), ['events-000001.jsonl', 'marks-000001.txt']);
  t.deepEqual(linesOf(directory, 'events-000001.jsonl'), [
    '{"seq":0,"mark":0,"at":1767225600000,"up":7000,"boot":"0a1b2c3d","target":"/v3/dag_run?a=1"}',
    '{"seq":1,"mark":1,"at":1767225600000,"up":7000,"boot":"0a1b2c3d","target":"/v3/dag_run?b=\\""}',
  ]);
  t.regex(readFileSync(join(directory, 'marks-000001.txt'), 'utf8'), /^db\.+$/);
});

test(proves('relay-torn-line', 'a last line that was torn at any byte is passed over, and nothing is glued to it'), async (t) => {
  const directory = freshDirectory(t);
  const events = join(directory, 'events-000001.jsonl');
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/kept', '/torn\u00e9']);
  await first.store.close();
  const whole = readFileSync(events);
  const lineStart = whole.indexOf('\n') + 1;
  const marks = readFileSync(join(directory, 'marks-000001.txt'));
  for (let length = lineStart; length < whole.length; length += 1) {
    rmSync(directory, { recursive: true });
    const empty = await openRig(t, { directory });
    await empty.store.close();
    writeFileSync(events, whole.subarray(0, length), { mode: 0o600 });
    writeFileSync(join(directory, 'marks-000001.txt'), marks, { mode: 0o600 });
    const { store, reopen } = await openRig(t, { directory });
    const torn = length === lineStart ? 0 : 1;
    t.deepEqual([store.length, store.stats().tornLines, store.nextSeq], [1, torn, 1], `${length} bytes`);
    await appendAll(t, store, ['/new']);
    await store.close();
    const again = await reopen();
    t.deepEqual(targetsOf(again.take(9)), ['/kept', '/new'], `${length} bytes`);
    t.is(again.stats().tornLines, torn);
    await again.close();
  }
});

test('garbage between lines is skipped and counted, and does not shift the marks behind it', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen, lines } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', '/settled', '/b', '/begun']);
  store.settle(store.take(2).slice(1));
  store.settle([]);
  await store.close();
  const events = join(directory, 'events-000001.jsonl');
  const [a = '', settled = '', b = '', begun = ''] = readFileSync(events, 'utf8').split('\n');
  const garbage = [
    '',
    'garbage',
    '[]',
    'null',
    '{"seq":-1,"mark":0,"at":0,"target":"/x"}',
    '{"seq":1e300,"mark":0,"at":0,"target":"/x"}',
    '{"seq":9,"mark":1000000,"at":0,"target":"/x"}',
    '{"seq":9,"mark":3,"at":0,"target":""}',
    '{"seq":9,"mark":3,"at":0}',
    b,
  ];
  const bytes = Buffer.concat([
    Buffer.from([a, settled, b, ...garbage].join('\n')),
    Buffer.from([10, 0xff, 0x00, 10]),
    Buffer.from(`${begun}\n`),
  ]);
  writeFileSync(events, bytes);
  const again = await reopen();
  t.is(again.stats().tornLines, garbage.length + 1);
  t.deepEqual(
    again.take(9).map(({ target, mayBeSecond }) => [target, mayBeSecond]),
    [
      ['/a', true],
      ['/b', false],
      ['/begun', false],
    ],
  );
  t.is(again.nextSeq, 4);
  t.true(
    lines.some((line) => line.includes('spool_torn: 11 lines')),
    lines.join(),
  );
});

test('an event with two lines is sent once, and stays settled', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', '/b']);
  await store.close();
  copyFileSync(join(directory, 'events-000001.jsonl'), join(directory, 'events-000002.jsonl'));
  const again = await reopen();
  t.is(again.stats().recovered, 2);
  again.settle(again.take(1));
  await again.close();
  const third = await reopen();
  t.deepEqual(targetsOf(third.take(9)), ['/b']);
});

test('events whose marks are missing or unreadable may be second', async (t) => {
  for (const spoil of [rmSync, (path: string) => truncateSync(path, 1), (path: string) => writeFileSync(path, '\0\0\0')]) {
    const directory = freshDirectory(t);
    const { store, reopen } = await openRig(t, { directory });
    await appendAll(t, store, ['/a', '/b']);
    await store.close();
    spoil(join(directory, 'marks-000001.txt'));
    const again = await reopen();
    t.is(again.length, 2);
    t.is(again.take(2)[1]?.mayBeSecond, true);
    again.settle(again.take(9));
  }
});

test('files with other names are kept, and marks without events are deleted', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
  await store.close();
  const others = ['notes.txt', 'events-1.jsonl', 'events-000001.jsonl.bak', 'marks-abc.txt', 'lock'];
  for (const name of others) writeFileSync(join(directory, name), 'mine');
  writeFileSync(join(directory, 'marks-000041.txt'), '....');
  const again = await reopen();
  again.settle(again.take(1));
  t.is(again.clear(), 0);
  await again.close();
  for (const name of others) t.is(readFileSync(join(directory, name), 'utf8'), 'mine');
  t.false(existsSync(join(directory, 'marks-000041.txt')));
  t.false(existsSync(join(directory, 'events-000001.jsonl')));
});

test('nothing is recovered after clear(), begun or not', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory, segmentBytes: 2048 });
  for (let event = 0; event < 100; event += 1) await store.append(`/${event}`);
  store.take(10);
  t.is(store.clear(), 90);
  t.deepEqual(spoolFiles(directory), [], 'at once');
  t.is(store.stats().bytes, 0);
  await store.close();
  const again = await reopen();
  t.deepEqual([again.length, again.stats().recovered], [0, 0]);
});

test('a segment is deleted once all its events are settled, in any order', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory, maxBytes: 64 * 1024, segmentBytes: 2048 });
  for (let event = 0; event < 100; event += 1) await store.append(`/${event}`);
  const segments = spoolFiles(directory).filter((name) => name.startsWith('events')).length;
  t.true(segments >= 3, String(segments));
  const taken = store.take(100);
  const [first] = taken;
  store.settle(taken.slice(1).toReversed());
  await store.close();
  t.deepEqual(spoolFiles(directory), ['events-000001.jsonl', 'marks-000001.txt']);
  t.is(first?.seq, 0);
});

test('new events are never appended behind a torn line of an earlier process', async (t) => {
  const directory = freshDirectory(t);
  const { store, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
  await store.close();
  appendFileSync(join(directory, 'events-000001.jsonl'), '{"seq":1,"ma');
  const again = await reopen();
  await appendAll(t, again, ['/b']);
  t.deepEqual(
    spoolFiles(directory).filter((name) => name.startsWith('events')),
    ['events-000001.jsonl', 'events-000002.jsonl'],
  );
});

/** The path without its query; undefined for anything but a path. */
const admit = (target: string): string | undefined => (/^\/[a-z]/.test(target) ? target.split('?', 1)[0] : undefined);

test('recovered targets are admitted again: another version, or an attacker, may have written them', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/kept', '/shortened?secret=1', '/../../etc', ':1234/steal']);
  await store.close();
  const again = await openRig(t, { directory, admit });
  t.deepEqual([again.store.stats().recovered, again.store.stats().tornLines], [4, 0]);
  const taken = again.store.take(9);
  t.deepEqual(targetsOf(taken), ['/kept', '/shortened']);
  t.is(again.store.length, 0);
  t.true(again.lines.some((line) => line.includes('spool_unreadable: 2 events of the spool are lost')));
  again.store.settle(taken);
  await again.store.close();
  t.deepEqual(spoolFiles(directory), [], 'a refused event does not stay for ever');
});

test('two events with the same number, from the files of two spools, are two events', async (t) => {
  const directories = [freshDirectory(t), freshDirectory(t)];
  for (const [index, directory] of directories.entries()) {
    const { store } = await openRig(t, { directory });
    await appendAll(t, store, [`/first-${index}`, `/second-${index}`]);
    await store.close();
  }
  const [directory = '', other = ''] = directories;
  copyFileSync(join(other, 'events-000001.jsonl'), join(directory, 'events-000002.jsonl'));
  copyFileSync(join(other, 'marks-000001.txt'), join(directory, 'marks-000002.txt'));
  const { store, reopen } = await openRig(t, { directory });
  const taken = store.take(9);
  t.deepEqual(targetsOf(taken).toSorted(), ['/first-0', '/first-1', '/second-0', '/second-1']);
  t.is(new Set(taken.map(({ seq }) => seq)).size, 4);
  store.settle(taken);
  await store.close();
  t.is((await reopen()).length, 0);
});

test('a wall clock that is wrong for a moment makes no event old', async (t) => {
  const { store, clock } = await openRig(t, { directory: freshDirectory(t), maxAgeMs: 1000 });
  const right = clock.wallNow.bind(clock);
  await appendAll(t, store, ['/a']);
  for (const wrongByMs of [90_000_000, -90_000_000]) {
    clock.wallNow = () => right() + wrongByMs;
    t.is(store.expire(), 0);
    await appendAll(t, store, [`/${wrongByMs}`]);
    clock.wallNow = right;
    t.is(store.expire(), 0);
  }
  await clock.advance(1001);
  t.is(store.expire(), 3);
});

test('a file of the same name from another process is not touched', async (t) => {
  const directory = freshDirectory(t);
  const { store, clock, lines, reopen } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', '/b']);
  rmSync(directory, { recursive: true });
  const other = await openRig(t, { directory });
  await appendAll(t, other.store, ['/theirs-1', '/theirs-2', '/theirs-3']);
  t.is(await store.append('/c'), 'memory', 'the other process holds the lock');
  while (!lines.some((line) => line.includes('in use') || line.includes('used by'))) await clock.advance(1000);
  store.settle(store.take(1));
  await other.store.close();
  while (!store.stats().isDurable) await clock.advance(1000);
  store.settle(store.take(1));
  t.is(await store.append('/d'), 'disk');
  await store.close();
  t.deepEqual(targetsOf((await reopen()).take(9)).toSorted(), ['/c', '/d', '/theirs-1', '/theirs-2', '/theirs-3']);
});
