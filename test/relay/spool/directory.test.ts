import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import type { SpoolFiles } from '../../../src/relay/spool/files.js';
import { SpoolError } from '../../../src/relay/spool/index.js';
import { proves } from '../../helpers/promises.js';
import { startChild } from './children.js';
import { appendAll, folder, freshDirectory, openRig, targetsOf } from './rig.js';

const posix = process.platform === 'win32' ? test.skip : test;

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const fullModeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

/** A file system in which another user owns one path. */
function withOwner(foreign: string, by: number): SpoolFiles {
  return {
    ...nodeFiles,
    lstat: async (path) => {
      const stats = await nodeFiles.lstat(path);
      if (path === foreign) stats.uid += by;
      return stats;
    },
  };
}

posix('only the owner can use the directory and its files, whatever the umask', async (t) => {
  const runs = ['000', '022', '777'].map(async (umask) => {
    const directory = freshDirectory(t);
    const child = startChild(t, directory, 'umask', umask);
    t.deepEqual([await child.ended, child.lines()], [{ code: 0, stderr: '' }, ['disk']]);
    t.is(modeOf(directory), '700', umask);
    for (const name of readdirSync(directory)) t.is(modeOf(join(directory, name)), '600', name);
    t.is(readdirSync(directory).length, 3);
  });
  await Promise.all(runs);
});

posix('a missing directory is created with its missing parents', async (t) => {
  const directory = join(folder(t), 'a', 'b', 'c');
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
});

posix('a directory that other users can read is used as it is', async (t) => {
  const directory = folder(t);
  chmodSync(directory, 0o755);
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
});

/** Opens a directory that cannot be used: by default the spool starts in memory and says why; with `required` it refuses. */
async function assertUnusable(t: ExecutionContext, directory: string, message: RegExp, code: string, fs?: SpoolFiles): Promise<void> {
  const { store, lines } = await openRig(t, { directory, ...(fs && { fs }) });
  t.false(store.stats().isDurable);
  t.is(await store.append('/a'), 'memory');
  t.regex(lines.join('\n'), new RegExp(`spool_refused: .*${message.source}`), 'the log names the reason');
  await t.throwsAsync(openRig(t, { directory, required: true, ...(fs && { fs }) }), { instanceOf: SpoolError, message, code });
}

posix('a path that is no directory is not used, and its path and the reason are said', async (t) => {
  const cases: [RegExp, (path: string) => void][] = [
    [
      /is a symbolic link/,
      (path) => {
        mkdirSync(`${path}-real`);
        symlinkSync(`${path}-real`, path);
      },
    ],
    [/is a symbolic link/, (path) => symlinkSync(`${path}-nowhere`, path)],
    [/is not a directory/, (path) => writeFileSync(path, '')],
  ];
  for (const [message, make] of cases) {
    for (const slash of ['', '/']) {
      const directory = freshDirectory(t);
      make(directory);
      await assertUnusable(t, directory + slash, new RegExp(`${directory}".*${message.source}`), 'unsafe');
    }
  }
});

posix(
  proves('relay-directory', 'a shared directory gets a subdirectory of this user: emptyDir, the root of a volume, a setgid parent'),
  async (t) => {
    for (const mode of [0o777, 0o1777, 0o770, 0o2775]) {
      const directory = folder(t);
      chmodSync(directory, mode);
      writeFileSync(join(directory, 'of-another-container'), '');
      const { store, reopen } = await openRig(t, { directory });
      await appendAll(t, store, ['/a']);
      await store.close();
      t.is(fullModeOf(directory), mode.toString(8), 'others share the directory on purpose');
      t.is(fullModeOf(join(directory, 'cosmos-relay')), '700');
      const names = ['ages.json', 'events-000001.jsonl', 'lock.1', 'marks-000001.txt'];
      t.deepEqual(readdirSync(join(directory, 'cosmos-relay')).toSorted(), names);
      t.deepEqual(targetsOf((await reopen()).take(9)), ['/a']);
    }
  },
);

posix('a directory of another user gets a subdirectory of this user', async (t) => {
  const directory = folder(t);
  const { store } = await openRig(t, { directory, fs: withOwner(directory, 1) });
  await appendAll(t, store, ['/a']);
  t.is(modeOf(join(directory, 'cosmos-relay')), '700');
});

posix('the subdirectory is not used if it is a link or belongs to another user', async (t) => {
  const linked = folder(t);
  chmodSync(linked, 0o777);
  symlinkSync(folder(t), join(linked, 'cosmos-relay'));
  await assertUnusable(t, linked, /cosmos-relay".*is a symbolic link/, 'unsafe');

  const foreign = folder(t);
  chmodSync(foreign, 0o777);
  mkdirSync(join(foreign, 'cosmos-relay'), { mode: 0o700 });
  const own = process.geteuid?.() ?? 0;
  const message = new RegExp(`cosmos-relay".*belongs to user ${own + 1}, and this process runs as user ${own}`);
  await assertUnusable(t, foreign, message, 'unsafe', withOwner(join(foreign, 'cosmos-relay'), 1));
});

posix(
  proves('relay-directory', 'a spool that a platform opened to a group takes back its permissions, and finds its events'),
  async (t) => {
    const directory = freshDirectory(t);
    const first = await openRig(t, { directory });
    await appendAll(t, first.store, ['/a', '/b']);
    await first.store.close();
    // What the fsGroup pass of Kubernetes does.
    chmodSync(directory, 0o2770);
    for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o660);
    const { store, lines } = await openRig(t, { directory });
    t.deepEqual(targetsOf(store.take(9)), ['/a', '/b']);
    t.is(fullModeOf(directory), '700');
    for (const name of readdirSync(directory)) if (!name.startsWith('lock')) t.is(modeOf(join(directory, name)), '600', name);
    t.regex(
      lines.join('\n'),
      new RegExp(`spool_permissions: other users could write "${directory}" \\(mode 2770\\); its permissions were taken back`),
    );
  },
);

posix('the same in a subdirectory', async (t) => {
  const directory = folder(t);
  chmodSync(directory, 0o2777);
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/a']);
  await first.store.close();
  chmodSync(join(directory, 'cosmos-relay'), 0o2770);
  for (const name of readdirSync(join(directory, 'cosmos-relay'))) chmodSync(join(directory, 'cosmos-relay', name), 0o660);
  const { store } = await openRig(t, { directory });
  t.deepEqual(targetsOf(store.take(9)), ['/a']);
  t.is(fullModeOf(join(directory, 'cosmos-relay')), '700');
});

posix('a file of events that is no file of this user is not read, stays, and does not keep the spool from working', async (t) => {
  const cases: [RegExp, (path: string) => void][] = [
    [
      /events-000001\.jsonl.*is a symbolic link/,
      (path) => {
        writeFileSync(`${path}.real`, '');
        symlinkSync(`${path}.real`, path);
      },
    ],
    [/events-000001\.jsonl.*is not a file/, (path) => mkdirSync(path)],
  ];
  if (process.geteuid?.() === 0)
    cases.push([
      /events-000001\.jsonl.*belongs to user 1234/,
      (path) => {
        writeFileSync(path, '');
        chownSync(path, 1234, 1234);
      },
    ]);
  for (const [message, make] of cases) {
    const directory = freshDirectory(t);
    mkdirSync(directory, { mode: 0o700 });
    const path = join(directory, 'events-000001.jsonl');
    make(path);
    const { ino } = lstatSync(path);
    const { store, lines } = await openRig(t, { directory, required: true });
    await appendAll(t, store, ['/a']);
    t.regex(lines.join('\n'), new RegExp(`spool_not_ours: .*: 1; the first of them, .*${message.source}`));
    t.is(lstatSync(path).ino, ino);
    t.true(existsSync(join(directory, 'events-000002.jsonl')));
  }
});

posix(
  'marks that are no file of this user are set aside, so that nothing is written to them, and their events may be second',
  async (t) => {
    const plants: [string, (path: string, elsewhere: string) => void][] = [
      ['is a symbolic link', (path, elsewhere) => symlinkSync(elsewhere, path)],
      ['is not a file', (path) => mkdirSync(path)],
      ['is not a file', (path) => void execFileSync('mkfifo', [path])],
    ];
    for (const [reason, plant] of plants) {
      const directory = freshDirectory(t);
      const first = await openRig(t, { directory });
      await appendAll(t, first.store, ['/a', '/b']);
      await first.store.close();
      const marks = join(directory, 'marks-000001.txt');
      const elsewhere = join(folder(t), 'elsewhere');
      writeFileSync(elsewhere, 'untouched');
      rmSync(marks);
      plant(marks, elsewhere);
      const { store, lines, reopen } = await openRig(t, { directory, required: true });
      t.is(store.stats().maybeSentTwice, 2);
      store.settle(store.take(1));
      t.is(readFileSync(elsewhere, 'utf8'), 'untouched');
      t.regex(
        lines.join('\n'),
        new RegExp(`spool_marks: ".*marks-000001\\.txt" ${reason}: it was renamed to "marks-000001\\.txt\\.aside-`),
      );
      await store.close();
      t.deepEqual(targetsOf((await reopen()).take(9)), ['/b'], reason);
    }
  },
);

posix('marks that cannot be set aside lead to memory, and nothing is written to what has their name', async (t) => {
  const directory = freshDirectory(t);
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/a']);
  await first.store.close();
  const elsewhere = join(folder(t), 'elsewhere');
  writeFileSync(elsewhere, 'untouched');
  rmSync(join(directory, 'marks-000001.txt'));
  symlinkSync(elsewhere, join(directory, 'marks-000001.txt'));
  const denied = Object.assign(new Error('denied'), { code: 'EPERM' });
  const { store, lines } = await openRig(t, { directory, fs: { ...nodeFiles, rename: () => Promise.reject(denied) } });
  t.is(await store.append('/b'), 'memory');
  t.is(readFileSync(elsewhere, 'utf8'), 'untouched');
  t.regex(lines.join('\n'), /spool_marks: .* is a symbolic link, and it cannot be renamed \(EPERM\)/);
});

test('a directory that cannot be created is said with its path and the error code of the system', async (t) => {
  const file = join(folder(t), 'file');
  writeFileSync(file, '');
  const message = /file(?:\/|\\\\)spool" ?.*cannot be (?:created|inspected) \(ENOTDIR\)/;
  await t.throwsAsync(openRig(t, { directory: join(file, 'spool'), required: true }), {
    instanceOf: SpoolError,
    message,
    code: 'unusable',
  });
  const { store } = await openRig(t, { directory: join(file, 'spool') });
  t.is(await store.append('/a'), 'memory');
});

test('a first start without permission is said loudly, with the path', async (t) => {
  const directory = freshDirectory(t);
  const denied = Object.assign(new Error('denied'), { code: 'EACCES' });
  const { lines } = await openRig(t, { directory, fs: { ...nodeFiles, mkdir: () => Promise.reject(denied) } });
  t.regex(lines.join('\n'), new RegExp(`spool_refused: .*${directory}.*cannot be created \\(EACCES\\)`));
});

test('missing parents are created step by step, and a parent that answers ENOENT ends it', async (t) => {
  const made: string[] = [];
  const gone = Object.assign(new Error('gone'), { code: 'ENOENT' });
  const top = folder(t);
  const mkdir: SpoolFiles['mkdir'] = (path, options) => {
    made.push(options.recursive ? `${path} and its parents` : path);
    return path.endsWith('b') ? Promise.reject(gone) : nodeFiles.mkdir(path, options);
  };
  const { store } = await openRig(t, { directory: join(top, 'a', 'b', 'c'), fs: { ...nodeFiles, mkdir } });
  t.is(await store.append('/a'), 'memory');
  t.deepEqual(made, [join(top, 'a'), join(top, 'a', 'b')]);
});

posix('the names of the lock are short, since a socket path has 104 bytes on macOS', async (t) => {
  const names: string[] = [];
  const link: SpoolFiles['link'] = (from, to) => {
    names.push(basename(from), basename(to));
    return nodeFiles.link(from, to);
  };
  await openRig(t, { directory: freshDirectory(t), fs: { ...nodeFiles, link } });
  t.regex(names.join(' '), /^lock\.new-[0-9a-f]{8} lock\.1$/);
});

posix('events in the subdirectory are found after the directory became private', async (t) => {
  const directory = folder(t);
  chmodSync(directory, 0o777);
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/a', '/b']);
  await first.store.close();
  chmodSync(directory, 0o700);
  const { store } = await openRig(t, { directory });
  t.deepEqual(targetsOf(store.take(9)), ['/a', '/b']);
});

posix('a lock that lost its permissions gets them back, so that a probe of its dead owner is possible', async (t) => {
  const directory = freshDirectory(t);
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/a']);
  await first.store.close();
  chmodSync(join(directory, 'lock.1'), 0o440);
  const modes: string[] = [];
  const chmod: SpoolFiles['chmod'] = async (path, mode) => {
    await nodeFiles.chmod(path, mode);
    if (path.endsWith('lock.1')) modes.push(mode.toString(8));
  };
  const { store } = await openRig(t, { directory, fs: { ...nodeFiles, chmod } });
  t.deepEqual(targetsOf(store.take(9)), ['/a']);
  t.deepEqual(modes, ['600']);
});
