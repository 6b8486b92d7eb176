// What is loaded late is loaded so that it can be tried again. The children run the built package, which has the spare beside it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { late, loadWaitMs } from '../../src/delivery/late.js';
import { SCENES } from '../helpers/late-child.js';
import type { LateReport, Scene } from '../helpers/late-child.js';
import { guardedEnv } from '../helpers/guarded-env.js';
import { proves } from '../helpers/promises.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';

const TOO_MANY_FILES = Object.assign(new Error('too many open files'), { code: 'EMFILE' });

/** A module that can be loaded as the test says. */
function arrange() {
  const clock = new VirtualClock();
  const world = { imports: 0, import: () => Promise.reject<string>(TOO_MANY_FILES), requires: 0, spare: undefined as object | undefined };
  const load = late<string>(
    'part',
    () => {
      world.imports += 1;
      return world.import();
    },
    {
      clock,
      requireSpare: () => {
        world.requires += 1;
        if (world.spare === undefined) throw TOO_MANY_FILES;
        return world.spare;
      },
    },
  );
  return { clock, world, load };
}

test('what can be imported is imported once, and the spare is not read', async (t) => {
  const { world, load } = arrange();
  world.import = async () => 'imported';
  t.deepEqual(await Promise.all([load(), load()]), ['imported', 'imported']);
  t.is(await load(), 'imported');
  t.is(world.imports, 1);
  t.is(world.requires, 0);
});

test('what cannot be imported is taken from the spare, for good', async (t) => {
  const { world, load } = arrange();
  world.spare = { part: 'spare' };
  t.is(await load(), 'spare');
  t.is(await load(), 'spare');
  t.is(world.imports, 1);
  t.is(world.requires, 1);
});

test('while neither can be read, each call tries again, and says how long to wait: a second, doubling to a minute', async (t) => {
  const { world, load } = arrange();
  const waits: (number | undefined)[] = [];
  for (let call = 0; call < 8; call += 1) waits.push(loadWaitMs(await t.throwsAsync(load())));
  t.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  world.spare = { part: 'spare' };
  t.is(await load(), 'spare');
});

test('a host that was bundled has no spare: its own loader is asked again', async (t) => {
  const { world, load } = arrange();
  await t.throwsAsync(load());
  world.import = async () => 'imported';
  t.is(await load(), 'imported');
});

test('an import that hangs for ten turns of 50 ms gives way to the spare; a long turn counts as one', async (t) => {
  const { clock, world, load } = arrange();
  world.import = () => new Promise(() => undefined);
  world.spare = { part: 'spare' };
  let loaded: string | undefined;
  void load().then((value) => (loaded = value));
  for (let turn = 1; turn < 10; turn += 1) await clock.advance(50);
  t.is(loaded, undefined);
  await clock.advance(50);
  await settle();
  t.is(loaded, 'spare');
});

test('an import that hangs without a spare is not started a second time, and is used when it ends', async (t) => {
  const { clock, world, load } = arrange();
  const ends: ((value: string) => void)[] = [];
  world.import = () => new Promise((resolve) => ends.push(resolve));
  const first = load().catch(loadWaitMs);
  for (let turn = 0; turn < 10; turn += 1) await clock.advance(50);
  t.is(await first, 1000);
  const second = load();
  for (const end of ends) end('imported');
  t.is(await second, 'imported');
  t.is(world.imports, 1);
});

/** Runs a scene in a child process that may have 64 descriptors. */
async function play(t: ExecutionContext, scene: Scene): Promise<LateReport> {
  const file = fileURLToPath(new URL('../helpers/late-child.js', import.meta.url));
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, file, scene], {
    env: guardedEnv({ PATH: process.env['PATH'] }),
    timeout: 30_000,
  });
  t.log(stdout);
  return JSON.parse(stdout) as LateReport;
}

const onPosix = process.platform === 'win32' ? test.skip : test;

onPosix(proves('load-again', 'no descriptor at the first events: they wait, and are delivered when there are some'), async (t) => {
  const report = await play(t, 'no descriptors');
  t.like(report.stats, { published: 3, sent: 3, failed: 0, dropped: 0 });
  t.is(report.requests, 3);
  t.is(report.warnings.length, 1);
  t.regex(report.warnings[0] ?? '', /load_failed/);
});

onPosix(proves('load-again', 'close() tries again at once what could not be loaded before'), async (t) => {
  const report = await play(t, 'descriptors at close');
  t.like(report.stats, { published: 1, sent: 1, timedOut: false });
});

onPosix(proves('load-again', 'close() without a descriptor ends at its deadline, and counts what waited'), async (t) => {
  const report = await play(t, 'no descriptors at close');
  t.like(report.stats, { published: 1, sent: 0, dropped: 1, reasons: { deadline: 1 }, timedOut: true });
});

onPosix(proves('load-again', 'a thread pool that is full of the work of the host does not keep an event from being sent'), async (t) => {
  const report = await play(t, 'full thread pool');
  t.like(report.stats, { published: 1, sent: 1, timedOut: false });
});

test('each scene of the child is played', (t) => {
  t.deepEqual([...SCENES], ['no descriptors', 'descriptors at close', 'no descriptors at close', 'full thread pool']);
});
