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
 * a body the status decides, and a 207 says nothing. Nor does a 207 whose errors name none of the events: one of them was refused.
 */
export function partialOutcome({ byStatus, status, received, answer, events, clock }: PartialAnswer): SendOutcome {
  if (byStatus.kind !== 'sent') return byStatus;
  const errors = answer && errorsOf(answer);
  if (errors?.isEmpty === true) return SENT;
  if (errors === undefined || !events.some(({ id }) => errors.has(id))) return status === MULTI_STATUS ? UNKNOWN : SENT;
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

/** The statuses by id, null for an event with several. Receivers that keep ids as UUIDs may write them in upper case. */
class Errors {
  /** Whether the list has no entry at all. */
  readonly isEmpty: boolean;
  readonly #statuses = new Map<string, number | null>();

  constructor(entries: readonly unknown[]) {
    this.isEmpty = entries.length === 0;
    for (const entry of entries) {
      const of = Object(entry) as { id?: unknown; status?: unknown };
      const id = given(of, 'id');
      if (typeof id !== 'string') continue;
      const status = given(of, 'status');
      const code = typeof status === 'number' || typeof status === 'string' ? Number(status) : NaN;
      const before = this.get(id);
      this.#statuses.set(id.toLowerCase(), before === undefined || Object.is(before, code) ? code : null);
    }
  }

  has(id: string): boolean {
    return this.get(id) !== undefined;
  }

  get(id: string): number | null | undefined {
    return this.#statuses.get(id.toLowerCase());
  }
}

/** What the body names; undefined if it is none of ours. A page of a framework may begin with space, or with a byte order mark. */
function errorsOf(answer: readonly Uint8Array[]): Errors | undefined {
  try {
    const parsed: unknown = JSON.parse(
      Buffer.concat(answer)
        .toString()
        .replace(/^\uFEFF/, ''),
    );
    const errors = given(Object(parsed) as { errors?: unknown }, 'errors');
    return Array.isArray(errors) ? new Errors(errors) : undefined;
  } catch {
    return undefined;
  }
}
