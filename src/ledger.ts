/** What became of every event, at one instant: `published = sent + failed + dropped + pending`. */
export interface TelemetryStats {
  /** Events that publish() was asked to take while telemetry was on. */
  published: number;
  /** Events that the endpoint has confirmed. */
  sent: number;
  /** Events that were handed to the network and did not arrive for certain. */
  failed: number;
  /** Events that were never handed to the network. */
  dropped: number;
  /** Events that wait or are under way. */
  pending: number;
  /** Failed and dropped events by reason. */
  reasons: Readonly<Record<string, number>>;
  /** Fields that were undeclared or of another type and so did not leave; their events went without them. */
  fieldsDropped: number;
  /** Packed metadata that could not be read; their events went without it. */
  metadataUnreadable: number;
}

/** A transport that invents a reason for each event must not grow the accounts for ever: the rest counts as `other`. */
const MAX_REASONS = 100;

/**
 * The accounts. `pending` is not kept here: whoever holds the events counts them, so that the sum is a check and not a
 * definition.
 */
export class Ledger {
  published = 0;
  sent = 0;
  fieldsDropped = 0;
  metadataUnreadable = 0;
  #failed = 0;
  #dropped = 0;
  readonly #reasons = new Map<string, number>();

  /** An event that was asked for and not taken. */
  refuse(reason: string): void {
    this.published += 1;
    this.drop(reason, 1);
  }

  /** Events that were taken and never handed to the network. */
  drop(reason: string, events: number): void {
    this.#dropped += events;
    this.#count(reason, events);
  }

  /** Events that were handed to the network and did not arrive for certain. */
  fail(reason: string, events: number): void {
    this.#failed += events;
    this.#count(reason, events);
  }

  /** A copy that later events do not change. */
  snapshot(pending: number): TelemetryStats {
    const { published, sent, fieldsDropped, metadataUnreadable } = this;
    return {
      published,
      sent,
      failed: this.#failed,
      dropped: this.#dropped,
      pending,
      reasons: Object.fromEntries(this.#reasons),
      fieldsDropped,
      metadataUnreadable,
    };
  }

  #count(reason: string, events: number): void {
    if (events === 0) return;
    const known = this.#reasons.has(reason) || this.#reasons.size < MAX_REASONS ? reason : 'other';
    this.#reasons.set(known, (this.#reasons.get(known) ?? 0) + events);
  }
}
