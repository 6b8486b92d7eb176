/** A value that can leave the machine. Nothing nested, nothing else. */
export type MetricValue = string | number | boolean | null;

/** What one event carries, in the order in which it leaves. */
export type UsageMetrics = Record<string, MetricValue>;

/**
 * `str(value)` of Python for the values that can occur on the wire. A number without a fraction is an `int` there, as it is in
 * the hosts that send it; a field declared as a duration goes through {@link pythonFloat} instead.
 */
export function pythonStr(value: MetricValue): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Number.isSafeInteger(value)) return String(value);
  // Above 2^53 JavaScript would round or switch to an exponent; a Python int is written out in full.
  return Number.isInteger(value) ? BigInt(value).toString() : pythonFloat(value);
}

/**
 * `repr(float)` of Python: the shortest digits that read back, as in JavaScript, but with an exponent below 1e-4 and from
 * 1e16 on, at least two digits in it, and `.0` on whole numbers.
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
const LEFT_BARE_BY_JAVASCRIPT = /[!'()*]|%20/g;

/**
 * `quote_plus` of Python's urllib: letters, digits and `_ . - ~` stay bare, a space becomes `+`, all else is percent-encoded
 * UTF-8 in upper case. `URLSearchParams` differs in `~` and `*`, so it cannot be used here. A lone surrogate, which has no
 * UTF-8, becomes U+FFFD instead of an exception.
 */
export function quotePlus(text: string): string {
  if (NOTHING_TO_QUOTE.test(text)) return text;
  return encodeURIComponent(text.toWellFormed()).replace(LEFT_BARE_BY_JAVASCRIPT, quoteRest);
}

/** `quote` of Python's urllib, as Cosmos applies it to `airflow_version` before the query is built: `+` becomes `%2B`. */
export function quote(text: string): string {
  return quotePlus(text).replaceAll('+', '%20').replaceAll('%2F', '/');
}

/** `urlencode(dict)` of Python's urllib: pairs in insertion order. */
export function urlencode(metrics: Readonly<Record<string, MetricValue>>): string {
  let query = '';
  for (const [key, value] of Object.entries(metrics)) {
    query += `${query === '' ? '' : '&'}${quotePlus(key)}=${quotePlus(pythonStr(value))}`;
  }
  return query;
}

function quoteRest(found: string): string {
  return found === '%20' ? '+' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`;
}
