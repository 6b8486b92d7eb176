// The status of a relay: each state in a word and in sentences, the warnings, the record of attempts, and the minutes of the last hour.
import test from 'ava';
import { DeliveryRecord } from '../../src/relay/delivery-record.js';
import { RelayLog } from '../../src/relay/log.js';
import { statusOf } from '../../src/relay/status.js';
import type { StatusFacts } from '../../src/relay/status.js';
import { MinuteHistory } from '../../src/relay/status-source.js';
import type { RelayStats } from '../../src/relay/types.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

const NOW = Date.UTC(2026, 10, 28, 14, 5, 30);
const minutesAgo = (minutes: number) => NOW - minutes * 60_000;

const STATS: RelayStats = {
  published: 0,
  sent: 0,
  handedOver: 0,
  failed: 0,
  dropped: 0,
  pending: 0,
  reasons: {},
  fieldsDropped: 0,
  metadataUnreadable: 0,
  accepted: 0,
  failedBy: {},
  duplicates: 0,
  refusedBy: {},
  attemptsFailedBy: {},
  droppedBy: {},
  answers: {},
  refusedConnections: 0,
  isAccepting: true,
  isPaused: false,
  isOffline: false,
  breaker: 'closed',
  notDelivering: undefined,
  lastSentAtMs: undefined,
  isOptedOut: false,
  store: { waiting: 0, bytes: 0, isDurable: true, recovered: 0, maybeSentTwice: 0, tornLines: 0, maxBytes: 1000 },
};

const FACTS: StatusFacts = {
  version: '1.2.3',
  nowMs: NOW,
  startedAtMs: minutesAgo(90),
  uptimeMs: 5_400_000.4,
  stats: STATS,
  delivery: undefined,
  notReady: undefined,
  isUndecided: false,
  closingSinceMs: undefined,
  optedOutSinceMs: undefined,
  optedOutBy: undefined,
  endpoint: 'https://telemetry.acme.example',
  forwardKind: 'cosmos',
  spoolKind: 'disk',
  maxAgeMs: 86_400_000,
  hasFreeDescriptor: true,
  isDebug: false,
  minutes: [],
};

const NOTHING = {
  failingSinceMs: undefined,
  isFailing: false,
  lastFailure: undefined,
  deliveringSinceMs: undefined,
  undecidedSinceMs: undefined,
};
const FAILING = {
  ...NOTHING,
  failingSinceMs: minutesAgo(3),
  isFailing: true,
  lastFailure: { atMs: minutesAgo(0.5), cause: 'refused' },
};

interface Case {
  readonly name: string;
  readonly stats?: Partial<RelayStats>;
  readonly store?: Partial<RelayStats['store']>;
  readonly facts?: Partial<StatusFacts>;
  readonly state: string;
  readonly sentence: string;
  readonly since: string | undefined;
}

const AT_START = '2026-11-28T12:35:30.000Z';
const AT_FAILURE = '2026-11-28T14:02:30.000Z';

const CASES: readonly Case[] = [
  {
    name: 'the store is not open',
    facts: { notReady: 'spool_unavailable' },
    state: 'starting',
    sentence: 'Starting since 12:35 UTC: the store of events is not open yet. Until it is, new events are refused with 503.',
    since: AT_START,
  },
  {
    name: 'nothing has come',
    facts: { delivery: NOTHING },
    state: 'idle',
    sentence: 'Idle: no event waits, and none has been sent since the start.',
    since: AT_START,
  },
  {
    name: 'the last event was sent yesterday',
    stats: { lastSentAtMs: Date.UTC(2026, 10, 27, 9) },
    facts: { startedAtMs: Date.UTC(2026, 10, 20), delivery: NOTHING },
    state: 'idle',
    sentence: 'Idle: no event waits. The last one was sent at 2026-11-27 09:00 UTC.',
    since: '2026-11-27T09:00:00.000Z',
  },
  {
    name: 'the last event was sent a second ago',
    stats: { lastSentAtMs: NOW - 1000 },
    facts: { delivery: { ...NOTHING, deliveringSinceMs: minutesAgo(20) } },
    state: 'delivering',
    sentence: 'Delivering since 13:45 UTC. No event waits.',
    since: '2026-11-28T13:45:30.000Z',
  },
  {
    name: 'the first event is in flight',
    stats: { pending: 1 },
    store: { oldestAgeMs: 4000 },
    facts: { delivery: NOTHING },
    state: 'delivering',
    sentence: 'Delivering since 14:05 UTC. 1 event waits, the oldest for 4 s.',
    since: '2026-11-28T14:05:26.000Z',
  },
  {
    name: 'an event that failed is gone, and the next one is in flight',
    stats: { pending: 1, notDelivering: 'timeout' },
    facts: { delivery: { ...FAILING, isFailing: false } },
    state: 'delivering',
    sentence: 'Delivering since 14:05 UTC. 1 event waits.',
    since: '2026-11-28T14:05:30.000Z',
  },
  {
    name: 'the first attempt failed',
    stats: { pending: 12, notDelivering: 'refused', breaker: 'half_open' },
    store: { oldestAgeMs: 185_000 },
    facts: { delivery: FAILING },
    state: 'waiting',
    sentence: 'Waiting since 14:02 UTC: the endpoint refuses connections (refused). 12 events wait, the oldest for 3 min.',
    since: AT_FAILURE,
  },
  {
    name: 'the circuit is open, and no event waits',
    stats: { isOffline: true, notDelivering: 'timeout' },
    facts: { delivery: { ...FAILING, isFailing: false } },
    state: 'waiting',
    sentence: 'Waiting since 14:02 UTC: the endpoint does not answer in time (timeout). No event waits.',
    since: AT_FAILURE,
  },
  {
    name: 'the endpoint asks for patience',
    stats: { pending: 1, notDelivering: 'http_429' },
    facts: { delivery: FAILING },
    state: 'waiting',
    sentence: 'Waiting since 14:02 UTC: the endpoint answers with status 429 (http_429). 1 event waits.',
    since: AT_FAILURE,
  },
  {
    name: 'a cause that has no words',
    stats: { pending: 1, notDelivering: 'maintenance' },
    facts: { delivery: FAILING },
    state: 'waiting',
    sentence: 'Waiting since 14:02 UTC: the last attempt failed (maintenance). 1 event waits.',
    since: AT_FAILURE,
  },
  {
    name: 'the queue cannot be reached',
    stats: { pending: 2 },
    store: { queue: { isReachable: false, held: 2 }, isDurable: false },
    facts: { delivery: NOTHING, spoolKind: 'queue' },
    state: 'waiting',
    sentence: 'Waiting: the queue cannot be reached. 2 events wait.',
    since: undefined,
  },
  {
    name: 'the endpoint refuses events',
    stats: { pending: 5, isPaused: true, notDelivering: 'http_403' },
    facts: { delivery: FAILING },
    state: 'paused',
    sentence:
      'Paused since 14:02 UTC: the endpoint answers with status 403 (http_403). Events are kept, and one at a time is tried. 5 events wait.',
    since: AT_FAILURE,
  },
  {
    name: 'a file cannot be read',
    stats: { pending: 1, notDelivering: 'undecided' },
    facts: { isUndecided: true, delivery: { ...NOTHING, undecidedSinceMs: minutesAgo(1) } },
    state: 'undecided',
    sentence:
      'Undecided since 14:04 UTC: a file that may opt out cannot be read, and the log names it. Nothing is sent until it can be. 1 event waits.',
    since: '2026-11-28T14:04:30.000Z',
  },
  {
    name: 'opted out',
    stats: { isOptedOut: true, notDelivering: 'opted_out' },
    facts: { optedOutSinceMs: minutesAgo(5), optedOutBy: 'DO_NOT_TRACK=1 in the environment' },
    state: 'opted_out',
    sentence: 'Opted out since 14:00 UTC by DO_NOT_TRACK=1 in the environment. Every event is discarded.',
    since: '2026-11-28T14:00:30.000Z',
  },
  {
    name: 'closing',
    stats: { pending: 1, notDelivering: 'refused' },
    facts: { notReady: 'closing', closingSinceMs: NOW, delivery: FAILING },
    state: 'closing',
    sentence: 'Closing since 14:05 UTC: new events are refused with 503. 1 event waits.',
    since: '2026-11-28T14:05:30.000Z',
  },
];

function statusIn({ stats, store, facts }: Pick<Case, 'stats' | 'store' | 'facts'>) {
  return statusOf({ ...FACTS, ...facts, stats: { ...STATS, ...stats, store: { ...STATS.store, ...store } } });
}

for (const each of CASES) {
  test(`${each.state}: ${each.name}`, (t) => {
    const { state, sentence, since, cause, optedOutBy } = statusIn(each);
    t.deepEqual({ state, sentence, since }, { state: each.state, sentence: each.sentence, since: each.since } as object);
    t.is(cause, each.stats?.notDelivering);
    t.is(optedOutBy, state === 'opted_out' ? 'DO_NOT_TRACK=1 in the environment' : undefined);
  });
}

test('the figures are those of stats()', (t) => {
  const stats = {
    accepted: 9,
    sent: 4,
    failed: 2,
    dropped: 1,
    duplicates: 3,
    pending: 7,
    lastSentAtMs: minutesAgo(2),
    failedBy: { timeout: 2 },
    droppedBy: { expired: 1 },
    refusedBy: { rate_limited: 5 },
    attemptsFailedBy: { refused: 6 },
    answers: { '204': 9 },
  };
  const store = { bytes: 640, recovered: 5, maybeSentTwice: 2, oldestAgeMs: 1234.6, isDurable: false };
  t.deepEqual(statusIn({ stats, store, facts: { delivery: FAILING } }), {
    version: '1.2.3',
    startedAt: AT_START,
    uptimeMs: 5_400_000,
    now: '2026-11-28T14:05:30.000Z',
    state: 'waiting',
    sentence: 'Waiting since 14:02 UTC: the last attempt failed. 7 events wait, the oldest for 1 s.',
    since: AT_FAILURE,
    cause: undefined,
    optedOutBy: undefined,
    endpoint: 'https://telemetry.acme.example',
    forwardKind: 'cosmos',
    lastSuccessAt: '2026-11-28T14:03:30.000Z',
    lastFailure: { at: '2026-11-28T14:05:00.000Z', cause: 'refused' },
    pending: 7,
    oldestAgeMs: 1235,
    spool: { kind: 'disk', bytes: 640, maxBytes: 1000, isDurable: false },
    warnings: ['The spool cannot be used: new events are in memory only. The log says why.'],
    totals: { accepted: 9, sent: 4, failed: 2, dropped: 1, duplicates: 3, recovered: 5, maybeSentTwice: 2 },
    failedBy: { timeout: 2 },
    droppedBy: { expired: 1 },
    refusedBy: { rate_limited: 5 },
    attemptsFailedBy: { refused: 6 },
    answers: { '204': 9 },
    minutes: [],
  });
});

const WARNINGS: readonly (Pick<Case, 'name' | 'stats' | 'store' | 'facts'> & { readonly warnings: readonly string[] })[] = [
  { name: 'nothing', warnings: [] },
  { name: 'a spool of exactly 80%', store: { bytes: 800 }, warnings: [] },
  {
    name: 'a spool above 80%',
    store: { bytes: 839 },
    warnings: ['The spool has 83% of its limit. Once it is full, new events are refused with 503.'],
  },
  { name: 'a full store', facts: { notReady: 'spool_full' }, warnings: ['The store is full: new events are refused with 503.'] },
  {
    name: 'no spool',
    store: { isDurable: false },
    facts: { spoolKind: 'memory' },
    warnings: ['Events are in memory only: there is no spool, and a crash loses them.'],
  },
  {
    name: 'a queue that is away',
    store: { isDurable: false, queue: { isReachable: false, held: 0 } },
    facts: { spoolKind: 'queue' },
    warnings: ['The queue cannot be reached: new events are in memory only.'],
  },
  {
    name: 'a queue that confirms early',
    store: { isDurable: false, queue: { isReachable: true, held: 0 } },
    facts: { spoolKind: 'queue' },
    warnings: ['The queue confirms an event before it is on disk.'],
  },
  {
    name: 'an event that is too old soon',
    stats: { pending: 1 },
    store: { oldestAgeMs: 72_000_000 },
    warnings: ['The oldest event has waited for 20 h. It is dropped after 24 h.'],
  },
  {
    name: 'no descriptors',
    facts: { hasFreeDescriptor: false },
    warnings: ['This process may open no more files: nothing can be sent.'],
  },
  { name: 'debug mode', facts: { isDebug: true }, warnings: ['Debug mode is on: requests are written down, and nothing is sent.'] },
  {
    name: 'an event that failed',
    stats: { notDelivering: 'timeout' },
    facts: { delivery: { ...FAILING, isFailing: false } },
    warnings: ['The last attempt failed at 14:05 UTC: the endpoint does not answer in time (timeout).'],
  },
  { name: 'opted out', stats: { isOptedOut: true }, store: { isDurable: false }, warnings: [] },
];

for (const each of WARNINGS) {
  test(`warnings: ${each.name}`, (t) => {
    t.deepEqual(statusIn(each).warnings, each.warnings);
  });
}

function makeRecord() {
  const clock = new VirtualClock({ wallStartMs: NOW });
  const lines: string[] = [];
  const queue = { pending: 0 };
  const log = new RelayLog({ debug: () => undefined, warn: (line) => lines.push(line) }, clock);
  const record = new DeliveryRecord({ clock, log, pending: () => queue.pending });
  return { clock, lines, queue, record };
}

const REFUSED = { kind: 'deferred', waitMs: 10, reason: 'connect', cause: 'refused' } as const;
const HELD_BACK = { kind: 'deferred', waitMs: 10, reason: 'circuit_open' } as const;
const BUSY = { kind: 'deferred', waitMs: 10, reason: 'http_429' } as const;

test('a record knows since when attempts fail, why the last one did, and since when they succeed', async (t) => {
  const { clock, queue, record } = makeRecord();
  queue.pending = 2;
  record.observe(REFUSED, 'refused');
  await clock.advance(3000);
  record.observe({ kind: 'rejected', reason: 'timeout' }, undefined);
  record.observe(HELD_BACK, undefined);
  t.like(record, { failingSinceMs: NOW, isFailing: true, failure: 'timeout', breaker: 'open', deliveringSinceMs: undefined });
  t.deepEqual(record.lastFailure, { atMs: NOW + 3000, cause: 'timeout' });
  await clock.advance(1000);
  record.observe({ kind: 'sent' }, undefined);
  await clock.advance(59_999);
  record.observe({ kind: 'sent' }, undefined);
  t.like(record, { failingSinceMs: undefined, isFailing: false, failure: undefined, deliveringSinceMs: NOW + 4000 });
  t.deepEqual(record.lastFailure, { atMs: NOW + 3000, cause: 'timeout' });
  // After a minute without any, it is another stretch.
  await clock.advance(60_000);
  record.observe({ kind: 'sent' }, undefined);
  t.is(record.deliveringSinceMs, NOW + 4000 + 59_999 + 60_000);
  // An event that fails for good, with no other waiting, leaves nothing that could be delivered.
  queue.pending = 0;
  record.observe({ kind: 'rejected', reason: 'http_404' }, undefined);
  t.like(record, { isFailing: false, failure: 'http_404' });
  // What was not tried, or ended by us, changes nothing.
  record.observe({ kind: 'refused', reason: 'too_large' }, undefined);
  record.observe({ kind: 'aborted' }, undefined);
  t.is(record.failure, 'http_404');
});

test('the log says once that no event could be sent for ten seconds, and once that events are sent again', async (t) => {
  const { clock, lines, queue, record } = makeRecord();
  queue.pending = 3;
  record.observe(BUSY, undefined);
  await clock.advance(9999);
  record.observe(BUSY, undefined);
  record.say(false);
  t.deepEqual(lines, []);
  await clock.advance(1);
  record.say(false);
  record.say(false);
  t.deepEqual(lines, ['[telemetry] delivery_stopped: no event could be sent for 10 seconds (http_429); waiting events: 3']);
  record.observe({ kind: 'sent' }, undefined);
  record.observe({ kind: 'sent' }, undefined);
  t.deepEqual(lines.slice(1), ['[telemetry] delivery_resumed: events are sent again']);
});

test('the log does not say what the circuit breaker or a pause has said, nor what concerns no event', async (t) => {
  const { clock, lines, queue, record } = makeRecord();
  queue.pending = 3;
  record.observe(REFUSED, 'refused');
  await clock.advance(20_000);
  record.say(true);
  // Its event and all others have expired.
  queue.pending = 0;
  record.say(false);
  record.observe({ kind: 'sent' }, undefined);
  t.deepEqual(lines, []);
});

test('a record knows since when it is not known whether anything may be sent', async (t) => {
  const { clock, record } = makeRecord();
  record.setUndecided(true);
  await clock.advance(1000);
  record.setUndecided(true);
  t.is(record.undecidedSinceMs, NOW);
  record.setUndecided(false);
  t.is(record.undecidedSinceMs, undefined);
});

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
