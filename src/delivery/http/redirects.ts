import { isTooLong } from '../../wire/request-url.js';

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
