// The status of a relay, made from facts: each state in a word and in sentences, the figures, and the warnings.
import test from 'ava';
import { statusOf } from '../../src/relay/status.js';
import type { StatusFacts } from '../../src/relay/status.js';
import type { RelayStats } from '../../src/relay/types.js';

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
  dagFactoryEndpoint: undefined,
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
  sinceSentMs: undefined,
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
    name: 'the last event was sent two hours ago, and the clock was set back by a day since',
    stats: { lastSentAtMs: NOW + 22 * 3_600_000 },
    facts: { delivery: { ...NOTHING, sinceSentMs: 2 * 3_600_000 } },
    state: 'idle',
    sentence: 'Idle: no event waits. The last one was sent at 2026-11-29 12:05 UTC.',
    since: '2026-11-29T12:05:30.000Z',
  },
  {
    name: 'the last event was sent a second ago',
    stats: { lastSentAtMs: NOW - 1000 },
    facts: { delivery: { ...NOTHING, sinceSentMs: 1000, deliveringSinceMs: minutesAgo(20) } },
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
    name: 'the queue cannot be reached, and an attempt failed before',
    stats: { pending: 2, notDelivering: 'refused' },
    store: { queue: { isReachable: false, held: 2 }, isDurable: false },
    facts: { delivery: FAILING, spoolKind: 'queue' },
    state: 'waiting',
    sentence: 'Waiting: the queue cannot be reached. 2 events wait.',
    since: undefined,
  },
  {
    name: 'debug mode',
    facts: { isDebug: true, delivery: NOTHING },
    state: 'debug',
    sentence: 'Debug mode is on since 12:35 UTC: each event is written down, and nothing is sent. No event waits.',
    since: AT_START,
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
    dagFactoryEndpoint: undefined,
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
  { name: 'debug mode', facts: { isDebug: true }, warnings: [] },
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
