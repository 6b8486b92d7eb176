import { WIRE_VERSION } from '../constants.js';
import type { MetricValue, UsageMetrics } from '../events/fields.js';
import type { UsageEvent } from './transport.js';
import type { WireField } from './wire-field.js';

/** The metrics that stand in every event, and their part of the query. */
export interface Standard {
  readonly metrics: Readonly<UsageMetrics>;
  readonly query: string;
}

/**
 * What of an event may leave, in the order in which it leaves. Two lists and no object: one that is put together name by name
 * costs ten times as much, and most transports want the request alone.
 */
export class Kept {
  readonly fields: WireField[] = [];
  readonly values: MetricValue[] = [];

  add(field: WireField, value: MetricValue): void {
    this.fields.push(field);
    this.values.push(value);
  }
}

/** What `console.log` and `util.inspect` ask for. Its registered name saves a load of `node:util`. */
const inspected = Symbol.for('nodejs.util.inspect.custom');

/** One event as a transport sees it. */
export class BuiltEvent implements UsageEvent {
  readonly id: string;
  readonly type: string;
  declare readonly metrics: Readonly<UsageMetrics>;
  // Collected when somebody asks, and yet the event's own: transports copy events, write them as JSON, and post them to workers.
  static readonly #ownMetrics: PropertyDescriptor & ThisType<BuiltEvent> = {
    configurable: true,
    enumerable: true,
    get() {
      return (this.#metrics ??= this.#collect());
    },
  };
  readonly #standard: Standard;
  readonly #kept: Kept;
  #metrics: Readonly<UsageMetrics> | undefined;

  constructor(id: string, type: string, standard: Standard, kept: Kept) {
    this.id = id;
    this.type = type;
    this.#standard = standard;
    this.#kept = kept;
    Object.defineProperty(this, 'metrics', BuiltEvent.#ownMetrics);
  }

  requestTarget(): string {
    const { fields, values } = this.#kept;
    let { query } = this.#standard;
    for (let index = 0; index < fields.length; index += 1) {
      const pair = (fields[index] as WireField).pair(values[index] as MetricValue);
      query = query === '' ? pair : `${query}&${pair}`;
    }
    return `/${WIRE_VERSION}/${this.type}?${query}`;
  }

  /** For whoever prints an event to see what is in it: a getter would be shown as one. */
  [inspected](): Pick<UsageEvent, 'id' | 'type' | 'metrics'> {
    const { id, type, metrics } = this;
    return { id, type, metrics };
  }

  #collect(): UsageMetrics {
    const { fields, values } = this.#kept;
    const metrics: UsageMetrics = { ...this.#standard.metrics };
    for (const [index, { name }] of fields.entries()) metrics[name] = values[index] as MetricValue;
    return metrics;
  }
}
