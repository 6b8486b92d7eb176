import type { MetricValue } from '../events/fields.js';
import { pythonStr } from './python-values.js';

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
