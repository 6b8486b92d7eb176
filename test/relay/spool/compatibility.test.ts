import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { openSpool } from '../../../src/relay/spool/index.js';
import { createRelayWith } from '../../../src/relay/relay.js';
import { startCollector } from '../../../src/testing/index.js';
import { proves } from '../../helpers/promises.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { machine } from '../helpers/relay-rig.js';
import { freshDirectory, linesOf, openRig } from './rig.js';

/** A spool of release 0.1.0 after a SIGKILL: 24 events, of which 5 are settled. */
const FIXTURE = fileURLToPath(new URL('../../../../test/relay/spool/written-by-0.1.0/', import.meta.url));
const EVENTS = 'events-000001.jsonl';
const MARKS = 'marks-000001.txt';
const FIRST_AT_MS = 1_795_828_062_522;
const LAST_AT_MS = 1_795_828_063_046;
/** A minute after the last event. */
const NOW_MS = LAST_AT_MS + 60_000;
const DAY_MS = 86_400_000;
const SETTLED = 5;
const WAITING = 19;

/** The 19 targets, cut out of the lines as text. */
const TARGETS = linesOf(FIXTURE, EVENTS)
  .slice(SETTLED)
  .map((line) => /^\{"seq":\d+,"mark":\d+,"at":\d+,"target":"([^"\\]+)"\}$/.exec(line)?.[1] ?? '');

/** A copy with the modes of a spool. `marks`: the first marks; the rest are as in the fixture. */
function copyOf(t: ExecutionContext, marks = ''): string {
  const directory = freshDirectory(t);
  mkdirSync(directory, { mode: 0o700 });
  for (const name of readdirSync(FIXTURE)) {
    copyFileSync(join(FIXTURE, name), join(directory, name));
    chmodSync(join(directory, name), 0o600);
  }
  const path = join(directory, MARKS);
  writeFileSync(path, marks + readFileSync(path, 'latin1').slice(marks.length));
  return directory;
}

const marksOf = (directory: string): string => readFileSync(join(directory, MARKS), 'latin1').slice(0, SETTLED + WAITING + 1);

test('a spool of 0.1.0 is recovered: the 19 events that wait, in order, equal to the byte', async (t) => {
  t.deepEqual([TARGETS.length, TARGETS.filter((target) => target.startsWith('/v3/')).length], [WAITING, WAITING]);
  const directory = copyOf(t);
  const { store, lines, told, reopen } = await openRig(t, { directory, clock: new VirtualClock({ wallStartMs: NOW_MS }) });
  const { waiting, recovered, maybeSentTwice, tornLines } = store.stats();
  t.deepEqual({ waiting, recovered, maybeSentTwice, tornLines }, { waiting: 19, recovered: 19, maybeSentTwice: 0, tornLines: 0 });
  t.deepEqual([told(), store.expire(), store.oldestSeq, store.nextSeq, lines], [0, 0, 5, 24, []]);
  const taken = store.take(99);
  t.deepEqual(
    taken.map(({ seq, target, mayBeSecond }) => [seq, target, mayBeSecond]),
    TARGETS.map((target, index) => [SETTLED + index, target, false]),
  );
  t.true(taken.every(({ acceptedAtMs }) => acceptedAtMs >= FIRST_AT_MS && acceptedAtMs <= LAST_AT_MS));
  t.is(marksOf(directory), `${'d'.repeat(5)}${'b'.repeat(19)}.`);
  store.settle(taken.slice(0, 1));
  t.is(marksOf(directory), `${'d'.repeat(6)}${'b'.repeat(18)}.`);
  await store.close();
  const { recovered: recoveredAgain, maybeSentTwice: maybeTwice } = (await reopen()).stats();
  t.deepEqual([recoveredAgain, maybeTwice], [18, 18]);
});

test('an event that 0.1.0 had begun to send, or has no mark of, may be sent twice', async (t) => {
  for (const mark of ['b', '\0']) {
    const clock = new VirtualClock({ wallStartMs: NOW_MS });
    const { store } = await openRig(t, { directory: copyOf(t, `ddddd${mark}`), clock });
    t.deepEqual([store.stats().recovered, store.stats().maybeSentTwice], [19, 1]);
    t.deepEqual(
      store.take(99).map(({ target, mayBeSecond }) => [target, mayBeSecond]),
      TARGETS.map((target, index) => [target, index === 0]),
    );
  }
});

for (const wrongByMs of [-365 * 86_400_000, 365 * 86_400_000]) {
  test(
    proves('relay-clock', `a spool of 0.1.0 and a wall clock that is wrong by ${wrongByMs} ms: the age starts anew, once`),
    async (t) => {
      const directory = copyOf(t);
      const clock = new VirtualClock({ wallStartMs: NOW_MS + wrongByMs });
      const boot = () => ({ id: '0a1b2c3d', uptimeMs: clock.nowMs });
      const { store, lines, reopen } = await openRig(t, { directory, clock, boot });
      const warning =
        '[telemetry] spool_clock: the clock of the machine does not tell how long the relay was off: ' +
        'the age of 19 events in the spool starts anew, once';
      t.deepEqual([store.expire(), store.length, lines], [0, 19, [warning]]);
      await clock.advance(DAY_MS / 2);
      await store.close();
      clock.jumpWall(wrongByMs);
      const again = await reopen();
      await clock.advance(DAY_MS / 2);
      t.deepEqual([again.expire(), again.length, lines], [0, 19, [warning]]);
      await clock.advance(1);
      t.is(again.expire(), 19);
    },
  );
}

test(proves('relay-clock', 'a wall clock that was set while 0.1.0 ran does not make its first events old'), async (t) => {
  const directory = copyOf(t);
  const path = join(directory, EVENTS);
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"at":\d+(?=,"target":"[^"]*"\}\n)/g, '"at":7'));
  const { store } = await openRig(t, { directory, clock: new VirtualClock({ wallStartMs: 7000 }) });
  t.is(store.length, 19);
  await store.close();
  const lines = readFileSync(path, 'utf8').split('\n');
  const mixed = lines.map((line, index) => (index > 9 ? line.replace('"at":7', `"at":${LAST_AT_MS}`) : line));
  writeFileSync(path, mixed.join('\n'));
  rmSync(join(directory, 'ages.json'));
  const clock = new VirtualClock({ wallStartMs: NOW_MS });
  const again = await openRig(t, { directory, clock });
  t.deepEqual([again.store.expire(), again.store.length], [0, 19]);
  await clock.advance(DAY_MS);
  t.is(again.store.expire(), 0);
  await clock.advance(1);
  t.is(again.store.expire(), 19);
});

test('a relay delivers the spool of 0.1.0, in order, equal to the byte', async (t) => {
  const directory = copyOf(t);
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const clock = { ...systemClock, wallNow: () => NOW_MS };
  const relay = createRelayWith(
    { listen: '127.0.0.1:0', forward: `${collector.url}/up`, spool: directory, concurrency: 1, drainConcurrency: 1, env: {} },
    { machine: { ...machine, clock }, openStore: ({ directory: path = '', ...rest }) => openSpool({ directory: path, ...rest }) },
  );
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  await relay.listen();
  const { published, sent, pending, store } = await relay.close({ deadlineMs: 10_000 });
  t.deepEqual({ published, sent, pending, recovered: store.recovered }, { published: 19, sent: 19, pending: 0, recovered: 19 });
  t.deepEqual(
    collector.requests.map(({ url }) => url),
    TARGETS.map((target) => `/up${target}`),
  );
  t.deepEqual(
    readdirSync(directory).filter((name) => !name.startsWith('lock')),
    [],
    'delivered events are deleted',
  );
});
