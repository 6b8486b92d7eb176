import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import { SpoolError } from '../../../src/relay/spool/index.js';
import { startChild } from './children.js';
import { appendAll, folder, freshDirectory, openRig } from './rig.js';

const posix = process.platform === 'win32' ? test.skip : test;

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

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

posix('a directory that other users can change is refused, with its path and the reason', async (t) => {
  const cases: [string, RegExp, (path: string) => void][] = [
    [
      'a link',
      /is a symbolic link/,
      (path) => {
        mkdirSync(`${path}-real`);
        symlinkSync(`${path}-real`, path);
      },
    ],
    ['a dangling link', /is a symbolic link/, (path) => symlinkSync(`${path}-nowhere`, path)],
    ['a file', /is not a directory/, (path) => writeFileSync(path, '')],
    [
      'writable by its group',
      /can be written by its group or by others \(mode 770\)/,
      (path) => {
        mkdirSync(path);
        chmodSync(path, 0o770);
      },
    ],
    [
      'writable by all',
      /can be written by its group or by others \(mode 777\)/,
      (path) => {
        mkdirSync(path);
        chmodSync(path, 0o1777);
      },
    ],
  ];
  for (const [name, message, make] of cases) {
    for (const slash of ['', '/']) {
      const directory = freshDirectory(t);
      make(directory);
      const error = await t.throwsAsync(
        openRig(t, { directory: directory + slash }),
        { instanceOf: SpoolError, message, code: 'unsafe' },
        name,
      );
      t.true(error?.message.includes(directory));
    }
  }
});

posix('a directory of another user is refused', async (t) => {
  const directory = freshDirectory(t);
  mkdirSync(directory);
  const own = process.geteuid?.() ?? 0;
  const lstat: typeof nodeFiles.lstat = async (path) => {
    const stats = await nodeFiles.lstat(path);
    if (path === directory) stats.uid = own + 1;
    return stats;
  };
  const message = new RegExp(`belongs to user ${own + 1}, and this process runs as user ${own}`);
  await t.throwsAsync(openRig(t, { directory, fs: { ...nodeFiles, lstat } }), { instanceOf: SpoolError, message, code: 'unsafe' });
});

posix('a file of the spool that other users can change is refused, and the lock is released', async (t) => {
  const cases: [RegExp, (path: string) => void][] = [
    [
      /events-000001\.jsonl.*is a symbolic link/,
      (path) => {
        writeFileSync(`${path}.real`, '');
        symlinkSync(`${path}.real`, path);
      },
    ],
    [/events-000001\.jsonl.*is not a file/, (path) => mkdirSync(path)],
    [
      /events-000001\.jsonl.*can be written by its group/,
      (path) => {
        writeFileSync(path, '');
        chmodSync(path, 0o666);
      },
    ],
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
    make(join(directory, 'events-000001.jsonl'));
    await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, message, code: 'unsafe' });
    await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, message }, 'the same error again, and not in_use');
  }
});

posix('a file of marks that is a symbolic link is refused', async (t) => {
  const directory = freshDirectory(t);
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, 'events-000001.jsonl'), '', { mode: 0o600 });
  symlinkSync('/etc/passwd', join(directory, 'marks-000001.txt'));
  await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, message: /marks-000001\.txt.*is a symbolic link/ });
});

test('a directory that cannot be created is refused with the error code of the system', async (t) => {
  const file = join(folder(t), 'file');
  writeFileSync(file, '');
  await t.throwsAsync(openRig(t, { directory: join(file, 'spool') }), {
    instanceOf: SpoolError,
    message: /cannot be (?:created|inspected) \(ENOTDIR\)/,
    code: 'unusable',
  });
});
