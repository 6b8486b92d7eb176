import type { Clock } from '../../timing.js';
import type { SendOutcome } from '../transport.js';
import { retryAfterMs } from './retry-after.js';

/** Answers that say "not now": whoever sends them has not counted the event, so another attempt counts nothing twice. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The headers of an answer. */
export interface AnswerHeaders {
  get(name: string): string | null;
}

/** The one good outcome; shared, since it carries nothing. */
export const SENT: SendOutcome = { kind: 'sent' };

/**
 * What an answer means for the event, from its status alone and, where the endpoint asks for a pause, its `Retry-After`.
 * A pause of nothing is no pause: the outcome is `retryable` then.
 *
 * @param status the status of an answer that is no redirect
 * @param headers where `Retry-After` may stand
 * @param clock what a date in it is measured against
 */
export function statusOutcome(status: number, headers: AnswerHeaders, clock: Pick<Clock, 'wallNow'>): SendOutcome {
  if (status >= 200 && status < 300) return SENT;
  const reason = `http_${status}`;
  if (!RETRYABLE_STATUSES.has(status)) return { kind: 'rejected', reason };
  const waitMs = retryAfterMs(headers.get('retry-after'), clock.wallNow());
  return waitMs === undefined || waitMs === 0 ? { kind: 'retryable', reason } : { kind: 'deferred', waitMs, reason };
}
