/** What a response means: the outcome by its status, the pause of `Retry-After`, and the redirects that are followed. */
import type { Clock } from '../../base/clock.js';
import { isTooLong } from '../../wire/url.js';
import type { SendOutcome } from '../transport.js';

/** The headers of a response. */
export interface ResponseHeaders {
  get(name: string): string | null;
}

const SENT: SendOutcome = { kind: 'sent' };

/** Statuses that say "not now". */
const RETRYABLE_4XX: ReadonlySet<number> = new Set([408, 425, 429]);

/** These say that no retry can succeed: not implemented, HTTP version not supported, network authentication required. */
const FINAL_5XX: ReadonlySet<number> = new Set([501, 505, 511]);

/**
 * Whether a status means that the event was not counted. That goes for every 5xx but three: the edges in front of an endpoint have made up
 * many (507, 520 to 530, 561, 598, 599) for an origin that is away. After 504, 520 and 524 the origin may have counted the event after all,
 * so that a retry counts it twice; most often it was never reached.
 */
function isRetryable(status: number): boolean {
  return RETRYABLE_4XX.has(status) || (status >= 500 && status < 600 && !FINAL_5XX.has(status));
}

/**
 * The outcome of an event by the status of its response and, if the status is retryable, by `Retry-After`. A pause of 0 is no pause: the
 * outcome is then `retryable`.
 *
 * @param status the status of a response that is no redirect
 * @param headers where `Retry-After` and `Date` are read
 * @param clock what a date in `Retry-After` is compared with if the response has no valid `Date`
 */
export function statusOutcome(status: number, headers: ResponseHeaders, clock: Pick<Clock, 'wallNow'>): SendOutcome {
  if (status >= 200 && status < 300) return SENT;
  const reason = `http_${status}`;
  if (!isRetryable(status)) return { kind: 'rejected', reason };
  const waitMs = retryAfterMs(headers.get('retry-after'), answeredAtMs(headers, clock));
  return waitMs === undefined || waitMs === 0 ? { kind: 'retryable', reason } : { kind: 'deferred', waitMs, reason };
}

/** When the response was made, by the clock that made its dates: the host's may be ahead or behind. */
function answeredAtMs(headers: ResponseHeaders, clock: Pick<Clock, 'wallNow'>): number {
  const dateMs = parseHttpDate(headers.get('date')?.trim() ?? '');
  return Number.isNaN(dateMs) ? clock.wallNow() : dateMs;
}

/** The longest pause an endpoint can ask for: a wrong clock or header must not silence a host for a day. */
const MAX_RETRY_AFTER_MS = 300_000;

/**
 * The pause that a `Retry-After` header (RFC 9110, 10.2.3) asks for.
 *
 * @param value the header: seconds or an HTTP date
 * @param nowMs what a date is compared with, in milliseconds since 1970
 * @returns 0 to 300,000 milliseconds; undefined if the header is absent, negative or not readable
 */
export function retryAfterMs(value: string | null, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : parseHttpDate(text) - nowMs;
  if (Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}

/** The three forms of an HTTP date (RFC 9110, 5.6.7). `Date.parse` alone accepts almost any text. */
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const RFC_850 = /^[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

function parseHttpDate(text: string): number {
  if (IMF_FIXDATE.test(text) || RFC_850.test(text)) return Date.parse(text);
  return ASCTIME.test(text) ? Date.parse(`${text} GMT`) : Number.NaN;
}

/** More hops than this are a loop or a mistake. */
export const MAX_REDIRECTS = 3;

/** The redirects that a GET follows. Other 3xx statuses are outcomes. */
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Whether a status is a redirect that a GET follows. */
export function isRedirect(status: number): boolean {
  return REDIRECT_STATUSES.has(status);
}

/**
 * The next hop of a redirect, if it may be followed: to the endpoint's own origin (scheme, host and port), or to an allowed host on the
 * default port of its scheme. A redirect from https to http, or to a URL with credentials, is refused: an event goes only to hosts
 * that the options name.
 *
 * @param location the `Location` header; its query is encoded already and stays as it is
 * @param current the URL that answered
 * @param origin the endpoint's own origin
 * @param allowedHosts from `parseRedirectHost`
 * @returns undefined if the redirect is refused
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

/**
 * An allowed redirect host as a URL spells it: lower case, international names in ASCII. Undefined if the value is not a bare host name,
 * for example with a scheme, port, path or wildcard.
 */
export function parseRedirectHost(value: string): string | undefined {
  const isBare = /^[^\s/?#@*\\:]+$|^\[[0-9a-f:.]+\]$/i.test(value);
  return isBare && URL.canParse(`https://${value}`) ? new URL(`https://${value}`).hostname : undefined;
}
