import { spawn } from 'node:child_process';
import test from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { atATime, childQueue } from './at-a-time.js';
import { guardedEnv } from './guarded-env.js';
import { VirtualClock } from './virtual-clock.js';
import { proves } from './promises.js';

/** Runs a script in a process with the guard. */
async function run(script: string): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: guardedEnv({}),
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 20_000,
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  return { code, stderr };
}

/** Attempts to reach another host. The addresses and names are reserved for documentation (RFC 5737, RFC 2606). */
const STRAYS: Readonly<Record<string, [script: string, who: RegExp]>> = {
  'an address': [`import { connect } from 'node:net'; connect(80, '192.0.2.1').on('error', () => {});`, /192\.0\.2\.1/],
  'an address over IPv6': [
    `import { connect } from 'node:net'; connect({ port: 80, host: '2001:db8::1' }).on('error', () => {});`,
    /2001:db8::1/,
  ],
  'a name': [`import { get } from 'node:http'; get('http://stray.example/').on('error', () => {});`, /stray\.example/],
  'a name with a look-up of its own': [
    `import { connect } from 'node:net';
     const lookup = (name, options, done) => done(null, [{ address: '192.0.2.7', family: 4 }]);
     connect({ port: 80, host: 'stray.example', lookup }).on('error', () => {});`,
    /stray\.example at 192\.0\.2\.7/,
  ],
  https: [`import { get } from 'node:https'; get('https://192.0.2.1/').on('error', () => {});`, /192\.0\.2\.1/],
  'an error that is swallowed': [`import { connect } from 'node:net'; try { connect(80, '192.0.2.1'); } catch {}`, /192\.0\.2\.1/],
  UDP: [
    `import { createSocket } from 'node:dgram'; try { createSocket('udp4').send('x', 53, '192.0.2.1'); } catch {}`,
    /192\.0\.2\.1 over UDP/,
  ],
  getaddrinfo: [`import { lookup } from 'node:dns'; try { lookup('stray.example', () => {}); } catch {}`, /stray\.example/],
  'a name server': [
    `import { Resolver } from 'node:dns';
     const resolver = new Resolver();
     resolver.setServers(['192.0.2.53']);
     try { resolver.resolve4('stray.example', () => {}); } catch {}`,
    /192\.0\.2\.53/,
  ],
};

for (const [name, [script, who]] of Object.entries(STRAYS)) {
  test(proves('tests-loopback', `the guard of the tests stops ${name}`), async (t) => {
    const { code, stderr } = await childQueue(() => run(script));
    t.not(code, 0);
    t.regex(stderr, /tests stay on the loopback interface/);
    t.regex(stderr, who);
  });
}

test(proves('tests-loopback', 'the guard of the tests is in this very process, and lets loopback pass'), async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { code, stderr } = await run(
    `import { get } from 'node:http';
     for (const url of ['${collector.url}', 'http://localhost:${collector.port}']) get(url, (response) => response.resume());`,
  );
  t.is(stderr, '');
  t.is(code, 0);
  t.is(collector.requests.length, 2);
  t.is((await fetch(collector.url)).status, 200);
  // The guard has replaced the function of Node.
  const { Socket } = await import('node:net');
  t.regex(Socket.prototype.connect.toString(), /isHere/);
});

test('virtual clock: timers run in order of time, then of setTimeout, each at its own time', async (t) => {
  const clock = new VirtualClock();
  const seen: [string, number][] = [];
  const note = (name: string) => () => {
    seen.push([name, clock.now()]);
  };
  clock.setTimeout(note('late'), 20);
  clock.setTimeout(note('first of two'), 10);
  clock.setTimeout(note('second of two'), 10);
  clock.setTimeout(note('not yet'), 31);

  await clock.advance(30);

  t.deepEqual(seen, [
    ['first of two', 10],
    ['second of two', 10],
    ['late', 20],
  ]);
  t.is(clock.now(), 30);
  t.is(clock.pendingTimers, 1);
});

test('virtual clock: promise chains continue between two timers, and a timer that they set runs in the same advance()', async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const sleep = (ms: number) =>
    new Promise<void>((resolve) => {
      clock.setTimeout(resolve, ms);
    });
  const work = (async () => {
    await sleep(5);
    await Promise.resolve();
    seen.push(`chain at ${clock.now()}`);
    await sleep(5);
    seen.push(`chain at ${clock.now()}`);
  })();
  clock.setTimeout(() => seen.push('timer at 6'), 6);

  await clock.advance(10);
  await work;

  t.deepEqual(seen, ['chain at 5', 'timer at 6', 'chain at 10']);
});

test('virtual clock: a cleared timer never runs and is not pending', async (t) => {
  const clock = new VirtualClock();
  const timer = clock.setTimeout(() => t.fail(), 10);
  clock.clearTimeout(timer);
  t.is(clock.pendingTimers, 0);
  await clock.advance(100);
});

test('virtual clock: it counts the timers that hold a process', (t) => {
  const clock = new VirtualClock();
  const background = clock.setTimeout(() => {}, 10);
  clock.setTimeout(() => {}, 10);
  t.is(clock.pendingRefTimers, 2);
  background.unref();
  t.is(clock.pendingRefTimers, 1);
  t.is(clock.pendingTimers, 2);
  background.ref();
  t.is(clock.pendingRefTimers, 2);
});

test('virtual clock: a delay that Node changes to 1 ms is 1 ms', async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.setTimeout(() => seen.push('zero'), 0);
  clock.setTimeout(() => seen.push('not a number'), Number.NaN);
  clock.setTimeout(() => seen.push('too long'), 2 ** 31);
  clock.setTimeout(() => seen.push('as long as it gets'), 2 ** 31 - 1);
  await clock.advance(1);
  t.deepEqual(seen, ['zero', 'not a number', 'too long']);
});

test('virtual clock: deferred work waits for the test or for advance', async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.defer(() => {
    seen.push('outer');
    clock.defer(() => seen.push('inner'));
  });
  t.is(clock.pendingDeferred, 1);
  t.deepEqual(seen, []);

  clock.runDeferred();
  t.deepEqual(seen, ['outer']);
  t.is(clock.pendingDeferred, 1);

  await clock.advance(0);
  t.deepEqual(seen, ['outer', 'inner']);
});

test('virtual clock: work that defers itself for ever is an error', async (t) => {
  const clock = new VirtualClock();
  const again = (): void => {
    clock.defer(again);
  };
  again();
  await t.throwsAsync(clock.advance(0), { message: /for ever/ });
});

test('virtual clock: the wall clock follows, and can jump', async (t) => {
  const clock = new VirtualClock({ wallStartMs: 1000 });
  await clock.advance(5);
  t.is(clock.wallNow(), 1005);
  clock.jumpWall(-500);
  t.is(clock.wallNow(), 505);
  t.is(clock.now(), 5);
});

test('virtual clock: advance() rejects with the error of a callback', async (t) => {
  const clock = new VirtualClock();
  clock.setTimeout(() => {
    throw new Error('from a timer');
  }, 1);
  await t.throwsAsync(clock.advance(1), { message: 'from a timer' });
});

test('virtual clock: a test may set the time and run timers itself, which moves nothing else', (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.setTimeout(() => seen.push('set first'), 20);
  clock.setTimeout(() => seen.push('due first'), 0);
  clock.nowMs = 1000;
  t.deepEqual([clock.now(), clock.now(), clock.reads], [1000, 1000, 2]);
  t.deepEqual(seen, []);
  t.deepEqual(
    clock.timers.map(({ delayMs, isHolding }) => [delayMs, isHolding]),
    [
      [20, true],
      [0, true],
    ],
  );
  clock.fire();
  t.deepEqual(seen, ['set first']);
  clock.fire();
  clock.fire();
  t.deepEqual(seen, ['set first', 'due first']);
  t.is(clock.nowMs, 1000);
});

test('a queue runs as many pieces of work as it says, in order, and goes on after one that fails', async (t) => {
  const queue = atATime(2);
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const work = (index: number) => () =>
    new Promise<number>((resolve, reject) => {
      started.push(index);
      ends.push(() => (index === 1 ? reject(new Error('failed')) : resolve(index)));
    });
  const all = Promise.allSettled([0, 1, 2, 3].map((index) => queue(work(index))));
  for (let ended = 0; ended < 4; ended += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    t.deepEqual(started, [0, 1, 2, 3].slice(0, ended + 2));
    ends[ended]?.();
  }
  t.deepEqual(
    (await all).map((end) => (end.status === 'fulfilled' ? end.value : (end.reason as Error).message)),
    [0, 'failed', 2, 3],
  );
});
