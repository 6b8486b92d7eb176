/* What the answer to a POST of lines says of each event. */
import type { Clock } from '../../base/clock.js';
import { given } from '../../base/foreign-values.js';
import { statusOutcome } from '../http/responses.js';
import type { ResponseHeaders } from '../http/responses.js';
import type { EventOutcome, SendOutcome, UsageEvent } from '../transport.js';

/** An answer, and what was posted. */
interface PartialAnswer {
  /** The outcome by the status alone. */
  readonly byStatus: SendOutcome;
  readonly status: number;
  readonly received: ResponseHeaders;
  /** The body; undefined if it is not whole. */
  readonly answer: readonly Uint8Array[] | undefined;
  readonly events: readonly UsageEvent[];
  readonly clock: Pick<Clock, 'wallNow'>;
}

const MULTI_STATUS = 207;

/** The result is not known, and to send again is safe. */
const UNKNOWN: EventOutcome = { kind: 'retryable', reason: 'http_207' };
const CONTRADICTED: EventOutcome = { kind: 'retryable', reason: 'contradicted' };
const SENT: EventOutcome = { kind: 'sent' };

/**
 * The outcome of each event by a body `{"errors":[{"id":"...","status":400}]}`: an event that it does not name was accepted. Ids of other
 * events are ignored, and an entry without a status says `rejected`. Two statuses of one event say nothing: it is tried again. Without such
 * a body the status decides, and a 207 says nothing.
 */
export function partialOutcome({ byStatus, status, received, answer, events, clock }: PartialAnswer): SendOutcome {
  if (byStatus.kind !== 'sent') return byStatus;
  const errors = answer && errorsOf(answer);
  if (errors === undefined) return status === MULTI_STATUS ? UNKNOWN : SENT;
  if (errors.size === 0) return SENT;
  const outcomes = events.map(({ id }) => {
    const code = errors.get(id);
    if (code === undefined) return SENT;
    if (code === null) return CONTRADICTED;
    return Number.isInteger(code) && code >= 100 && code <= 599
      ? (statusOutcome(code, received, clock) as EventOutcome)
      : ({ kind: 'rejected', reason: 'not_accepted' } as const);
  });
  return outcomes.every(({ kind }) => kind === 'sent') ? SENT : { kind: 'partial', outcomes };
}

const OPENING_BRACE = 0x7b;

/** The statuses by id, null for one with several; undefined if the body is none of ours. */
function errorsOf(answer: readonly Uint8Array[]): Map<string, number | null> | undefined {
  if (answer[0]?.[0] !== OPENING_BRACE) return undefined;
  try {
    const parsed = JSON.parse(Buffer.concat(answer).toString()) as { errors?: unknown };
    const errors = given(parsed, 'errors');
    if (!Array.isArray(errors)) return undefined;
    const found = new Map<string, number | null>();
    for (const entry of errors as unknown[]) {
      const { id, status } = Object(entry) as { id?: unknown; status?: unknown };
      if (typeof id !== 'string') continue;
      const code = typeof status === 'number' ? status : NaN;
      found.set(id, !found.has(id) || Object.is(found.get(id), code) ? code : null);
    }
    return found;
  } catch {
    return undefined;
  }
}
