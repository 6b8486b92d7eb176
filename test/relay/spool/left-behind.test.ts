// The owner or the mode of a directory changes between two starts: the events of the earlier spool are at the place that is not used now.
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { SpoolFiles } from '../../../src/relay/spool/files.js';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import { proves } from '../../helpers/promises.js';
import { appendAll, folder, freshDirectory, openRig, spoolFiles, targetsOf } from './rig.js';
import { unprivilegedFiles } from './unprivileged-files.js';

const posix = process.platform === 'win32' ? test.skip : test;

/** A file system in which another user owns the paths. */
function withOwner(foreign: readonly string[], fs: SpoolFiles = nodeFiles): SpoolFiles {
  return {
    ...fs,
    lstat: async (path) => {
      const stats = await fs.lstat(path);
      if (foreign.includes(path)) stats.uid += 1;
      return stats;
    },
  };
}

/** Leaves `/begun`, `/left` and `/left too` in a directory that is used itself, after `/settled`. */
async function leaveThree(t: ExecutionContext, directory: string): Promise<void> {
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/settled', '/begun', '/left', '/left too']);
  store.settle(store.take(1));
  store.take(1);
  await store.close();
}

const subdirectory = (directory: string): string => join(directory, 'cosmos-relay');
const LEFT = ['/begun', '/left', '/left too'];

posix(
  proves('relay-directory', 'a spool whose directory becomes that of another user moves to the subdirectory with its events, and back'),
  async (t) => {
    const directory = freshDirectory(t);
    await leaveThree(t, directory);
    chmodSync(directory, 0o777);
    const moved = await openRig(t, { directory, fs: withOwner([directory]) });
    const { recovered, maybeSentTwice } = moved.store.stats();
    t.deepEqual({ recovered, maybeSentTwice }, { recovered: 3, maybeSentTwice: 1 });
    t.deepEqual(targetsOf(moved.store.take(9)), LEFT);
    t.deepEqual(spoolFiles(directory), ['cosmos-relay'], 'nothing can be delivered a second time');
    t.deepEqual(spoolFiles(subdirectory(directory)), ['ages.json', 'events-000001.jsonl', 'marks-000001.txt']);
    t.regex(
      moved.lines.join('\n'),
      /spool_moved: files of events that an earlier spool left in ".*spool" were moved to ".*cosmos-relay": 1/,
    );
    await moved.store.close();

    chmodSync(directory, 0o700);
    const { store } = await openRig(t, { directory });
    await appendAll(t, store, ['/new']);
    t.deepEqual(targetsOf(store.take(9)), [...LEFT, '/new']);
    t.deepEqual(spoolFiles(subdirectory(directory)), []);
  },
);

posix(proves('relay-opt-out', 'an opt-out also deletes what lay at the other place'), async (t) => {
  const directory = freshDirectory(t);
  await leaveThree(t, directory);
  chmodSync(directory, 0o777);
  const { store } = await openRig(t, { directory, fs: withOwner([directory]) });
  t.is(store.clear(), 3);
  t.deepEqual([spoolFiles(directory), spoolFiles(subdirectory(directory))], [['cosmos-relay'], []]);
});

posix('events at both places are all delivered, also if number and target are the same, and no file is written over', async (t) => {
  const directory = freshDirectory(t);
  await leaveThree(t, directory);
  renameSync(directory, `${directory}-left`);
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  const fs = withOwner([directory]);
  const later = await openRig(t, { directory, fs });
  await later.clock.advance(1000);
  await appendAll(t, later.store, ['/settled', '/begun', '/left', '/other']);
  await later.store.close();
  for (const name of spoolFiles(`${directory}-left`)) renameSync(join(`${directory}-left`, name), join(directory, name));
  const { store, reopen } = await openRig(t, { directory, fs });
  t.deepEqual(targetsOf(store.take(9)).toSorted(), ['/begun', '/begun', '/left', '/left', '/left too', '/other', '/settled']);
  await store.close();
  t.is((await reopen()).length, 7);
});

posix(proves('relay-lock', 'the events of a relay that still runs at the other place are left to it'), async (t) => {
  const directory = freshDirectory(t);
  const running = await openRig(t, { directory });
  await appendAll(t, running.store, ['/a', '/b']);
  chmodSync(directory, 0o777);
  const { store, lines } = await openRig(t, { directory, fs: withOwner([directory]) });
  t.is(store.length, 0);
  await appendAll(t, store, ['/c']);
  t.regex(lines.join('\n'), /spool_left_behind: .*spool" are not delivered, and stay there: 1\. .*is used by another process/);
  running.store.settle(running.store.take(1));
  t.deepEqual(targetsOf(running.store.take(9)), ['/b']);
});

posix(
  proves(
    'relay-directory',
    'events in a directory that another user keeps for himself stay, are named in the log, and come when it is back',
  ),
  async (t) => {
    const directory = freshDirectory(t);
    await leaveThree(t, directory);
    const before = spoolFiles(directory).map((name) => readFileSync(join(directory, name), 'latin1'));
    chmodSync(directory, 0o555);
    const foreign = [directory];
    const { store, clock, lines } = await openRig(t, { directory, fs: withOwner(foreign, unprivilegedFiles) });
    t.is(await store.append('/new'), 'memory');
    t.regex(lines.join('\n'), /spool_left_behind: .*spool" are not delivered, and stay there: 1\. The directory belongs to user \d+\./);
    t.regex(lines.join('\n'), /spool_refused: .*cosmos-relay".*cannot be created \(EACCES\)/);
    await clock.advance(60_000);
    t.deepEqual(
      spoolFiles(directory).map((name) => readFileSync(join(directory, name), 'latin1')),
      before,
    );
    foreign.pop();
    while (!store.stats().isDurable) await clock.advance(10);
    t.deepEqual(targetsOf(store.take(9)), [...LEFT, '/new']);
  },
);

posix('the same if the subdirectory exists: new events go there', async (t) => {
  const directory = freshDirectory(t);
  await leaveThree(t, directory);
  mkdirSync(subdirectory(directory), { mode: 0o700 });
  chmodSync(directory, 0o555);
  const { store, lines } = await openRig(t, { directory, fs: withOwner([directory], unprivilegedFiles) });
  await appendAll(t, store, ['/new']);
  t.regex(lines.join('\n'), /spool_left_behind: .* stay there: 1\. The spool cannot use ".*spool": it cannot be locked \(EACCES\)/);
  await store.close();
  chmodSync(directory, 0o777);
  const again = await openRig(t, { directory, fs: withOwner([directory]) });
  t.deepEqual(targetsOf(again.store.take(9)).toSorted(), ['/begun', '/left', '/left too', '/new']);
});

const isStep = (path: string): boolean => /(?:events|marks)-\d+\.(?:jsonl|txt)$/.test(path);

posix('a relay that goes to the other place while it runs still marks the events at the first one, and delivers none twice', async (t) => {
  const directory = freshDirectory(t);
  const foreign: string[] = [];
  const fs = withOwner(foreign);
  let isBroken = false;
  const broken = Object.assign(new Error('broken'), { code: 'EIO' });
  const open: SpoolFiles['open'] = (...args) => (isBroken ? Promise.reject(broken) : fs.open(...args));
  const { store, clock } = await openRig(t, { directory, segmentBytes: 1024, maxBytes: 16 * 1024, fs: { ...fs, open } });
  const long = `/${'a'.repeat(1024)}`;
  await appendAll(t, store, ['/begun', '/begun too', long]);
  // Another user gets the directory and tidies it up; the next segment shows that the lock is gone.
  foreign.push(directory);
  chmodSync(directory, 0o777);
  rmSync(join(directory, 'lock.1'));
  isBroken = true;
  t.is(await store.append('/b'), 'memory');
  isBroken = false;
  while (!store.stats().isDurable) await clock.advance(10);
  await appendAll(t, store, ['/c']);
  t.deepEqual(targetsOf(store.take(2)), ['/begun', '/begun too']);
  t.regex(readFileSync(join(directory, 'marks-000001.txt'), 'latin1'), /^bb\./);
  t.false(existsSync(join(subdirectory(directory), 'marks-000001.txt')));
  await store.close();
  const again = await openRig(t, { directory, fs });
  t.deepEqual(
    [again.store.stats().maybeSentTwice, targetsOf(again.store.take(9)).toSorted()],
    [2, ['/b', '/begun', '/begun too', '/c', long].toSorted()],
  );
});

posix('a move that is cut short at any step loses no event, and delivers none twice', async (t) => {
  for (const call of ['link', 'rename', 'unlink'] as const) {
    const directory = freshDirectory(t);
    await leaveThree(t, directory);
    chmodSync(directory, 0o777);
    const fs = withOwner([directory]);
    const cut = Object.assign(new Error('cut'), { code: 'EIO' });
    const step =
      (run: (from: string, to: string) => Promise<void>) =>
      (from: string, to = ''): Promise<void> =>
        isStep(from) ? Promise.reject(cut) : run(from, to);
    const first = await openRig(t, { directory, fs: { ...fs, [call]: step(fs[call]) } });
    t.is(first.store.length, call === 'unlink' ? 3 : 0, call);
    if (call !== 'unlink') t.regex(first.lines.join('\n'), /spool_left_behind: .*stay there: 1\. It cannot be moved \(EIO\)/);
    await first.store.close();
    const { store } = await openRig(t, { directory, fs });
    t.deepEqual([store.stats().recovered, store.stats().maybeSentTwice, targetsOf(store.take(9))], [3, 1, LEFT], call);
  }
});

posix(
  'a process that was killed between the two steps of a move left a second name of the marks, which does not hold up the next move',
  async (t) => {
    const directory = freshDirectory(t);
    await leaveThree(t, directory);
    mkdirSync(subdirectory(directory), { mode: 0o700 });
    linkSync(join(directory, 'marks-000001.txt'), join(subdirectory(directory), 'marks-000004.txt'));
    chmodSync(directory, 0o777);
    const { store } = await openRig(t, { directory, fs: withOwner([directory]) });
    t.deepEqual([store.stats().maybeSentTwice, targetsOf(store.take(9))], [1, LEFT]);
  },
);

posix('only files of this user with one name are taken: a second name may be that of any file of this user', async (t) => {
  const elsewhere = join(folder(t), 'elsewhere');
  writeFileSync(elsewhere, 'untouched');
  for (const kind of ['events', 'marks']) {
    const directory = freshDirectory(t);
    await leaveThree(t, directory);
    const path = join(directory, kind === 'events' ? 'events-000001.jsonl' : 'marks-000001.txt');
    rmSync(path);
    linkSync(elsewhere, path);
    chmodSync(directory, 0o777);
    const { store, lines } = await openRig(t, { directory, fs: withOwner([directory]) });
    await appendAll(t, store, ['/new']);
    t.is(store.length, 1);
    t.true(existsSync(path));
    t.regex(lines.join('\n'), /spool_left_behind: .*stay there: 1\. .*it has a second name/);
    t.is(readFileSync(elsewhere, 'utf8'), 'untouched');
  }
});

posix('files of another user, links and folders stay at the other place, and do not hold up what is of this user', async (t) => {
  const directory = freshDirectory(t);
  await leaveThree(t, directory);
  const foreign = join(directory, 'events-000002.jsonl');
  writeFileSync(foreign, '{"seq":7,"mark":0,"at":1767225600000,"target":"/planted"}\n');
  symlinkSync(foreign, join(directory, 'events-000003.jsonl'));
  mkdirSync(join(directory, 'events-000004.jsonl'));
  chmodSync(directory, 0o777);
  const { store, lines } = await openRig(t, { directory, fs: withOwner([directory, foreign]) });
  t.deepEqual(targetsOf(store.take(9)), LEFT);
  t.is(lines.length, 1);
  t.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith('events')),
    ['events-000002.jsonl', 'events-000003.jsonl', 'events-000004.jsonl'],
  );
});

posix('a link under the name of the subdirectory is not followed', async (t) => {
  const elsewhere = freshDirectory(t);
  await leaveThree(t, elsewhere);
  const directory = freshDirectory(t);
  mkdirSync(directory, { mode: 0o700 });
  await (await openRig(t, { directory })).store.close();
  symlinkSync(elsewhere, subdirectory(directory));
  const { store } = await openRig(t, { directory });
  t.is(store.length, 0);
  t.deepEqual(spoolFiles(elsewhere), ['ages.json', 'events-000001.jsonl', 'marks-000001.txt']);
});
