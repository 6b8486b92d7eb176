// The accounts of the events: how many were published, sent, failed and dropped, and why.
import type { Channels } from './channels.js';

/**
 * What became of the events, at one instant: `published = sent + failed + dropped + pending`.
 *
 * @example
 * const lost = ({ failed, dropped }: TelemetryStats) => failed + dropped;
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * console.log(lost(telemetry.stats())); // 0
 */
export interface TelemetryStats {
  /** Events that were passed to `publish()` while telemetry was on. */
  published: number;
  /** Events that the endpoint has confirmed, and those in `handedOver`. */
  sent: number;
  /** Of those in `sent`, the events that a pipe or a queue took over: whether they arrive is not known. See `SendOutcome`. */
  handedOver: number;
  /** Events that were handed to the network and are not confirmed. */
  failed: number;
  /** Events that were never handed to the network. */
  dropped: number;
  /** Events that wait or are in flight, and events of a host whose async `map` function has not answered. */
  pending: number;
  /** Failed and dropped events by reason. */
  reasons: Readonly<Record<string, number>>;
  /** Fields that were undeclared or of another type. Their events were sent without them. */
  fieldsDropped: number;
  /** Packed metadata that could not be read. Their events were sent without it. */
  metadataUnreadable: number;
}

/** A part of an event that is not sent. It has a name, and never a value. */
export interface Loss {
  /** Where it was found: in the host's payload, the event made from it, the metadata of the DAG, or what a `map` or report says. */
  readonly from: 'payload' | 'event' | 'metadata' | 'host';
  /** The property of the payload, the field, or the unknown name of a host event; empty for the whole. */
  readonly name: string;
  readonly why: LossReason;
  /** The event type, where it is known. Without a name the event as a whole is lost: its type is not declared, or it has no fields. */
  readonly type?: string;
  /** The host's own name of its event, or the method of the client, where it is known. */
  readonly of?: string;
  /** The name that was probably meant. */
  readonly like?: string;
}

/**
 * Why a part of an event is not sent.
 *
 * - `undeclared`: the event has no such field.
 * - `ill_typed`: the value is not of the kind of its field.
 * - `unusable`: no field could hold the value, for example a list or a text that is too long.
 * - `taken`: a field of the metadata has the name of a field of the event.
 * - `missing`: a required field has no value, or a payload lacks what its event needs.
 * - `misspelt`: a payload has a name that is not read, and that is like one that is.
 * - `threw`, `rejected`: a `map` function did.
 * - all others: the metadata as a whole cannot be read.
 */
export type LossReason =
  | 'undeclared'
  | 'ill_typed'
  | 'unusable'
  | 'taken'
  | 'missing'
  | 'misspelt'
  | 'threw'
  | 'rejected'
  | 'not_text'
  | TelemetryMetadataProblem;

/**
 * Why metadata cannot be packed or unpacked.
 *
 * @example
 * const problem: TelemetryMetadataProblem = 'too_large';
 */
export type TelemetryMetadataProblem = 'not_base64' | 'not_zlib' | 'too_large' | 'not_json' | 'not_object';

/** An event whose type a channel tells. */
interface TypedEvent {
  readonly definition: { readonly type: string };
}

/** Bounds the memory if a transport invents a reason for each event: further reasons count as `other`. */
const MAX_REASONS = 100;

/**
 * Counts the events. It does not count `pending`: the owner of the pending events does, so that the sum of the accounts is a check
 * and not a definition.
 */
export class Ledger {
  published = 0;
  sent = 0;
  handedOver = 0;
  fieldsDropped = 0;
  metadataUnreadable = 0;
  /** Host events whose `map` function has not answered: each counts as published and pending. */
  lookingUp = 0;
  /** Undefined if nobody can subscribe. */
  readonly channels: Channels | undefined;
  #failed = 0;
  #dropped = 0;
  readonly #reasons = new Map<string, number>();
  readonly #observe: ((loss: Loss) => void) | undefined;

  /** @param observe Called for each loss, for what shows losses by name. It must not throw. */
  constructor(observe?: (loss: Loss) => void, channels?: Channels) {
    this.#observe = observe;
    this.channels = channels;
  }

  /** Counts a field that is not sent, and tells the observer. */
  loseField(from: Loss['from'], name: string, why: LossReason, type?: string): void {
    this.fieldsDropped += 1;
    this.notice(from, name, why, type);
  }

  /** Whether losses are observed: what is only told and not counted need not be looked for otherwise. */
  get isObserved(): boolean {
    return this.#observe !== undefined;
  }

  /**
   * Tells the observer and counts nothing. A packed text is unpacked once, so its losses are reported once; the caller counts them
   * for each event.
   */
  notice(from: Loss['from'], name: string, why: LossReason, type?: string, more?: Pick<Loss, 'of' | 'like'>): void {
    this.#observe?.({ from, name, why, ...(type !== undefined && { type }), ...more });
  }

  /** Counts an event that was published and not accepted. @param type Empty if it is not declared. */
  refuse(reason: string, type = ''): void {
    this.published += 1;
    if (this.channels?.published.hasSubscribers === true) this.channels.tell('published', type);
    this.drop(reason, 1, [{ definition: { type } }]);
  }

  /** Counts events that the endpoint has confirmed. @param isHandedOver Whether they were only taken over. */
  confirm(taken: readonly TypedEvent[], isHandedOver = false): void {
    this.sent += taken.length;
    if (isHandedOver) this.handedOver += taken.length;
    if (this.channels?.sent.hasSubscribers === true) for (const { definition } of taken) this.channels.tell('sent', definition.type);
  }

  /**
   * Counts events that were accepted and never handed to the network.
   *
   * @param of The events, read if somebody subscribes. @default the channel knows already
   */
  drop(reason: string, events: number, of: Iterable<TypedEvent> = []): void {
    this.#dropped += events;
    this.#count(reason, events);
    if (this.channels?.dropped.hasSubscribers === true)
      for (const { definition } of of) this.channels.tell('dropped', definition.type, reason);
  }

  /** Counts events that were handed to the network and are not confirmed. */
  fail(reason: string, events: number, of: Iterable<TypedEvent> = []): void {
    this.#failed += events;
    this.#count(reason, events);
    if (this.channels?.failed.hasSubscribers === true)
      for (const { definition } of of) this.channels.tell('failed', definition.type, reason);
  }

  /** A copy that does not change any more. */
  snapshot(pending: number): TelemetryStats {
    const { published, sent, handedOver, fieldsDropped, metadataUnreadable, lookingUp } = this;
    return {
      published: published + lookingUp,
      sent,
      handedOver,
      failed: this.#failed,
      dropped: this.#dropped,
      pending: pending + lookingUp,
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
