// The counts of the last hour by minutes.
import test from 'ava';
import { MinuteHistory } from '../../src/relay/status-source.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

const NOW = Date.UTC(2026, 10, 28, 14, 5, 30);

function makeHistory(wallStartMs = NOW) {
  const clock = new VirtualClock({ wallStartMs });
  const counts = { accepted: 100, sent: 90, failed: 1, dropped: 2 };
  const reads = { count: 0 };
  const history = new MinuteHistory(clock, () => {
    reads.count += 1;
    return { ...counts };
  });
  return { clock, counts, reads, history };
}

const NONE = { accepted: 0, sent: 0, failed: 0, dropped: 0 };

test('minutes have the events of each minute of the wall clock, and no timer holds the process', async (t) => {
  const { clock, counts, history } = makeHistory();
  t.deepEqual(history.minutes(), [{ at: '2026-11-28T14:05:00.000Z', ...NONE }]);
  counts.accepted += 5;
  counts.sent += 4;
  counts.dropped += 1;
  // 14:06:00
  await clock.advance(30_000);
  counts.accepted += 2;
  counts.failed += 2;
  t.deepEqual(history.minutes(), [
    { at: '2026-11-28T14:05:00.000Z', accepted: 5, sent: 4, failed: 0, dropped: 1 },
    { at: '2026-11-28T14:06:00.000Z', accepted: 2, sent: 0, failed: 2, dropped: 0 },
  ]);
  t.deepEqual([clock.pendingTimers, clock.pendingRefTimers], [1, 0]);
  history.stop();
  t.is(clock.pendingTimers, 0);
});

test('the counters are read once a minute while nobody looks', async (t) => {
  const { clock, reads } = makeHistory();
  t.is(reads.count, 1);
  await clock.advance(10 * 60_000);
  t.is(reads.count, 11);
});

test('60 whole minutes are kept, and the current one', async (t) => {
  const { clock, counts, history } = makeHistory();
  for (let minute = 0; minute < 100; minute += 1) {
    counts.sent += minute;
    await clock.advance(60_000);
  }
  const minutes = history.minutes();
  t.is(minutes.length, 61);
  t.deepEqual(minutes[0], { at: '2026-11-28T14:45:00.000Z', ...NONE, sent: 40 });
  t.deepEqual(minutes.at(-1), { at: '2026-11-28T15:45:00.000Z', ...NONE });
});

test('a process that was stopped has its events in the minute in which they were counted, and none in the others', async (t) => {
  const { clock, counts, history } = makeHistory();
  counts.sent += 7;
  // No timer ran in between.
  clock.nowMs += 3 * 60_000;
  t.deepEqual(
    history.minutes().map(({ at, sent }) => [at.slice(11, 16), sent]),
    [
      ['14:05', 7],
      ['14:06', 0],
      ['14:07', 0],
      ['14:08', 0],
    ],
  );
  clock.nowMs += 10 ** 9;
  t.deepEqual(
    history.minutes().map(({ sent }) => sent),
    Array.from({ length: 61 }, () => 0),
  );
  await clock.advance(60_000);
  t.is(history.minutes().length, 61);
});

test('a wall clock that is set moves the minutes, and loses none', async (t) => {
  const { clock, counts, history } = makeHistory();
  counts.sent += 3;
  await clock.advance(60_000);
  clock.jumpWall(-3_600_000);
  counts.sent += 1;
  t.deepEqual(
    history.minutes().map(({ at, sent }) => [at.slice(11, 16), sent]),
    [
      ['13:05', 3],
      ['13:06', 1],
    ],
  );
});
