// A platform, or an operator, takes rights from the owner of the spool. `unprivilegedFiles` denies what they deny, also to root.
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { SpoolFiles } from '../../../src/relay/spool/files.js';
import { proves } from '../../helpers/promises.js';
import { appendAll, folder, freshDirectory, openRig, targetsOf, turn, untilDurable } from './rig.js';
import { unprivilegedFiles as fs } from './unprivileged-files.js';

const posix = process.platform === 'win32' ? test.skip : test;

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

/** Takes all rights from the files in a directory, and some from the directory. */
function takeRights(directory: string, mode: number): void {
  for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0);
  chmodSync(directory, mode);
}

for (const mode of [0o500, 0o000, 0o300, 0o600, 0o555, 0o2070, 0o077, 0o020, 0o002]) {
  posix(
    proves('relay-directory', `a spool with mode ${mode.toString(8).padStart(4, '0')} and its files with 0000 get their rights back`),
    async (t) => {
      const directory = freshDirectory(t);
      const first = await openRig(t, { directory, fs });
      await appendAll(t, first.store, ['/a', '/b']);
      await first.store.close();
      takeRights(directory, mode);
      const { store, lines } = await openRig(t, { directory, fs, required: true });
      t.deepEqual(targetsOf(store.take(9)), ['/a', '/b']);
      await appendAll(t, store, ['/c']);
      t.is(modeOf(directory), '700');
      for (const name of readdirSync(directory)) if (!name.startsWith('lock')) t.is(modeOf(join(directory, name)), '600', name);
      t.true(
        lines[0]?.includes(
          `spool_permissions: this user could not use "${directory}" (mode ${mode.toString(8)}); its permissions were taken back`,
        ),
        lines.join('\n'),
      );
    },
  );
}

posix('a file that can be read and not written gets its rights back, too', async (t) => {
  const directory = freshDirectory(t);
  const first = await openRig(t, { directory, fs });
  await appendAll(t, first.store, ['/a']);
  await first.store.close();
  chmodSync(join(directory, 'marks-000001.txt'), 0o400);
  const { store, lines } = await openRig(t, { directory, fs });
  t.is(modeOf(join(directory, 'marks-000001.txt')), '600');
  t.regex(lines.join('\n'), /this user could not use ".*marks-000001\.txt" \(mode 400\)/);
  t.deepEqual(targetsOf(store.take(9)), ['/a']);
  t.true(store.stats().isDurable);
});

posix('the same in the subdirectory, also after the directory became private', async (t) => {
  for (const later of [0o777, 0o700, 0o500]) {
    const directory = folder(t);
    chmodSync(directory, 0o777);
    const first = await openRig(t, { directory, fs });
    await appendAll(t, first.store, ['/a']);
    await first.store.close();
    takeRights(join(directory, 'cosmos-relay'), 0);
    chmodSync(directory, later);
    const { store } = await openRig(t, { directory, fs });
    t.deepEqual(targetsOf(store.take(9)), ['/a']);
    t.is(modeOf(join(directory, 'cosmos-relay')), '700');
    t.is(modeOf(directory), later === 0o777 ? '777' : '700');
  }
});

for (const mode of [0o500, 0o000, 0o2070, 0o077]) {
  posix(
    proves('relay-directory', `a spool that gets mode ${mode.toString(8).padStart(4, '0')} while it is in use is on disk again 5 s later`),
    async (t) => {
      const directory = freshDirectory(t);
      const { store, clock, lines } = await openRig(t, { directory, fs, segmentBytes: 1024, maxBytes: 16 * 1024 });
      const long = `/${'a'.repeat(1024)}`;
      await appendAll(t, store, [long]);
      takeRights(directory, mode);
      t.is(await store.append('/b'), 'memory', 'it begins a segment, which is a new file');
      await clock.advance(5000);
      await untilDurable(store);
      await appendAll(t, store, ['/c']);
      t.is(modeOf(directory), '700');
      t.is(modeOf(join(directory, 'marks-000001.txt')), '600');
      t.regex(lines.join('\n'), new RegExp(`spool_permissions: .* "${directory}" \\(mode ${mode.toString(8)}\\)`));
      await store.close();
      t.deepEqual(targetsOf((await openRig(t, { directory, fs })).store.take(9)), [long, '/b', '/c']);
    },
  );
}

posix(
  proves('relay-directory', 'what waits on disk alone is read again after the spool lost its rights while it was in use'),
  async (t) => {
    const directory = freshDirectory(t);
    const { store, clock } = await openRig(t, { directory, fs, readAheadBytes: 1024 });
    const targets = Array.from({ length: 40 }, (_, index) => `/${index}?${'x'.repeat(90)}`);
    await appendAll(t, store, targets);
    takeRights(directory, 0);
    const sent: string[] = [];
    while (store.ready > 0) sent.push(...targetsOf(store.take(1)));
    while (store.stats().isDurable) await turn();
    t.true(sent.length < 20);
    await clock.advance(5000);
    await untilDurable(store);
    while (sent.length < 40) {
      sent.push(...targetsOf(store.take(1)));
      await turn();
    }
    t.deepEqual(sent, targets);
  },
);

posix('a umask that takes the rights of the owner does not keep a directory from being created in its missing parents', async (t) => {
  const directory = join(folder(t), 'a', 'b', 'spool');
  const { store } = await openRig(t, { directory, fs: { ...fs, mkdir: (path, options) => fs.mkdir(path, { ...options, mode: 0 }) } });
  await appendAll(t, store, ['/a']);
});

posix(
  proves('relay-directory', 'where others could write meanwhile, only files of this user are taken, and the rest stays as it is'),
  async (t) => {
    const directory = freshDirectory(t);
    const first = await openRig(t, { directory, fs });
    await appendAll(t, first.store, ['/a', '/b']);
    await first.store.close();
    const line = '{"seq":7,"mark":0,"at":1767225600000,"target":"/planted"}\n';
    const elsewhere = join(folder(t), 'elsewhere');
    writeFileSync(elsewhere, line);
    symlinkSync(elsewhere, join(directory, 'events-000004.jsonl'));
    mkdirSync(join(directory, 'events-000005.jsonl'));
    const foreign = join(directory, 'events-000006.jsonl');
    writeFileSync(foreign, line);
    chmodSync(directory, 0o2070);
    const lstat: SpoolFiles['lstat'] = async (path) => {
      const stats = await fs.lstat(path);
      if (path === foreign) stats.uid += 1;
      return stats;
    };
    const { store, lines } = await openRig(t, { directory, fs: { ...fs, lstat }, required: true });
    t.deepEqual(targetsOf(store.take(9)), ['/a', '/b']);
    await appendAll(t, store, ['/c']);
    t.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('events')),
      [1, 4, 5, 6, 7].map((number) => `events-00000${number}.jsonl`),
      'no number is used twice',
    );
    t.is(readFileSync(foreign, 'utf8'), line);
    t.regex(lines.join('\n'), /spool_not_ours: .* stay as they are: 3; the first of them, ".*events-000004\.jsonl" is a symbolic link/);
  },
);

posix('what belongs to another user, or what others share, keeps its mode', async (t) => {
  const foreign = folder(t);
  const stat: SpoolFiles['lstat'] = async (path) => {
    const stats = await fs.lstat(path);
    if (path === foreign) stats.uid += 1;
    return stats;
  };
  chmodSync(foreign, 0o500);
  t.is(await (await openRig(t, { directory: foreign, fs: { ...fs, lstat: stat } })).store.append('/a'), 'memory');
  t.is(modeOf(foreign), '500');

  const shared = join(folder(t), 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o2077);
  const { store, lines } = await openRig(t, { directory: shared, fs });
  await appendAll(t, store, ['/a']);
  t.is(modeOf(shared), '2777', 'the others keep their rights, and the owner gets his');
  t.is(modeOf(join(shared, 'cosmos-relay')), '700');
  t.regex(lines.join('\n'), /this user could not use ".*shared" \(mode 2077\)/);
});

posix('rights that cannot be taken back lead to memory, with the path and the code of the system', async (t) => {
  const directory = freshDirectory(t);
  mkdirSync(directory);
  chmodSync(directory, 0);
  const denied = Object.assign(new Error('denied'), { code: 'EPERM' });
  const { store, lines } = await openRig(t, { directory, fs: { ...fs, chmod: () => Promise.reject(denied) } });
  t.is(await store.append('/a'), 'memory');
  t.regex(lines.join('\n'), new RegExp(`spool_refused: .*${directory}".*it cannot be read \\(EACCES\\)`));
  chmodSync(directory, 0o700);
});
