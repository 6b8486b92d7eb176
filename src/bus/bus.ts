// The event bus: publishers hand events in, the delivery takes them over, subscribers observe them.
import { EventEmitter } from 'eventemitter3';
import { describe } from '../base/describe.js';
import { ignoreRejection, onRejection } from '../base/foreign-values.js';
import type { Ledger, LossReason } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { EventDefinition } from '../events/definition.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import type { Field } from '../events/fields.js';
import { MAX_PACKED_LENGTH } from '../events/metadata.js';
import type { DeclaredEvent, EventDefinitions, EventMetrics, StandardMetrics } from '../events/product-events.js';
import type { Gate } from '../opt-out/gate.js';
import type { UsageMetrics } from '../wire/python.js';

/**
 * The event bus of a product, typed by its declared events.
 *
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const events = [defineEvent('backfill', { days })] as const;
 * const product = { name: 'acme', version: '1.2.0' } as const;
 * const { bus } = createTelemetry({ product, events, endpoint: 'https://telemetry.acme.example' });
 * const stop = bus.on('backfill', (metrics) => console.log(metrics.days)); // 30
 * bus.publish('backfill', { days: 30 });
 */
export interface TelemetryBus<P extends string = string, E extends readonly EventDefinition[] = [], B = StandardMetrics<P>> {
  /**
   * Subscribes to one event type. The subscriber gets the event's own metrics as they would leave: declared fields only, with values of
   * their kinds, frozen. It runs after the code that published, in the same turn of the event loop, and not after an opt-out. A subscriber
   * that throws or rejects affects neither the publisher nor other subscribers. Of more than 10,000 events in one turn the later ones
   * are not told.
   *
   * @param listener Its second argument is the metadata as it was handed over, which is unpacked and checked when it is sent.
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

/**
 * The subscriber that takes over all events and counts them. It must not throw. Metrics that are not checked may hold anything: it has
 * `keepUsable` run on them in the same turn of the event loop. @internal
 */
export type EventConsumer = (metrics: UsageMetrics, packed: string | undefined, definition: DeclaredEvent, isChecked: boolean) => void;

/** What a bus needs. @internal */
interface EventBusOptions {
  definitions: EventDefinitions;
  gate: Gate;
  ledger: Ledger;
  log: Log;
}

/**
 * How deeply subscribers may publish inside each other. Without a limit, a subscriber that answers each event with another would never
 * give the turn of the event loop back.
 */
const MAX_DEPTH = 8;

/** The most events of one turn that wait for subscribers. */
const MAX_WAITING = 10_000;

/**
 * The bus without types of events. For its subscribers it wraps eventemitter3, whose `emit` stops at the first listener that throws and
 * leaves a rejected promise unhandled.
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
  #consumer: EventConsumer | undefined;
  #observers = 0;
  /** How many events were kept for subscribers. */
  #published = 0;
  /** The events of this turn of the loop that subscribers have not been told of. */
  readonly #waiting: ObservedEvent[] = [];
  /** The event whose subscribers run. */
  #observing: ObservedEvent | undefined;
  #closed = false;

  constructor({ definitions, gate, ledger, log }: EventBusOptions) {
    this.#definitions = definitions;
    this.#gate = gate;
    this.#ledger = ledger;
    this.#log = log;
  }

  /** Attaches the consumer, which gets every event at once, before its subscribers do: they see accounts that add up. */
  attach(consumer: EventConsumer): void {
    this.#consumer = consumer;
  }

  on(type: string, listener: (metrics: never, packedMetadata: string | undefined) => unknown): () => void {
    if (!this.#definitions.has(type)) throw new TypeError(`Expected a declared event type, got ${describe(type)}.`);
    if (typeof listener !== 'function') throw new TypeError(`Expected \`listener\` to be a function, got ${describe(listener)}.`);
    const call = this.#isolated(listener as (metrics: UsageMetrics, packed: string | undefined) => unknown);
    const since = this.#published;
    let subscribed = true;
    // What was published before the subscription, or is told of after its end, is not its business.
    const observer = (event: ObservedEvent): void => {
      if (subscribed && event.number > since) call(event);
    };
    this.#events.on(type, observer);
    this.#observers += 1;
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
    if (definition === undefined || this.#isTooDeep(type)) {
      ignoreRejections(metrics);
      return false;
    }
    const snapshot = copyOf(metrics);
    if (snapshot === undefined) {
      this.#ledger.notice('event', '', 'not_object', definition.type);
      return this.#refuse('invalid', type);
    }
    return this.#emit(definition, snapshot, this.#readablePacked(packedMetadata), false);
  }

  /** `publish` for a listener that has asked the gate and hands over a snapshot that it made: nothing is copied or checked. */
  publishOwned(type: string, snapshot: UsageMetrics, packed: string | undefined): boolean {
    const definition = this.#accepting(type);
    if (definition === undefined || this.#isTooDeep(type)) return false;
    return this.#emit(definition, snapshot, this.#readablePacked(packed), true);
  }

  /** Runs `publish` for an event that came before the close: a host's event whose look-up took longer. */
  publishLate(publish: () => void): void {
    const isClosed = this.#closed;
    this.#closed = false;
    try {
      publish();
    } finally {
      if (isClosed) this.close();
    }
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
      if (!this.#closed) this.#ledger.notice('event', '', 'undeclared', typeof type === 'string' ? type : '');
      this.#refuse(this.#closed ? 'closed' : 'invalid', this.#definitions.has(type) ? type : '');
      return undefined;
    }
    this.#last = definition;
    return definition;
  }

  #refuse(reason: string, type: string): false {
    this.#ledger.refuse(reason, type);
    this.#log.debug(reason, 'an event was not accepted');
    return false;
  }

  /** Asked before anything is copied. */
  #isTooDeep(type: string): boolean {
    return this.#observing?.depth === MAX_DEPTH && !this.#refuse('invalid', type);
  }

  #emit(definition: DeclaredEvent, snapshot: UsageMetrics, packed: string | undefined, isChecked: boolean): boolean {
    this.#consumer?.(snapshot, packed, definition, isChecked);
    if (this.#observers > 0) this.#observeLater(definition, snapshot, packed);
    return true;
  }

  /** Keeps an event for its subscribers. They run after the host's code, in the same turn of the event loop. */
  #observeLater(definition: EventDefinition, metrics: UsageMetrics, packed: string | undefined): void {
    if (this.#events.listenerCount(definition.type) === 0) return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#log.warn('subscriber_behind', 'more events were published in one turn than subscribers can be told of');
      return;
    }
    if (this.#waiting.length === 0 && this.#observing === undefined) void Promise.resolve().then(() => this.#observe());
    this.#published += 1;
    const depth = (this.#observing?.depth ?? 0) + 1;
    this.#waiting.push({ definition, metrics, packed, number: this.#published, depth });
  }

  #observe(): void {
    // By index: subscribers may publish. An opt-out may have appeared since.
    for (let index = 0; index < this.#waiting.length && this.#gate.state !== 'shut'; index += 1) {
      this.#observing = this.#waiting[index];
      if (this.#observing !== undefined) this.#events.emit(this.#observing.definition.type, this.#observing);
    }
    this.#waiting.length = 0;
    this.#observing = undefined;
  }

  #readablePacked(packed: unknown): string | undefined {
    if (packed === undefined) return undefined;
    if (typeof packed === 'string' && packed.length <= MAX_PACKED_LENGTH) return packed;
    ignoreRejection(packed);
    this.#ledger.metadataUnreadable += 1;
    this.#ledger.notice('metadata', '', typeof packed === 'string' ? 'too_large' : 'not_text');
    return undefined;
  }

  #isolated(listener: (metrics: UsageMetrics, packed: string | undefined) => unknown) {
    const failed = () => {
      this.#log.warn('subscriber_failed', 'a subscriber of the bus threw or rejected');
    };
    return (event: ObservedEvent): void => {
      try {
        event.checked ??= whatLeaves(event);
        onRejection(listener(event.checked, event.packed), failed);
      } catch {
        failed();
      }
    };
  }
}

/** An event that waits for its subscribers. */
interface ObservedEvent {
  readonly definition: EventDefinition;
  readonly metrics: UsageMetrics;
  readonly packed: string | undefined;
  /** Counts the events for subscribers: one that subscribed later does not get it. */
  readonly number: number;
  /** How many subscribers published inside each other. */
  readonly depth: number;
  /** What its subscribers get. */
  checked?: UsageMetrics;
}

/** The declared values of their kinds, frozen: one subscriber cannot change them for the next. */
function whatLeaves({ definition: { fields }, metrics }: ObservedEvent): UsageMetrics {
  const checked: Record<string, unknown> = {};
  for (const { 0: name, 1: value } of Object.entries(metrics)) {
    if (value !== undefined && Object.hasOwn(fields, name) && accepts(fields[name], value)) checked[name] = value;
  }
  return Object.freeze(checked) as UsageMetrics;
}

/** A field made by hand may throw, which counts as no. */
function accepts(field: Field | undefined, value: unknown): boolean {
  try {
    return field?.accepts(value) === true;
  } catch {
    return false;
  }
}

/** No event declares as many fields. From a copy with more names the undeclared ones are removed before it waits. */
const MAX_NAMES = 64;

/**
 * A shallow copy, which is all that the host's path pays for: `keepUsable` checks it later.
 *
 * @returns undefined for metrics that are not a plain object or throw when they are read.
 */
function copyOf(metrics: object): UsageMetrics | undefined {
  try {
    if (typeof metrics !== 'object' || metrics === null || Array.isArray(metrics) || ArrayBuffer.isView(metrics)) return undefined;
    return { ...(metrics as UsageMetrics) };
  } catch {
    // A getter that throws, or a revoked proxy, for which even `isArray` throws.
    return undefined;
  }
}

/** For metrics that are refused: their rejected promises must not end the process, as those of accepted ones do not. */
function ignoreRejections(metrics: object): void {
  for (const value of Object.values(copyOf(metrics) ?? {})) ignoreRejection(value);
}

/**
 * Removes from a copy what no field accepts: it would hold memory while the event waits, and a rejected promise among it would end the
 * process. Node looks for unhandled rejections after the microtasks of a turn, so a microtask is early enough.
 *
 * @returns Whether there was nothing to remove. @internal
 */
export function keepUsable(copy: UsageMetrics, { type, fields }: EventDefinition, ledger: Ledger): boolean {
  let names = 0;
  let isClean = true;
  for (const name in copy) {
    // Any other name comes from an Object.prototype that the host has extended.
    if (!Object.prototype.hasOwnProperty.call(copy, name)) continue;
    names += 1;
    const value = copy[name];
    if (isPlain(value) && name.length <= MAX_TEXT_LENGTH) continue;
    isClean = false;
    ignoreRejection(value);
    remove(copy, name, 'unusable', type, ledger);
  }
  // It is cheaper to keep a few undeclared names until the event is built than to look for them in each event.
  if (names > MAX_NAMES) {
    isClean = false;
    for (const name of Object.keys(copy)) if (!Object.hasOwn(fields, name)) remove(copy, name, 'undeclared', type, ledger);
  }
  return removeSymbols(copy) && isClean;
}

/** No field has a symbol as its name. @returns Whether there was none. */
function removeSymbols(copy: UsageMetrics): boolean {
  const symbols = Object.getOwnPropertySymbols(copy);
  for (const symbol of symbols) {
    ignoreRejection(Reflect.get(copy, symbol));
    Reflect.deleteProperty(copy, symbol);
  }
  return symbols.length === 0;
}

function remove(copy: UsageMetrics, name: string, why: LossReason, type: string, ledger: Ledger): void {
  if (copy[name] !== undefined) ledger.loseField('event', name, why, type);
  delete copy[name];
}

function isPlain(value: unknown): boolean {
  // The cheapest tests come first: this runs for each field of each event.
  if (value === true || value === false || value === null) return true;
  if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH;
  return typeof value === 'number' || value === undefined;
}
