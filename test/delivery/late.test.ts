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

const TOO_MANY_FILES = Object.assign(new Error('too many open files'), { code: 'EMFILE' });

/** A module that can be loaded as the test says. `file` is what reading the file gives. */
function arrange() {
  const world = {
    imports: 0,
    import: () => Promise.reject<string>(TOO_MANY_FILES),
    reads: 0,
    file: (): Readonly<Record<string, () => Promise<unknown>>> | undefined => undefined,
  };
  const load = late<string>(
    'part',
    () => {
      world.imports += 1;
      return world.import();
    },
    {
      readFile: () => {
        world.reads += 1;
        return world.file();
      },
    },
  );
  return { world, load };
}

test('a module comes from the file, once for all calls, and nothing is imported', async (t) => {
  const { world, load } = arrange();
  world.file = () => ({ part: async () => 'from the file' });
  t.deepEqual(await Promise.all([load(), load()]), ['from the file', 'from the file']);
  t.is(await load(), 'from the file');
  t.is(world.reads, 1);
  t.is(world.imports, 0);
});

test('a program that was bundled has no such file: the module is imported, once', async (t) => {
  const { world, load } = arrange();
  world.import = async () => 'imported';
  t.deepEqual(await Promise.all([load(), load()]), ['imported', 'imported']);
  t.is(await load(), 'imported');
  t.is(world.imports, 1);
});

test('while it cannot be read, each call tries again, and says how long to wait: a second, doubling to a minute', async (t) => {
  const { world, load } = arrange();
  const waits: (number | undefined)[] = [];
  for (let call = 0; call < 4; call += 1) waits.push(loadWaitMs(await t.throwsAsync(load())));
  world.file = () => {
    throw TOO_MANY_FILES;
  };
  for (let call = 0; call < 4; call += 1) waits.push(loadWaitMs(await t.throwsAsync(load())));
  t.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  t.is(world.imports, 4, 'what cannot be read now is not imported, since that would be remembered');
  world.file = () => ({ part: async () => 'from the file' });
  t.is(await load(), 'from the file');
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

onPosix(proves('load-again', 'what a polluted prototype kept from loading is loaded when it is clean'), async (t) => {
  const report = await play(t, 'polluted');
  t.like(report.stats, { published: 2, sent: 2, failed: 0, dropped: 0 });
});

test('each scene of the child is played', (t) => {
  t.deepEqual([...SCENES], ['no descriptors', 'descriptors at close', 'no descriptors at close', 'full thread pool', 'polluted']);
});
