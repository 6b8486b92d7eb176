import { EventEmitter } from 'eventemitter3';
import { describe } from '../base/describe.js';
import { ignoreRejection, onRejection } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import { MAX_PACKED_LENGTH } from '../events/metadata.js';
import type { EventDefinitions, EventMetrics } from '../events/product-events.js';
import type { Gate } from '../opt-out/gate.js';
import type { UsageMetrics } from '../wire/python.js';

/** No event declares as many fields; one with more names is rid of the undeclared ones before it waits. */
const MAX_NAMES = 64;

/**
 * A shallow copy without what could never leave but would hold memory while the event waits, or end the process as a rejection
 * that nobody sees to. It runs on the host's path, for each publish.
 *
 * @returns undefined for metrics that are no plain object, or that cannot be looked at.
 */
export function plainCopy(metrics: object, fields: Fields, ledger: Ledger): UsageMetrics | undefined {
  let copy: UsageMetrics;
  try {
    if (typeof metrics !== 'object' || metrics === null || Array.isArray(metrics) || ArrayBuffer.isView(metrics)) return undefined;
    copy = { ...(metrics as UsageMetrics) };
  } catch {
    // A getter that throws, or a revoked proxy, of which not even `isArray` can be asked.
    return undefined;
  }
  let names = 0;
  for (const name in copy) {
    names += 1;
    if (isPlain(copy[name])) continue;
    ignoreRejection(copy[name]);
    remove(copy, name, ledger);
  }
  // Few undeclared names cost less to keep until the event is built than to look for in each event.
  if (names > MAX_NAMES) for (const name of Object.keys(copy)) if (!Object.hasOwn(fields, name)) remove(copy, name, ledger);
  return copy;
}

/** A field that does not leave is not there, for whoever looks. */
export function withoutBlanks(snapshot: UsageMetrics): UsageMetrics {
  const values: Record<string, unknown> = snapshot;
  for (const name of Object.keys(values)) if (values[name] === undefined) delete values[name];
  return snapshot;
}

function remove(copy: UsageMetrics, name: string, ledger: Ledger): void {
  // A name that is not the copy's own stands in a prototype that somebody in the host has extended.
  if (!Object.hasOwn(copy, name)) return;
  if (copy[name] !== undefined) ledger.loseField('event', name, 'unusable');
  delete copy[name];
}

function isPlain(value: unknown): boolean {
  // First what is told by a glance at the value itself: this is asked of each field of each event.
  if (value === true || value === false || value === null) return true;
  if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH;
  return typeof value === 'number' || value === undefined;
}

/**
 * How deep subscribers may publish from within each other. One that answers each event with another would otherwise go on until
 * the stack is full, and a stack that ends anywhere ends in the middle of an account, too.
 */
const MAX_DEPTH = 8;

/** The typed event bus between whoever observes and whoever delivers. */
export interface TelemetryBus<P extends string = string, E extends readonly EventDefinition[] = []> {
  /**
   * Subscribes to one event type. The metrics are frozen. A subscriber that throws or rejects harms neither the publisher nor
   * the next subscriber.
   *
   * @returns A function that ends the subscription.
   * @throws TypeError for a type that is not declared or a listener that is no function.
   */
  on<T extends keyof EventMetrics<P, E> & string>(
    type: T,
    listener: (metrics: EventMetrics<P, E>[T], packedMetadata: string | undefined) => unknown,
  ): () => void;
  /**
   * Publishes one event of a declared type. Never throws, never waits; the metrics are copied.
   *
   * @param packedMetadata DAG metadata as `compressTelemetryMetadata` packs it; unpacked when the event is sent.
   * @returns Whether it was taken. False counts as `closed` or `invalid`, or as nothing at all when an opt-out applies.
   */
  publish<T extends keyof EventMetrics<P, E> & string>(type: T, metrics: EventMetrics<P, E>[T], packedMetadata?: string): boolean;
}

/** The one subscriber that takes events over: it counts them and it alone may not fail. @internal */
export type EventConsumer = (metrics: UsageMetrics, packed: string | undefined, definition: EventDefinition) => void;

/** How a bus is made. @internal */
export interface EventBusOptions {
  definitions: EventDefinitions;
  gate: Gate;
  ledger: Ledger;
  log: Log;
}

/**
 * The bus itself, untyped by event: a facade over eventemitter3 whose `emit` stops at the first listener that throws, and
 * leaves a rejected one to the process.
 *
 * @internal
 */
export class EventBus {
  readonly #events = new EventEmitter<string>();
  readonly #definitions: EventDefinitions;
  readonly #gate: Gate;
  readonly #ledger: Ledger;
  readonly #log: Log;
  #last: EventDefinition | undefined;
  #observers = 0;
  #depth = 0;
  #closed = false;

  constructor({ definitions, gate, ledger, log }: EventBusOptions) {
    this.#definitions = definitions;
    this.#gate = gate;
    this.#ledger = ledger;
    this.#log = log;
  }

  /** Attaches the consumer to every declared type. It comes before all observers, so that they see consistent accounts. */
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
    if (!this.#gate.isOpen()) return false;
    const definition = this.#accepting(type);
    if (definition === undefined) return false;
    const snapshot = plainCopy(metrics, definition.fields, this.#ledger);
    if (snapshot === undefined) return this.#refuse('invalid');
    return this.#emit(definition, snapshot, this.#readablePacked(packedMetadata));
  }

  /** `publish` for a listener that has asked the gate and hands over a snapshot of its own: nothing is copied or checked. */
  publishOwned(type: string, snapshot: UsageMetrics, packed: string | undefined): boolean {
    const definition = this.#accepting(type);
    if (definition === undefined) return false;
    return this.#emit(definition, snapshot, this.#readablePacked(packed));
  }

  /** From now on everything that is published counts as `closed`. */
  close(): void {
    this.#closed = true;
    this.#last = undefined;
  }

  #accepting(type: string): EventDefinition | undefined {
    // Most events are of the type of the one before, and a look into the map costs a tenth of a publish.
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
    this.#log.debug(reason, 'an event was not taken');
    return false;
  }

  #emit(definition: EventDefinition, snapshot: UsageMetrics, packed: string | undefined): boolean {
    if (this.#depth === MAX_DEPTH) return this.#refuse('invalid');
    // Freezing costs ten times the rest, so it is paid only where somebody could tell the difference.
    if (this.#observers > 0) snapshot = Object.freeze(withoutBlanks(snapshot));
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
