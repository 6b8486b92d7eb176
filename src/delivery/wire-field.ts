import type { Field, MetricValue } from '../events/fields.js';
import { pythonFloat, pythonStr } from '../wire/python-values.js';
import { quotePlus } from '../wire/query-string.js';

/**
 * One declared field on its way out: its check, and its encoding, which is chosen once and not for each value. The last text is
 * remembered with its encoding, since hosts send the same few over and over.
 */
export class WireField {
  readonly name: string;
  readonly #field: Field;
  readonly #prefix: string;
  readonly #number: (value: number) => string;
  #lastText = '';
  #lastPair: string | undefined;

  constructor(name: string, field: Field) {
    this.name = name;
    this.#field = field;
    this.#prefix = `${quotePlus(name)}=`;
    this.#number = field.kind === 'duration' ? pythonFloat : pythonStr;
  }

  /** Whether the value is of the declared kind. A field that was not made by a kind may throw: that is a no. */
  accepts(value: unknown): value is MetricValue {
    if (value === this.#lastText && this.#lastPair !== undefined) return true;
    try {
      return this.#field.accepts(value);
    } catch {
      return false;
    }
  }

  /** `name=value` as it stands in a query. The value is one that was accepted. */
  pair(value: MetricValue): string {
    // A number may need its plus sign quoted, that of an exponent.
    if (typeof value !== 'string') return this.#prefix + quotePlus(typeof value === 'number' ? this.#number(value) : pythonStr(value));
    if (value !== this.#lastText || this.#lastPair === undefined) {
      this.#lastText = value;
      this.#lastPair = this.#prefix + quotePlus(value);
    }
    return this.#lastPair;
  }
}
