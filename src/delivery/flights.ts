import type { TakenEvent } from './event-buffer.js';
import { REASON_PATTERN } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** Some events on their way through a transport. */
export interface Flight {
  readonly taken: readonly TakenEvent[];
  readonly startedAtMs: number;
  readonly controller: AbortController;
  /** Ends the wait for the transport, which may never answer. */
  release: (outcome: SendOutcome) => void;
}

/** What a transport gets that throws, rejects or answers with something else than an outcome. */
const TRANSPORT_ERROR: SendOutcome = { kind: 'rejected', reason: 'transport_error' };

/** Hands the events of a flight to the transport. Fulfils with the transport's outcome or with what the flight is released with. */
export function fly(flight: Flight, events: readonly UsageEvent[], transport: Transport): Promise<SendOutcome> {
  return new Promise((resolve) => {
    flight.release = resolve;
    const settle = (outcome: SendOutcome) => {
      resolve(isOutcome(outcome) ? outcome : TRANSPORT_ERROR);
    };
    const fail = () => {
      resolve(TRANSPORT_ERROR);
    };
    try {
      transport.send(events, flight.controller.signal).then(settle, fail);
    } catch {
      fail();
    }
  });
}

/** Transports may be anybody's, so their answers are looked at before they are counted. */
function isOutcome(value: unknown): value is SendOutcome {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, reason, waitMs } = value as { kind?: unknown; reason?: unknown; waitMs?: unknown };
  switch (kind) {
    case 'sent':
    case 'aborted':
      return true;
    case 'retryable':
    case 'rejected':
    case 'refused':
      return isReason(reason);
    case 'deferred':
      return isReason(reason) && typeof waitMs === 'number' && waitMs >= 0;
    default:
      return false;
  }
}

function isReason(reason: unknown): boolean {
  return typeof reason === 'string' && REASON_PATTERN.test(reason);
}
