import type { UsageMetrics } from '../wire/python.js';

/**
 * One usage event as a transport sees it: declared fields only, metadata already unpacked and merged.
 */
export interface UsageEvent {
  /** Unique within the process and stable across attempts. Never part of the request: the wire has no ids. */
  readonly id: string;
  /** The event type, for example `dag_run`. */
  readonly type: string;
  /** Standard metrics, the event's own fields, its metadata: in the order in which they leave. */
  readonly metrics: Readonly<UsageMetrics>;
  /**
   * `/v3/{type}?{query}`, encoded on demand, to be appended to the endpoint. Ask the event and do not encode `metrics`
   * yourself: only the event knows which numbers are durations (`7.0`) and which are counts (`7`).
   */
  requestTarget(): string;
}

/**
 * What became of one `send()`. A reason is a code of `^[a-z0-9_]{1,40}$`, never a library's error text.
 *
 * - `sent`: the endpoint has it.
 * - `retryable`: not delivered for certain, and worth another attempt (`connect`, `http_503`).
 * - `rejected`: tried and over; counted as failed. Also whatever ended unknown (a timeout, a reset after writing): the wire
 *   has no ids, and a number counted twice is worse than one lost.
 * - `refused`: never tried; counted as dropped (`too_large`).
 * - `deferred`: not now. The events go back to the head of the buffer and the emitter as a whole pauses for `waitMs`.
 * - `aborted`: ended by the signal.
 */
export type SendOutcome =
  | { kind: 'sent' }
  | { kind: 'retryable'; reason: string }
  | { kind: 'rejected'; reason: string }
  | { kind: 'refused'; reason: string }
  | { kind: 'deferred'; waitMs: number; reason: string }
  | { kind: 'aborted' };

/**
 * The one extension point of delivery. Everything that delivers is a transport or a decorator of one.
 */
export interface Transport {
  /** How many events one `send()` takes. @default 1 */
  readonly maxBatchSize?: number;
  /**
   * Delivers the events and says what became of them, all of them together. Outcomes are data: a transport that throws or
   * rejects is counted as `transport_error`, one that has not settled after
   * `(retries + 1) * attemptTimeoutMs + retries * 5 s + 1 s` (14 s by default) loses its slot and counts as `timeout`.
   */
  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome>;
  /** Frees sockets and timers. Called once, after the last `send()`. */
  close?(): void | Promise<void>;
  /**
   * Internal, for decorators that wait: while true, nothing may wait for a better moment, since the process is about to
   * leave. `retrying` then ends a backoff at once with one final attempt, and begins no other.
   * @internal
   */
  [lastCall]?(active: boolean): void;
}

/**
 * Key of the internal method by which the emitter tells decorators that the host is leaving. A registered symbol: each entry point
 * of the package is a bundle of its own, and what one of them decorates another one may drive.
 *
 * @internal
 */
export const lastCall: unique symbol = Symbol.for('cosmos-telemetry.lastCall');

/** What a reason code must look like, in outcomes and in reports. */
export const REASON_PATTERN = /^[a-z0-9_]{1,40}$/;

/** Reason of an attempt that never reached a server: the only one that says "the network is not there". */
export const CONNECT_REASON = 'connect';

/** What an attempt is called that ended in an exception, or in something that is no outcome: the transport has a bug. */
export const TRANSPORT_ERROR: SendOutcome = { kind: 'rejected', reason: 'transport_error' };

/**
 * One attempt by the inner transport, as data: never rejects. A transport that throws because of the signal was aborted, as
 * anybody's `fetch(url, { signal })` is; any other exception is `transport_error`. Nothing is tried once the signal fired.
 */
export function attempt(inner: Transport, events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
  return new Promise((resolve) => {
    attemptThen(inner, events, signal, resolve);
  });
}

/**
 * The same for who needs no promise of its own: each costs an event something on its way.
 *
 * @param done called once. It must not throw: nobody is left to hear of it.
 */
export function attemptThen(
  inner: Transport,
  events: readonly UsageEvent[],
  signal: AbortSignal,
  done: (outcome: SendOutcome) => void,
): void {
  if (signal.aborted) return done({ kind: 'aborted' });
  let isOver = false;
  const failed = (): void => {
    if (isOver) return;
    isOver = true;
    done(signal.aborted ? { kind: 'aborted' } : TRANSPORT_ERROR);
  };
  const answered = (value: unknown): void => {
    let outcome: SendOutcome;
    try {
      outcome = outcomeOf(value);
    } catch {
      return failed();
    }
    // A promise may bring a `then` of its own, and answer more than once: a retry for each answer would send an event twice.
    if (isOver) return;
    isOver = true;
    done(outcome);
  };
  try {
    Promise.resolve(inner.send(events, signal)).then(answered, failed);
  } catch {
    failed();
  }
}

/**
 * A transport around another: `send` is the decorator's own, all else goes through to the inner one.
 *
 * @param onLastCall told of the last call before the inner transport is.
 */
export function decorate(inner: Transport, send: Transport['send'], onLastCall?: (active: boolean) => void): Transport {
  return {
    // Absent and undefined differ for readers that ask with `in`; the default of a transport without it stays the default.
    ...(inner.maxBatchSize === undefined ? {} : { maxBatchSize: inner.maxBatchSize }),
    send,
    close: () => inner.close?.(),
    [lastCall](active) {
      onLastCall?.(active);
      inner[lastCall]?.(active);
    },
  };
}

/**
 * An outcome of `send()`, copied, or the transport's fault. A transport may be plain JavaScript, where nothing keeps it from
 * answering with nothing, with an error's text (and a URL in it) for a reason, or with something that changes its mind later.
 */
export function outcomeOf(value: unknown): SendOutcome {
  const { kind, reason, waitMs } = Object(value) as { kind?: unknown; reason?: unknown; waitMs?: unknown };
  switch (kind) {
    case 'sent':
    case 'aborted':
      return { kind };
    case 'retryable':
    case 'rejected':
    case 'refused':
      return isReason(reason) ? { kind, reason } : TRANSPORT_ERROR;
    case 'deferred':
      return isReason(reason) && typeof waitMs === 'number' && Number.isFinite(waitMs) ? { kind, waitMs, reason } : TRANSPORT_ERROR;
    default:
      return TRANSPORT_ERROR;
  }
}

function isReason(reason: unknown): reason is string {
  return typeof reason === 'string' && REASON_PATTERN.test(reason);
}
