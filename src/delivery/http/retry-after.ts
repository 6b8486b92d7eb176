/** The longest pause an endpoint can ask for: a wrong clock or a wrong header must not silence a host for a day. */
export const MAX_RETRY_AFTER_MS = 300_000;

/** The three forms of an HTTP date (RFC 9110, 5.6.7). `Date.parse` alone takes nearly anything for a date. */
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const RFC_850 = /^[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

function parseHttpDate(text: string): number {
  if (IMF_FIXDATE.test(text) || RFC_850.test(text)) return Date.parse(text);
  return ASCTIME.test(text) ? Date.parse(`${text} GMT`) : Number.NaN;
}

/**
 * How long a `Retry-After` header (RFC 9110, 10.2.3) asks to wait.
 *
 * @param value the header, in seconds or as an HTTP date
 * @param wallNowMs milliseconds since 1970, to measure a date against
 * @returns milliseconds from 0 to `MAX_RETRY_AFTER_MS`; undefined where the header is absent, negative or cannot be read
 */
export function retryAfterMs(value: string | null, wallNowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : parseHttpDate(text) - wallNowMs;
  if (Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}
