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

/** One event as a transport sees it. */
export class BuiltEvent implements UsageEvent {
  readonly id: string;
  readonly type: string;
  readonly #standard: Standard;
  readonly #kept: Kept;
  #metrics: Readonly<UsageMetrics> | undefined;

  constructor(id: string, type: string, standard: Standard, kept: Kept) {
    this.id = id;
    this.type = type;
    this.#standard = standard;
    this.#kept = kept;
  }

  get metrics(): Readonly<UsageMetrics> {
    return (this.#metrics ??= this.#collect());
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

  /** For transports that write events as JSON, where a getter would be left out. */
  toJSON(): Pick<UsageEvent, 'id' | 'type' | 'metrics'> {
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
