/** What is wrong with a packed text. */
export type TelemetryMetadataProblem = 'not_base64' | 'not_zlib' | 'too_large' | 'not_json' | 'not_object';

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

/** Something of an event that does not leave, by its name and never by its value. */
export interface Loss {
  /** What was wrong: the host's payload, the event that was made of it, or the DAG's metadata. */
  readonly from: 'payload' | 'event' | 'metadata';
  /** The property of the payload, or the field; empty where it is the metadata as a whole. */
  readonly name: string;
  readonly why: LossReason;
}

/**
 * Why something does not leave.
 *
 * - `undeclared`: the event has no such field. `ill_typed`: it has, and the value is not of its kind.
 * - `unusable`: nothing that any field could hold, such as a list, or a text that is far too long.
 * - `taken`: the metadata may not say what the event says itself.
 * - all others: the metadata as a whole cannot be read.
 */
export type LossReason = 'undeclared' | 'ill_typed' | 'unusable' | 'taken' | 'not_text' | TelemetryMetadataProblem;

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
  readonly #observe: ((loss: Loss) => void) | undefined;

  /** @param observe Is told by name what the accounts only count: for a person who looks. It must not throw. */
  constructor(observe?: (loss: Loss) => void) {
    this.#observe = observe;
  }

  /** Counts one field, and tells whoever looks. */
  loseField(from: Loss['from'], name: string, why: LossReason): void {
    this.fieldsDropped += 1;
    this.notice(from, name, why);
  }

  /** Tells whoever looks; whoever calls counts. What packed metadata loses is told once for each text, when it is unpacked. */
  notice(from: Loss['from'], name: string, why: LossReason): void {
    this.#observe?.({ from, name, why });
  }

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
