/** What `/statusz` says: the state of a relay in one word and in sentences, with its figures. Pure: everything comes in as facts. */
import { durationWords } from '../base/describe.js';
import type { DeliveryFacts } from './delivery-record.js';
import type { RelayStats } from './types.js';

/**
 * What `GET /statusz` of a relay answers, as JSON. Times are ISO 8601 in UTC. A key whose value is undefined is missing in the JSON. Later
 * versions only add keys.
 *
 * @example
 * const relay = createRelay({ listen: '127.0.0.1:0', forward: 'https://telemetry.acme.example' });
 * const { url } = await relay.listen();
 * const status = (await (await fetch(`${url}/statusz`)).json()) as RelayStatus;
 * console.log(status.state, status.pending); // idle 0
 * await relay.close();
 */
export interface RelayStatus {
  /** The version of this package. */
  readonly version: string;
  /** When this relay was created. */
  readonly startedAt: string;
  /** How long ago that was, in milliseconds. */
  readonly uptimeMs: number;
  /** The time of this status, by the relay's clock. */
  readonly now: string;
  /**
   * Whether events are delivered, in one word.
   *
   * - `starting`: the store is not open yet.
   * - `delivering`: events are being sent, or one was sent in the last minute.
   * - `idle`: no event waits, and none was sent in the last minute.
   * - `waiting`: the last attempt failed and events wait, or the circuit breaker is open.
   * - `paused`: the endpoint refuses events; one at a time is tried.
   * - `undecided`: nothing is sent, because a file that may opt out cannot be read.
   * - `opted_out`: every event is discarded.
   * - `debug`: debug mode is on; each event is written down, and nothing is sent.
   * - `closing`: new events are refused, and pending ones are delivered until the deadline.
   */
  readonly state: 'starting' | 'delivering' | 'idle' | 'waiting' | 'paused' | 'undecided' | 'opted_out' | 'debug' | 'closing';
  /** The same in one to three sentences. */
  readonly sentence: string;
  /**
   * Since when this state lasts; for `waiting` and `paused`, when the first attempt after the last success failed. Undefined if it is not
   * known.
   */
  readonly since: string | undefined;
  /** Why events are not delivered: `notDelivering` of `RelayStats`. Undefined if the last attempt succeeded, and before the first one. */
  readonly cause: string | undefined;
  /** The rule that opts out, in words. Undefined unless the state is `opted_out`. */
  readonly optedOutBy: string | undefined;
  /** Where events are forwarded to, without user name, password and query. */
  readonly endpoint: string;
  /** The same for events of DAG Factory; undefined if they are refused. */
  readonly dagFactoryEndpoint: string | undefined;
  /** How they are forwarded: as requests of Cosmos, or as lines of NDJSON. */
  readonly forwardKind: 'cosmos' | 'ndjson';
  /** When the endpoint confirmed an event last; undefined if it has not confirmed one to this process. */
  readonly lastSuccessAt: string | undefined;
  /** The last attempt that failed, and why; undefined if none has failed. It stays after a success. */
  readonly lastFailure:
    | {
        /** When it failed. */
        readonly at: string;
        /** Its cause, or else its reason. */
        readonly cause: string;
      }
    | undefined;
  /** Events in the store or in flight. */
  readonly pending: number;
  /** The age of the oldest of them, in milliseconds; undefined if there is none, or the store does not know it. */
  readonly oldestAgeMs: number | undefined;
  /** The store of pending events. */
  readonly spool: {
    /** Where it is: a directory, the memory of this process, or a queue that several relays share. */
    readonly kind: 'disk' | 'memory' | 'queue';
    /** Its bytes on disk; 0 without a directory. */
    readonly bytes: number;
    /** The most bytes on disk; undefined if there is no such limit, or it is not known. */
    readonly maxBytes: number | undefined;
    /** Whether the next event goes to disk. */
    readonly isDurable: boolean;
  };
  /** What an operator should know beside the state, a sentence each. */
  readonly warnings: readonly string[];
  /** Events since the start of this process. */
  readonly totals: {
    /** Events that this process has accepted. */
    readonly accepted: number;
    /** Events that the endpoint has confirmed. */
    readonly sent: number;
    /** Events that were sent without a confirmation. */
    readonly failed: number;
    /** Events that were never sent. */
    readonly dropped: number;
    /** Events that came again with the same id. */
    readonly duplicates: number;
    /** Events that an earlier process left. */
    readonly recovered: number;
    /** Events that an earlier process may have sent as well. */
    readonly maybeSentTwice: number;
  };
  /** Failed events by reason. */
  readonly failedBy: Readonly<Record<string, number>>;
  /** Dropped events by reason. */
  readonly droppedBy: Readonly<Record<string, number>>;
  /** Events of batches that were refused, by reason. */
  readonly refusedBy: Readonly<Record<string, number>>;
  /** Attempts that failed, by cause. Their events may still wait. */
  readonly attemptsFailedBy: Readonly<Record<string, number>>;
  /** Answers to all requests by status. */
  readonly answers: Readonly<Record<string, number>>;
  /** The last 60 whole minutes and the current one, oldest first; fewer if the process is younger. */
  readonly minutes: readonly {
    /** When the minute began. */
    readonly at: string;
    /** Events that were accepted in it. */
    readonly accepted: number;
    /** Events that the endpoint confirmed in it. */
    readonly sent: number;
    /** Events that failed in it. */
    readonly failed: number;
    /** Events that were dropped in it. */
    readonly dropped: number;
  }[];
}

type RelayState = RelayStatus['state'];

/** One minute of a status. */
export type StatusMinute = RelayStatus['minutes'][number];

/** What a status is made from. Times are in milliseconds since 1970. */
export interface StatusFacts {
  readonly version: string;
  readonly nowMs: number;
  readonly startedAtMs: number;
  readonly uptimeMs: number;
  readonly stats: RelayStats;
  /** What attempts have shown; undefined before the store is open, and if nothing was ever sent because of an opt-out. */
  readonly delivery: DeliveryFacts | undefined;
  /** Why no events are accepted. */
  readonly notReady: 'closing' | 'spool_full' | 'spool_unavailable' | undefined;
  readonly isUndecided: boolean;
  /** When the relay began to close. */
  readonly closingSinceMs: number | undefined;
  /** When the opt-out appeared. */
  readonly optedOutSinceMs: number | undefined;
  readonly optedOutBy: string | undefined;
  readonly endpoint: string;
  readonly dagFactoryEndpoint: string | undefined;
  readonly forwardKind: 'cosmos' | 'ndjson';
  readonly spoolKind: RelayStatus['spool']['kind'];
  readonly maxAgeMs: number;
  readonly hasFreeDescriptor: boolean;
  readonly isDebug: boolean;
  readonly minutes: readonly StatusMinute[];
}

/** For how long after its last success a relay without pending events is called `delivering`. */
export const IDLE_AFTER_MS = 60_000;

/** From this share of its limit on, the size of a spool is worth a warning. The alerts for Prometheus have the same. */
const NEARLY_FULL = 0.8;

/** Makes the status of a relay. Never throws. */
export function statusOf(facts: StatusFacts): RelayStatus {
  const { stats, delivery, startedAtMs, minutes } = facts;
  const { failedBy, droppedBy, refusedBy, attemptsFailedBy, answers, store } = stats;
  const { accepted, sent, failed, dropped, duplicates } = stats;
  const { recovered, maybeSentTwice } = store;
  const state = stateOf(facts);
  const sinceMs = sinceOf(state, facts);
  const { lastFailure } = delivery ?? {};
  return {
    version: facts.version,
    startedAt: iso(startedAtMs),
    uptimeMs: Math.round(facts.uptimeMs),
    now: iso(facts.nowMs),
    state,
    sentence: sentenceOf(state, sinceMs, facts),
    since: optionalIso(sinceMs),
    cause: stats.notDelivering,
    optedOutBy: state === 'opted_out' ? facts.optedOutBy : undefined,
    endpoint: facts.endpoint,
    dagFactoryEndpoint: facts.dagFactoryEndpoint,
    forwardKind: facts.forwardKind,
    lastSuccessAt: optionalIso(stats.lastSentAtMs),
    lastFailure: lastFailure && { at: iso(lastFailure.atMs), cause: lastFailure.cause },
    pending: stats.pending,
    oldestAgeMs: store.oldestAgeMs === undefined ? undefined : Math.round(store.oldestAgeMs),
    spool: { kind: facts.spoolKind, bytes: store.bytes, maxBytes: store.maxBytes, isDurable: store.isDurable },
    warnings: warningsOf(state, facts),
    totals: { accepted, sent, failed, dropped, duplicates, recovered, maybeSentTwice },
    failedBy,
    droppedBy,
    refusedBy,
    attemptsFailedBy,
    answers,
    minutes,
  };
}

function stateOf({ stats, delivery, notReady, isUndecided, isDebug }: StatusFacts): RelayState {
  if (notReady === 'closing') return 'closing';
  if (stats.isOptedOut) return 'opted_out';
  if (notReady === 'spool_unavailable') return 'starting';
  if (isUndecided) return 'undecided';
  if (isDebug) return 'debug';
  if (stats.isPaused) return 'paused';
  if (stats.isOffline || hasHeldEvents(stats)) return 'waiting';
  if (stats.pending > 0) return delivery?.isFailing === true ? 'waiting' : 'delivering';
  const { sinceSentMs } = delivery ?? {};
  const isRecent = sinceSentMs !== undefined && sinceSentMs < IDLE_AFTER_MS;
  return isRecent && stats.notDelivering === undefined ? 'delivering' : 'idle';
}

/** Whether all pending events are in the memory of this process because the queue that should have them cannot be reached. */
function hasHeldEvents({ pending, store: { queue } }: RelayStats): boolean {
  return queue?.isReachable === false && pending > 0;
}

function sinceOf(state: RelayState, facts: StatusFacts): number | undefined {
  const { delivery, nowMs, startedAtMs, stats } = facts;
  switch (state) {
    case 'starting':
    case 'debug':
      return startedAtMs;
    case 'closing':
      return facts.closingSinceMs;
    case 'opted_out':
      return facts.optedOutSinceMs;
    case 'undecided':
      return delivery?.undecidedSinceMs;
    case 'paused':
    case 'waiting':
      // The queue does not tell since when it cannot be reached, and an attempt that failed is another matter.
      return hasHeldEvents(stats) ? undefined : delivery?.failingSinceMs;
    case 'delivering':
      return delivery?.deliveringSinceMs ?? Math.max(startedAtMs, nowMs - (stats.store.oldestAgeMs ?? 0));
    case 'idle':
      return Math.max(startedAtMs, stats.lastSentAtMs ?? 0, delivery?.lastFailure?.atMs ?? 0);
    default:
      return undefined;
  }
}

function sentenceOf(state: RelayState, sinceMs: number | undefined, facts: StatusFacts): string {
  const { stats, nowMs } = facts;
  const since = sinceMs === undefined ? '' : ` since ${clockTime(sinceMs, nowMs)}`;
  const waits = waitingWords(stats);
  switch (state) {
    case 'starting':
      return `Starting${since}: the store of events is not open yet. Until it is, new events are refused with 503.`;
    case 'debug':
      return `Debug mode is on${since}: each event is written down, and nothing is sent. ${waits}`;
    case 'closing':
      return `Closing${since}: new events are refused with 503. ${waits}`;
    case 'opted_out':
      return `Opted out${since} by ${facts.optedOutBy ?? 'a setting that the log names'}. Every event is discarded.`;
    case 'undecided':
      return `Undecided${since}: a file that may opt out cannot be read, and the log names it. Nothing is sent until it can be. ${waits}`;
    case 'paused':
      return `Paused${since}: ${causeWords(stats.notDelivering)}. Events are kept, and one at a time is tried. ${waits}`;
    case 'waiting':
      return hasHeldEvents(stats)
        ? `Waiting: the queue cannot be reached. ${waits}`
        : `Waiting${since}: ${causeWords(stats.notDelivering)}. ${waits}`;
    case 'delivering':
      return `Delivering${since}. ${waits}`;
    case 'idle':
      return stats.lastSentAtMs === undefined
        ? 'Idle: no event waits, and none has been sent since the start.'
        : `Idle: no event waits. The last one was sent at ${clockTime(stats.lastSentAtMs, nowMs)}.`;
    default:
      return '';
  }
}

function waitingWords({ pending, store: { oldestAgeMs } }: RelayStats): string {
  if (pending === 0) return 'No event waits.';
  const age = oldestAgeMs === undefined ? '' : `, the oldest for ${durationWords(oldestAgeMs)}`;
  return pending === 1 ? `1 event waits${age}.` : `${pending} events wait${age}.`;
}

/** Why an attempt failed, in words, by its cause or reason. */
const CAUSE_WORDS: ReadonlyMap<string, string> = new Map([
  ['no_address', 'the name of the endpoint has no address'],
  ['refused', 'the endpoint refuses connections'],
  ['unreachable', 'there is no route to the endpoint'],
  ['tls_untrusted', 'the certificate of the endpoint is not trusted'],
  ['tls', 'TLS with the endpoint fails'],
  ['proxy_auth', 'the proxy wants other credentials'],
  ['proxy_refused', 'the proxy does not connect'],
  ['proxy_invalid', 'the setting of the proxy is no URL'],
  ['slow', 'a step of the connection takes longer than it may'],
  ['no_descriptors', 'this process may open no more files'],
  ['reset', 'the connection to the endpoint was closed'],
  ['connect', 'no connection to the endpoint succeeds'],
  ['timeout', 'the endpoint does not answer in time'],
  ['network', 'the connection ended before the endpoint answered'],
  ['parse', 'the answer is no HTTP'],
  ['not_http', 'the answer is no HTTP'],
  ['redirect_refused', 'the answer is a redirect that is not followed'],
  ['transport_error', 'the transport failed unexpectedly'],
  ['load_failed', 'a file of this program cannot be loaded'],
]);

/** Whether there are words for a cause. */
export function isCauseKnown(cause: string): boolean {
  return CAUSE_WORDS.has(cause) || /^http_\d+$/.test(cause);
}

/** Why an attempt failed, in words, with its cause. */
export function causeWords(cause: string | undefined): string {
  if (cause === undefined) return 'the last attempt failed';
  const { 1: status } = /^http_(\d+)$/.exec(cause) ?? [];
  const words = status === undefined ? (CAUSE_WORDS.get(cause) ?? 'the last attempt failed') : `the endpoint answers with status ${status}`;
  return `${words} (${cause})`;
}

function warningsOf(state: RelayState, facts: StatusFacts): string[] {
  const { stats, delivery, notReady, maxAgeMs, nowMs } = facts;
  const { oldestAgeMs } = stats.store;
  const warnings: string[] = [];
  // There is no store then.
  if (state !== 'opted_out' && state !== 'starting') warnings.push(...storeWarnings(facts));
  if (notReady === 'spool_full') warnings.push('The store is full: new events are refused with 503.');
  if (oldestAgeMs !== undefined && oldestAgeMs > maxAgeMs * NEARLY_FULL)
    warnings.push(`The oldest event has waited for ${durationWords(oldestAgeMs)}. It is dropped after ${durationWords(maxAgeMs)}.`);
  if (!facts.hasFreeDescriptor) warnings.push('This process may open no more files: nothing can be sent.');
  if (state === 'idle' && stats.notDelivering !== undefined && delivery?.lastFailure !== undefined)
    warnings.push(`The last attempt failed at ${clockTime(delivery.lastFailure.atMs, nowMs)}: ${causeWords(stats.notDelivering)}.`);
  return warnings;
}

function storeWarnings({ spoolKind, stats: { store } }: StatusFacts): string[] {
  const { bytes, maxBytes, isDurable, queue } = store;
  const warnings: string[] = [];
  if (spoolKind === 'memory') warnings.push('Events are in memory only: there is no spool, and a crash loses them.');
  else if (queue?.isReachable === false) warnings.push('The queue cannot be reached: new events are in memory only.');
  else if (queue !== undefined && !isDurable) warnings.push('The queue confirms an event before it is on disk.');
  else if (!isDurable) warnings.push('The spool cannot be used: new events are in memory only. The log says why.');
  if (maxBytes !== undefined && bytes > maxBytes * NEARLY_FULL)
    warnings.push(`The spool has ${Math.floor((bytes / maxBytes) * 100)}% of its limit. Once it is full, new events are refused with 503.`);
  return warnings;
}

/** A time of today as `14:02 UTC`, any other with its date. */
function clockTime(timeMs: number, nowMs: number): string {
  const { 0: day = '', 1: time = '' } = iso(timeMs).split('T');
  const minute = `${time.slice(0, 5)} UTC`;
  return iso(nowMs).startsWith(day) ? minute : `${day} ${minute}`;
}

function optionalIso(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : iso(timeMs);
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
