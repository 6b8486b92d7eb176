import { decorate } from '../delivery/decorated-transport.js';
import type { Transport } from '../delivery/transport.js';
import type { Clock } from '../timing.js';

/** How long it waits between attempts. */
export interface PatienceOptions {
  /** The longest first wait, in milliseconds. It doubles with each attempt that fails. */
  backoffMs: number;
  /** The longest wait of all, in milliseconds. */
  maxBackoffMs: number;
  clock: Pick<Clock, 'now'>;
  /** From 0 up to 1. */
  random: () => number;
}

/** Doubled so often, every wait is longer than any that is allowed. */
const MAX_DOUBLINGS = 40;

/**
 * Never gives an event up: what was not delivered for certain and is worth another attempt is `deferred`, by a wait that grows
 * with each failure and is drawn from its whole length (full jitter), so that relays do not come back in step.
 *
 * Attempts that were under way together fail together, and count as one failure.
 */
export function patient(inner: Transport, { backoffMs, maxBackoffMs, clock, random }: PatienceOptions): Transport {
  let failures = 0;
  let lastFailureAtMs = -Infinity;
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    const outcome = await inner.send(events, signal);
    if (outcome.kind === 'sent') failures = 0;
    if (outcome.kind !== 'retryable') return outcome;
    if (startedAtMs >= lastFailureAtMs) failures = Math.min(failures + 1, MAX_DOUBLINGS);
    lastFailureAtMs = clock.now();
    const longestMs = Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1));
    return { kind: 'deferred', waitMs: random() * longestMs, reason: outcome.reason };
  });
}

/** Times each attempt. */
export function timed(inner: Transport, clock: Pick<Clock, 'now'>, observe: (seconds: number) => void): Transport {
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    try {
      return await inner.send(events, signal);
    } finally {
      observe((clock.now() - startedAtMs) / 1000);
    }
  });
}
