/** Exponential backoff with full jitter: how long to wait after failures, and the transport decorator that waits. */
import type { Clock } from '../base/clock.js';
import { decorate } from '../delivery/transport.js';
import type { Transport } from '../delivery/transport.js';

/** The times of a backoff. */
export interface BackoffOptions {
  /** The upper bound of the first wait, in milliseconds. It doubles with each failure. */
  backoffMs: number;
  /** The upper bound of every wait, in milliseconds. */
  maxBackoffMs: number;
  clock: Pick<Clock, 'now'>;
  /** From 0 up to 1. */
  random: () => number;
}

/** After this many doublings every wait exceeds the largest `maxBackoffMs`. */
const MAX_DOUBLINGS = 40;

/** A random wait after that many failures in a row, from 0 to `backoffMs * 2 ** (failures - 1)`, so that relays do not return in step. */
export function backoffWaitMs(failures: number, { backoffMs, maxBackoffMs, random }: Omit<BackoffOptions, 'clock'>): number {
  return random() * Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
}

/**
 * A `retryable` outcome becomes `deferred` by {@link backoffWaitMs}, without a last attempt: the event goes back to the store.
 *
 * Attempts that were in flight together count as one failure.
 */
export function backoff(inner: Transport, options: BackoffOptions): Transport {
  const { clock } = options;
  let failures = 0;
  let lastFailureAtMs = -Infinity;
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    const outcome = await inner.send(events, signal);
    if (outcome.kind === 'sent') failures = 0;
    if (outcome.kind !== 'retryable') return outcome;
    if (startedAtMs >= lastFailureAtMs) failures += 1;
    lastFailureAtMs = clock.now();
    return { kind: 'deferred', waitMs: backoffWaitMs(failures, options), reason: outcome.reason };
  });
}
