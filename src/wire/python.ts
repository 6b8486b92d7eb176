// Values as Python writes them: `str`, `repr(float)`, and the quoting of its urllib. The wire was defined by Python code.

/**
 * A value that can be sent: never nested.
 *
 * @example
 * const values: MetricValue[] = ['marts', 30, true, null];
 */
export type MetricValue = string | number | boolean | null;

/**
 * The fields of one event, in the order in which they are sent.
 *
 * @example
 * const metrics: UsageMetrics = { ...collectStandardUsageMetrics(), layer: 'marts', days: 30 };
 */
export type UsageMetrics = Record<string, MetricValue>;

/**
 * Python's `str(value)`. A number without a fraction is written as an `int`; use {@link pythonFloat} for a field that is declared as
 * a duration.
 */
export function pythonStr(value: MetricValue): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Number.isSafeInteger(value)) return String(value);
  // Python writes all digits of an int. `String` would round above 2^53, and use an exponent from 1e21 on.
  return Number.isInteger(value) ? BigInt(value).toString() : pythonFloat(value);
}

/**
 * Python's `repr(float)`: the shortest digits that read back as the same number, as in JavaScript. Unlike JavaScript, it uses an
 * exponent below 1e-4 and from 1e16 on, gives the exponent at least two digits, and adds `.0` to whole numbers.
 */
export function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e16) return Number.isInteger(value) ? `${value}.0` : String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}

const NOTHING_TO_QUOTE = /^[\w.~-]*$/;
const NOT_QUOTED_BY_JAVASCRIPT = /[!'()*]|%20/g;

/**
 * `quote_plus` of Python's urllib: letters, digits and `_ . - ~` stay, a space becomes `+`, every other character is
 * percent-encoded as UTF-8 in upper case. `URLSearchParams` differs in `~` and `*`. A lone surrogate, which has no UTF-8, becomes
 * U+FFFD; `encodeURIComponent` would throw.
 */
export function quotePlus(text: string): string {
  if (NOTHING_TO_QUOTE.test(text)) return text;
  return encodeURIComponent(text.toWellFormed()).replace(NOT_QUOTED_BY_JAVASCRIPT, quoteRest);
}

/** `quote` of Python's urllib: like {@link quotePlus}, but a space becomes `%20` and `/` stays. */
export function quote(text: string): string {
  return quotePlus(text).replaceAll('+', '%20').replaceAll('%2F', '/');
}

/** `urlencode(dict)` of Python's urllib: pairs in insertion order. */
export function urlencode(metrics: Readonly<Record<string, MetricValue>>): string {
  let query = '';
  for (const { 0: key, 1: value } of Object.entries(metrics)) {
    query += `${query === '' ? '' : '&'}${quotePlus(key)}=${quotePlus(pythonStr(value))}`;
  }
  return query;
}

function quoteRest(found: string): string {
  return found === '%20' ? '+' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`;
}
