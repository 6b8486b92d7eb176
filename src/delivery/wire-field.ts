import type { Field, MetricValue } from '../events/fields.js';
import { pythonFloat, pythonStr } from '../wire/python-values.js';
import { quotePlus } from '../wire/query-string.js';

/**
 * One declared field on its way out: its check, and its encoding, which is chosen once and not for each value. The last value is
 * remembered with what became of it, since hosts send the same few over and over.
 */
export class WireField {
  readonly name: string;
  readonly #field: Field;
  readonly #prefix: string;
  readonly #number: (value: number) => string;
  #lastValue: unknown;
  #lastPair: string | undefined;

  constructor(name: string, field: Field) {
    this.name = name;
    this.#field = field;
    this.#prefix = `&${quotePlus(name)}=`;
    this.#number = field.kind === 'duration' ? pythonFloat : pythonStr;
  }

  /**
   * `&name=value` as it stands in a query, or undefined where the value is not of the declared kind. A field that was not made by a
   * kind may throw: that is a no.
   */
  pair(value: unknown): string | undefined {
    if (value === this.#lastValue && this.#lastPair !== undefined) return this.#lastPair;
    try {
      return this.#field.accepts(value) ? this.#encode(value as MetricValue) : undefined;
    } catch {
      return undefined;
    }
  }

  #encode(value: MetricValue): string {
    // Not remembered: 0 and -0 are equal, and yet two texts. Its text is quoted for the plus sign of an exponent.
    if (typeof value === 'number') return this.#prefix + quotePlus(this.#number(value));
    this.#lastPair = this.#prefix + quotePlus(pythonStr(value));
    this.#lastValue = value;
    return this.#lastPair;
  }
}
