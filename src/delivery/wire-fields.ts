import type { Fields } from '../events/definition.js';
import type { MetricValue, UsageMetrics } from '../events/fields.js';
import type { LossReason } from '../ledger.js';
import { WireField } from './wire-field.js';

/** Hears of a value that does not leave. */
export type Notice = (name: string, why: LossReason) => void;

/** The declared fields of an event on their way out. */
export class WireFields {
  readonly #byName: ReadonlyMap<string, WireField>;
  /** As they stood in the last event: the next one mostly has them in the same order, and needs no look-up then. */
  readonly #order: (WireField | undefined)[] = [];

  constructor(fields: Fields) {
    this.#byName = new Map(Object.entries(fields).map(([name, field]) => [name, new WireField(name, field)]));
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** `&name=value` of each value that is declared and of its kind, in the values' own order; the others are told of. */
  query(values: Readonly<Record<string, unknown>>, notice: Notice): string {
    const order = this.#order;
    let query = '';
    let place = 0;
    // A list of the names would cost five times as much. The question keeps out what a host has put into Object.prototype; inside of
    // `for in` the compiler knows the answer, but not that of `Object.hasOwn`.
    for (const name in values) {
      if (!Object.prototype.hasOwnProperty.call(values, name)) continue;
      const value: unknown = values[name];
      if (value === undefined) continue;
      let field = order[place];
      if (field?.name !== name) order[place] = field = this.#byName.get(name);
      place += 1;
      const pair = field?.pair(value);
      if (pair === undefined) notice(name, field === undefined ? 'undeclared' : 'ill_typed');
      else query += pair;
    }
    return query;
  }

  /** The same values by name. */
  pick(values: Readonly<Record<string, unknown>>): UsageMetrics {
    const picked: UsageMetrics = {};
    for (const name of Object.keys(values)) {
      if (values[name] !== undefined && this.#byName.get(name)?.pair(values[name]) !== undefined) picked[name] = values[name] as MetricValue;
    }
    return picked;
  }
}
