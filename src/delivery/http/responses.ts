import type { Clock } from '../../base/clock.js';
import { isTooLong } from '../../wire/url.js';
import type { SendOutcome } from '../transport.js';

/** More hops than this is a loop or a mistake. */
export const MAX_REDIRECTS = 3;

/** The redirects a GET follows; the other 3xx are answers. */
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Whether a status asks to go elsewhere. */
export function isRedirect(status: number): boolean {
  return REDIRECT_STATUSES.has(status);
}

/**
 * A host name that redirects may lead to, as a URL spells it: lower case, international names in ASCII. Undefined for anything
 * but a bare host name: no scheme, port, path or wildcard.
 */
export function parseRedirectHost(value: string): string | undefined {
  const bare = /^[^\s/?#@*\\:]+$|^\[[0-9a-f:.]+\]$/i.test(value);
  return bare && URL.canParse(`https://${value}`) ? new URL(`https://${value}`).hostname : undefined;
}

/**
 * Where a redirect leads, if it may be followed: to the endpoint's own origin (scheme, host and port) or to an allowed host on
 * the default port of its scheme, never from https to http, and never with credentials, since nothing may leave for a
 * place nobody named.
 *
 * @param location the `Location` header; its query is taken as it is, encoded already
 * @param current the URL that answered
 * @param origin the endpoint's own origin
 * @param allowedHosts from `parseRedirectHost`
 * @returns the URL of the next hop; undefined where it is refused
 */
export function nextHop(location: string | null, current: string, origin: string, allowedHosts: ReadonlySet<string>): URL | undefined {
  if (location === null || !URL.canParse(location, current)) return undefined;
  const next = new URL(location, current);
  next.hash = '';
  if (next.username !== '' || next.password !== '' || isTooLong(next.href)) return undefined;
  if (next.protocol !== 'https:' && (next.protocol !== 'http:' || current.startsWith('https:'))) return undefined;
  if (next.origin === origin) return next;
  return next.port === '' && allowedHosts.has(next.hostname) ? next : undefined;
}

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

/** Answers that say "not now": whoever sends them has not counted the event, so another attempt counts nothing twice. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The headers of an answer. */
export interface AnswerHeaders {
  get(name: string): string | null;
}

/** The one good outcome; shared, since it carries nothing. */
export const SENT: SendOutcome = { kind: 'sent' };

/**
 * What an answer means for the event, from its status alone and, where the endpoint asks for a pause, its `Retry-After`.
 * A pause of nothing is no pause: the outcome is `retryable` then.
 *
 * @param status the status of an answer that is no redirect
 * @param headers where `Retry-After` may stand
 * @param clock what a date in it is measured against
 */
export function statusOutcome(status: number, headers: AnswerHeaders, clock: Pick<Clock, 'wallNow'>): SendOutcome {
  if (status >= 200 && status < 300) return SENT;
  const reason = `http_${status}`;
  if (!RETRYABLE_STATUSES.has(status)) return { kind: 'rejected', reason };
  const waitMs = retryAfterMs(headers.get('retry-after'), clock.wallNow());
  return waitMs === undefined || waitMs === 0 ? { kind: 'retryable', reason } : { kind: 'deferred', waitMs, reason };
}
