// The event bus: publishers hand events in, the delivery takes them over, subscribers observe them.
import { EventEmitter } from 'eventemitter3';
import { describe } from '../base/describe.js';
import { ignoreRejection, onRejection } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import { MAX_PACKED_LENGTH } from '../events/metadata.js';
import type { DeclaredEvent, EventDefinitions, EventMetrics, StandardMetrics } from '../events/product-events.js';
import type { Gate } from '../opt-out/gate.js';
import type { UsageMetrics } from '../wire/python.js';

/** The event bus of a product, typed by its declared events. */
export interface TelemetryBus<P extends string = string, E extends readonly EventDefinition[] = [], B = StandardMetrics<P>> {
  /**
   * Subscribes to one event type. The metrics are frozen. A subscriber that throws or rejects affects neither the publisher nor
   * other subscribers.
   *
   * @returns A function that ends the subscription.
   * @throws TypeError for a type that is not declared, or a listener that is not a function.
   */
  on<T extends keyof EventMetrics<P, E, B> & string>(
    type: T,
    listener: (metrics: EventMetrics<P, E, B>[T], packedMetadata: string | undefined) => unknown,
  ): () => void;
  /**
   * Publishes an event of a declared type. It copies the metrics, never throws and never waits.
   *
   * @param packedMetadata Metadata of the DAG, packed by `compressTelemetryMetadata`. It is unpacked when the event is sent.
   * @returns Whether the event was accepted. It is also accepted, and waits, while it is unknown whether a file opts out. A refused event
   * is counted as `closed` or `invalid`; after an opt-out it is not counted.
   */
  publish<T extends keyof EventMetrics<P, E, B> & string>(type: T, metrics: EventMetrics<P, E, B>[T], packedMetadata?: string): boolean;
}

/** The subscriber that takes over all events and counts them. It must not throw. @internal */
export type EventConsumer = (metrics: UsageMetrics, packed: string | undefined, definition: DeclaredEvent) => void;

/** What a bus needs. @internal */
interface EventBusOptions {
  definitions: EventDefinitions;
  gate: Gate;
  ledger: Ledger;
  log: Log;
}

/**
 * How deeply subscribers may publish inside each other. Without a limit, a subscriber that answers each event with another would
 * overflow the stack, possibly in the middle of an account.
 */
const MAX_DEPTH = 8;

/**
 * The bus without types of events. It wraps eventemitter3, whose `emit` stops at the first listener that throws and leaves a
 * rejected promise unhandled.
 *
 * @internal
 */
export class EventBus {
  readonly #events = new EventEmitter<string>();
  readonly #definitions: EventDefinitions;
  readonly #gate: Gate;
  readonly #ledger: Ledger;
  readonly #log: Log;
  #last: DeclaredEvent | undefined;
  #observers = 0;
  #depth = 0;
  #closed = false;

  constructor({ definitions, gate, ledger, log }: EventBusOptions) {
    this.#definitions = definitions;
    this.#gate = gate;
    this.#ledger = ledger;
    this.#log = log;
  }

  /** Attaches the consumer to every declared type. Call it before `on`, so that observers see accounts that add up. */
  attach(consumer: EventConsumer): void {
    for (const type of this.#definitions.keys()) this.#events.on(type, consumer);
  }

  on(type: string, listener: (metrics: never, packedMetadata: string | undefined) => unknown): () => void {
    if (!this.#definitions.has(type)) throw new TypeError(`Expected a declared event type, got ${describe(type)}.`);
    if (typeof listener !== 'function') throw new TypeError(`Expected \`listener\` to be a function, got ${describe(listener)}.`);
    const observer = this.#isolated(listener as (metrics: UsageMetrics, packed: string | undefined) => unknown);
    this.#events.on(type, observer);
    this.#observers += 1;
    let subscribed = true;
    return () => {
      if (!subscribed) return;
      subscribed = false;
      this.#observers -= 1;
      this.#events.off(type, observer);
    };
  }

  publish(type: string, metrics: object, packedMetadata?: string): boolean {
    if (!this.#gate.accepts()) return false;
    const definition = this.#accepting(type);
    if (definition === undefined) return false;
    const snapshot = plainCopy(metrics, definition.fields, this.#ledger);
    if (snapshot === undefined) return this.#refuse('invalid');
    return this.#emit(definition, snapshot, this.#readablePacked(packedMetadata));
  }

  /** `publish` for a listener that has asked the gate and hands over a snapshot that it made: nothing is copied or checked. */
  publishOwned(type: string, snapshot: UsageMetrics, packed: string | undefined): boolean {
    const definition = this.#accepting(type);
    if (definition === undefined) return false;
    return this.#emit(definition, snapshot, this.#readablePacked(packed));
  }

  /** Refuses all further events as `closed`. */
  close(): void {
    this.#closed = true;
    this.#last = undefined;
  }

  #accepting(type: string): DeclaredEvent | undefined {
    // Most events have the type of the event before, and the look-up in the map is a tenth of the cost of `publish`.
    const last = this.#last;
    if (last !== undefined && type === last.type) return last;
    const definition = this.#closed ? undefined : this.#definitions.get(type);
    if (definition === undefined) {
      this.#refuse(this.#closed ? 'closed' : 'invalid');
      return undefined;
    }
    this.#last = definition;
    return definition;
  }

  #refuse(reason: string): false {
    this.#ledger.refuse(reason);
    this.#log.debug(reason, 'an event was not accepted');
    return false;
  }

  #emit(definition: DeclaredEvent, snapshot: UsageMetrics, packed: string | undefined): boolean {
    if (this.#depth === MAX_DEPTH) return this.#refuse('invalid');
    // Only for observers: freezing costs ten times as much as the rest.
    if (this.#observers > 0) snapshot = Object.freeze(withoutUndefined(snapshot));
    this.#depth += 1;
    try {
      this.#events.emit(definition.type, snapshot, packed, definition);
    } finally {
      this.#depth -= 1;
    }
    return true;
  }

  #readablePacked(packed: unknown): string | undefined {
    if (packed === undefined) return undefined;
    if (typeof packed === 'string' && packed.length <= MAX_PACKED_LENGTH) return packed;
    this.#ledger.metadataUnreadable += 1;
    this.#ledger.notice('metadata', '', typeof packed === 'string' ? 'too_large' : 'not_text');
    return undefined;
  }

  #isolated(listener: (metrics: UsageMetrics, packed: string | undefined) => unknown) {
    const failed = () => {
      this.#log.warn('subscriber_failed', 'a subscriber of the bus threw or rejected');
    };
    return (metrics: UsageMetrics, packed: string | undefined): void => {
      try {
        onRejection(listener(metrics, packed), failed);
      } catch {
        failed();
      }
    };
  }
}

/** No event declares as many fields. From a copy with more names the undeclared ones are removed before it waits. */
const MAX_NAMES = 64;

/**
 * A shallow copy without values that no field accepts: they would hold memory while the event waits, and a rejected promise among
 * them would end the process. It runs for each `publish`, on the host's path.
 *
 * @returns undefined for metrics that are not a plain object or throw when they are read.
 */
function plainCopy(metrics: object, fields: Fields, ledger: Ledger): UsageMetrics | undefined {
  let copy: UsageMetrics;
  try {
    if (typeof metrics !== 'object' || metrics === null || Array.isArray(metrics) || ArrayBuffer.isView(metrics)) return undefined;
    copy = { ...(metrics as UsageMetrics) };
  } catch {
    // A getter that throws, or a revoked proxy, for which even `isArray` throws.
    return undefined;
  }
  let names = 0;
  for (const name in copy) {
    names += 1;
    if (isPlain(copy[name])) continue;
    ignoreRejection(copy[name]);
    remove(copy, name, ledger);
  }
  // It is cheaper to keep a few undeclared names until the event is built than to look for them in each event.
  if (names > MAX_NAMES) for (const name of Object.keys(copy)) if (!Object.hasOwn(fields, name)) remove(copy, name, ledger);
  return copy;
}

function isPlain(value: unknown): boolean {
  // The cheapest tests come first: this runs for each field of each event.
  if (value === true || value === false || value === null) return true;
  if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH;
  return typeof value === 'number' || value === undefined;
}

function remove(copy: UsageMetrics, name: string, ledger: Ledger): void {
  // A name that the copy does not own comes from an Object.prototype that the host has extended.
  if (!Object.hasOwn(copy, name)) return;
  if (copy[name] !== undefined) ledger.loseField('event', name, 'unusable');
  delete copy[name];
}

/** Deletes the names without a value: to an observer, a field that is not sent does not exist. */
function withoutUndefined(snapshot: UsageMetrics): UsageMetrics {
  const values: Record<string, unknown> = snapshot;
  for (const name of Object.keys(values)) if (values[name] === undefined) delete values[name];
  return snapshot;
}
