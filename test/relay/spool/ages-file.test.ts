// Something else has the name of a file that the spool writes: a folder, a link, or a pipe, which would block whoever opens it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import { proves } from '../../helpers/promises.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { appendAll, freshDirectory, openRig, targetsOf } from './rig.js';
import type { Rig } from './rig.js';

const posix = process.platform === 'win32' ? test.skip : test;

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 1);

const PLANTS: readonly [string, (path: string) => void][] = [
  ['is not a file', (path) => mkdirSync(path)],
  ['is not a file', (path) => void execFileSync('mkfifo', [path])],
  ['is a symbolic link', (path) => symlinkSync('/nowhere', path)],
];

for (const [index, [reason, plant]] of PLANTS.entries()) {
  posix(
    proves('relay-age-bound', `what has the name of ages.json and ${reason} is set aside, and the age starts anew once (${index + 1})`),
    async (t) => {
      const directory = freshDirectory(t);
      const path = join(directory, 'ages.json');
      /** Each start is another boot, at a time that a wrong clock tells. */
      const start = (id: string, wallStartMs: number): Promise<Rig> => {
        const clock = new VirtualClock({ wallStartMs });
        return openRig(t, { directory, clock, required: true, boot: () => ({ id, uptimeMs: clock.nowMs }) });
      };
      const first = await start('0000000a', NOW);
      await appendAll(t, first.store, ['/a', '/b']);
      await first.store.close();
      rmSync(path);
      plant(path);

      const second = await start('0000000b', NOW + 30 * DAY);
      t.deepEqual([second.store.expire(), second.store.length], [0, 2]);
      const said = second.lines.join('\n');
      t.regex(said, new RegExp(`spool_ages: ".*ages\\.json" ${reason}: it was renamed to "ages\\.json\\.aside-[0-9a-f]{8}"`));
      t.regex(said, /the age of 2 events in the spool starts anew, once/);
      await second.clock.advance(DAY / 2);
      second.store.expire();
      await second.store.close();
      t.true(statSync(path).isFile());
      t.is(readdirSync(directory).filter((name) => name.startsWith('ages.json.aside-')).length, 1);

      const third = await start('0000000c', NOW + 60 * DAY);
      t.deepEqual(third.lines, []);
      t.deepEqual([third.store.expire(), third.store.length], [0, 2]);
      await third.clock.advance(DAY / 2);
      t.is(third.store.expire(), 2);
    },
  );
}

posix('an ages.json that is not ours and cannot be renamed costs no event', async (t) => {
  const directory = freshDirectory(t);
  const first = await openRig(t, { directory });
  await appendAll(t, first.store, ['/a']);
  await first.store.close();
  rmSync(join(directory, 'ages.json'));
  mkdirSync(join(directory, 'ages.json'));
  const denied = Object.assign(new Error('denied'), { code: 'EPERM' });
  const { store, lines } = await openRig(t, { directory, fs: { ...nodeFiles, rename: () => Promise.reject(denied) } });
  t.deepEqual(targetsOf(store.take(9)), ['/a']);
  await appendAll(t, store, ['/b']);
  t.regex(lines.join('\n'), /spool_ages: ".*ages\.json" is not a file, and it cannot be renamed \(EPERM\)/);
});

posix(proves('relay-disk', 'a pipe that gets the name of a file while the spool is in use does not block the process'), async (t) => {
  const directory = freshDirectory(t);
  const { store, clock } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', '/b']);
  for (const name of ['ages.json', 'marks-000001.txt']) {
    rmSync(join(directory, name), { force: true });
    execFileSync('mkfifo', [join(directory, name)]);
  }
  await clock.advance(120_000);
  t.is(store.expire(), 0);
  t.deepEqual(targetsOf(store.take(1)), ['/a']);
  t.false(store.stats().isDurable, 'its mark was not written');
  t.is(await store.append('/c'), 'memory');
  rmSync(join(directory, 'marks-000001.txt'));
  while (!store.stats().isDurable) await clock.advance(10);
  t.deepEqual(targetsOf(store.take(9)), ['/b', '/c']);
});
