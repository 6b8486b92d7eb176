import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import { SpoolError } from '../../../src/relay/spool/index.js';
import { startChild } from './children.js';
import { appendAll, folder, freshDirectory, openRig } from './rig.js';
import { proves } from '../../helpers/promises.js';

const posix = process.platform === 'win32' ? test.skip : test;

const locks = (directory: string): string[] => readdirSync(directory).filter((name) => name.startsWith('lock'));

test('a second spool in the same process is refused until the first is closed', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory });
  const error = await t.throwsAsync(openRig(t, { directory }), {
    instanceOf: SpoolError,
    code: 'in_use',
    message: /is used by another process/,
  });
  t.true(error?.message.includes(directory));
  await store.close();
  await openRig(t, { directory });
});

test(proves('relay-lock', 'another process is refused, and has the directory at once when the first is killed'), async (t) => {
  const directory = freshDirectory(t);
  const first = startChild(t, directory, 'hold');
  await first.said(1);
  t.deepEqual(first.lines(), ['won']);
  await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, code: 'in_use' });
  first.process.kill('SIGKILL');
  await first.ended;
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
});

posix('a stopped owner keeps its directory', async (t) => {
  const directory = freshDirectory(t);
  const first = startChild(t, directory, 'hold');
  await first.said(1);
  first.process.kill('SIGSTOP');
  await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, code: 'in_use' });
  first.process.kill('SIGKILL');
  await first.ended;
});

/** Racers and races: three and one in `npm test`, eight and ten in `npm run test:relay`. */
const RACERS = Number(process.env['SPOOL_RACERS'] ?? 3);
const RACES = Number(process.env['SPOOL_RACES'] ?? 1);

test(proves('relay-lock', 'of processes that race for a directory with a stale lock, exactly one wins'), async (t) => {
  t.timeout(60_000);
  const directory = freshDirectory(t);
  for (let round = 0; round < RACES; round += 1) {
    const dead = startChild(t, directory, 'hold');
    await dead.said(1);
    dead.process.kill('SIGKILL');
    await dead.ended;
    const racers = Array.from({ length: RACERS }, () => startChild(t, directory, 'hold'));
    await Promise.all(racers.map((racer) => racer.said(1)));
    const answers = racers.flatMap((racer) => racer.lines()).toSorted();
    t.deepEqual(answers, [...Array.from({ length: RACERS - 1 }, () => 'in_use'), 'won']);
    for (const racer of racers) racer.process.stdin.end();
    for (const { code, stderr } of await Promise.all(racers.map((racer) => racer.ended))) t.is(code === 0 ? '' : stderr, '');
    t.is(locks(directory).length, 1, locks(directory).join());
  }
});

test('of many spools that race in one process, one wins, whatever the order of their steps', async (t) => {
  const directory = freshDirectory(t);
  await (await openRig(t, { directory })).store.close();
  for (let round = 0; round < 5; round += 1) {
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => openRig(t, { directory })));
    const won = results.filter((result) => result.status === 'fulfilled');
    t.is(won.length, 1);
    await won[0]?.value.store.close();
  }
});

posix('a contender with an old list withdraws, even if its name is free', async (t) => {
  const directory = freshDirectory(t);
  for (let round = 0; round < 2; round += 1) await (await openRig(t, { directory })).store.close();
  const { store } = await openRig(t, { directory });
  t.deepEqual(locks(directory), ['lock.3']);
  let lists = 0;
  const readdir = (path: string): Promise<string[]> => ((lists += 1) === 1 ? Promise.resolve([]) : nodeFiles.readdir(path));
  await t.throwsAsync(openRig(t, { directory, fs: { ...nodeFiles, readdir } }), { instanceOf: SpoolError, code: 'in_use' });
  t.deepEqual(locks(directory), ['lock.3']);
  await appendAll(t, store, ['/a']);
});

test('the lock does not keep the process alive', async (t) => {
  const child = startChild(t, freshDirectory(t), 'idle');
  t.deepEqual(await child.ended, { code: 0, stderr: '' });
});

posix('a path that is too long for a socket works on Linux', async (t) => {
  const directory = join(folder(t), 'long'.repeat(40), 'long'.repeat(40));
  if (process.platform !== 'linux') {
    await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, message: /its path may have \d+ bytes here/ });
    return;
  }
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
  await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, code: 'in_use' });
  await store.close();
  await openRig(t, { directory });
});

posix('the names of killed contenders are deleted, only the owner can use the lock, and its number grows', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory });
  t.deepEqual(locks(directory), ['lock.1']);
  t.is(statSync(join(directory, 'lock.1')).mode & 0o777, 0o600);
  await store.close();
  const dead = startChild(t, directory, 'hold');
  await dead.said(1);
  dead.process.kill('SIGKILL');
  await dead.ended;
  t.deepEqual(locks(directory), ['lock.2']);
  linkSync(join(directory, 'lock.2'), join(directory, 'lock.new-0123-abc'));
  await openRig(t, { directory });
  t.deepEqual(locks(directory), ['lock.3']);
});

/** What is not a lock, and has the name of one. */
const PLANTS: readonly ((path: string) => void)[] = [
  (path) => writeFileSync(path, 'mine'),
  (path) => symlinkSync('/dev/null', path),
  (path) => symlinkSync('/nowhere', path),
  (path) => mkdirSync(path),
  (path) => void execFileSync('mkfifo', [path]),
];

posix(
  proves('relay-lock', 'what is not a socket under the name of a lock is ignored and kept, and the directory has one owner'),
  async (t) => {
    for (const plant of PLANTS) {
      const directory = freshDirectory(t);
      mkdirSync(directory, { mode: 0o700 });
      plant(join(directory, 'lock.7'));
      for (const own of ['lock.8', 'lock.9']) {
        const { store, lines } = await openRig(t, { directory, required: true });
        await appendAll(t, store, ['/a']);
        await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, code: 'in_use' });
        t.deepEqual(locks(directory).toSorted(), ['lock.7', own]);
        if (own === 'lock.8')
          t.regex(lines.join('\n'), /spool_lock: ".*lock\.7" is not a socket, so it is no lock: it is ignored, and stays/);
        await store.close();
      }
    }
  },
);

posix(proves('relay-lock', 'an owner keeps its directory when something with a higher number appears that is not a socket'), async (t) => {
  for (const plant of PLANTS) {
    const directory = freshDirectory(t);
    const { store } = await openRig(t, { directory });
    plant(join(directory, 'lock.7'));
    await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, code: 'in_use' });
    await appendAll(t, store, ['/a']);
    await store.close();
    await appendAll(t, (await openRig(t, { directory })).store, ['/b']);
    t.deepEqual(locks(directory).toSorted(), ['lock.7', 'lock.8']);
  }
});

posix('a lock with the last number that its name can have leads to memory: the next start would not see the one after it', async (t) => {
  const directory = freshDirectory(t);
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, 'lock.999999999999999'), '');
  const { store, lines } = await openRig(t, { directory });
  t.is(await store.append('/a'), 'memory');
  t.regex(lines.join('\n'), /spool_refused: .*has a lock with a number that no spool gives/);
});

test('a deleted directory that another process uses by then is not reacquired', async (t) => {
  const directory = freshDirectory(t);
  const { store, clock, lines } = await openRig(t, { directory });
  await appendAll(t, store, ['/a']);
  rmSync(directory, { recursive: true });
  const other = startChild(t, directory, 'hold');
  await other.said(1);
  t.deepEqual(other.lines(), ['won']);
  t.is(await store.append('/b'), 'memory');
  await clock.advance(5000);
  while (!lines.some((line) => line.includes('spool_refused'))) await new Promise((resolve) => setImmediate(resolve));
  t.false(store.stats().isDurable);
  t.deepEqual([await store.append('/c'), store.length], ['memory', 3]);
  other.process.kill('SIGKILL');
  await other.ended;
  await clock.advance(5000);
  while (!store.stats().isDurable) await new Promise((resolve) => setImmediate(resolve));
  t.is(await store.append('/d'), 'disk');
  await store.close();
  const { store: again } = await openRig(t, { directory });
  t.is(again.length, 4);
});

// The protocol of the lock, as every release since 0.1.0 has it: an old and a new relay never hold one directory at the same time.

/** Whether the owner of a directory answers, as 0.1.0 asks: it lists the directory and connects to the highest `lock.N`. */
async function isOwned(directory: string): Promise<boolean> {
  const numbers = readdirSync(directory).map((name) => Number(/^lock\.(\d{1,15})$/.exec(name)?.[1] ?? 0));
  const socket = connect(join(directory, `lock.${Math.max(...numbers)}`));
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

posix('a lock of 0.1.0, a listening socket named lock.7, keeps a new spool out until its owner ends', async (t) => {
  const directory = folder(t);
  const server = createServer((socket) => socket.destroy());
  t.teardown(() => server.close());
  // 0.1.0 listens on a candidate and links it: the name stays when the server closes.
  server.listen(join(directory, 'lock.new-0123-abc'));
  await once(server, 'listening');
  linkSync(join(directory, 'lock.new-0123-abc'), join(directory, 'lock.7'));
  rmSync(join(directory, 'lock.new-0123-abc'));
  await t.throwsAsync(openRig(t, { directory }), { instanceOf: SpoolError, code: 'in_use', message: /is used by another process/ });
  t.deepEqual(locks(directory), ['lock.7']);
  server.close();
  await once(server, 'close');
  t.deepEqual(locks(directory), ['lock.7']);
  await openRig(t, { directory });
  t.deepEqual(locks(directory), ['lock.8']);
});

posix('a client that asks as 0.1.0 does finds the lock of a new spool, until that is closed', async (t) => {
  const directory = freshDirectory(t);
  const { store } = await openRig(t, { directory });
  t.deepEqual(locks(directory), ['lock.1']);
  t.true(await isOwned(directory));
  await store.close();
  t.deepEqual(locks(directory), ['lock.1'], 'its number stays, so that numbers grow');
  t.false(await isOwned(directory));
});
