import { describe } from '../base/describe.js';

/** A host name as it stands in a URL, ready to be compared: lower case, no final dot, no brackets of an IPv6 address. */
export function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[|\]$/g, '');
}

/** Whether a bare host name is this machine's by definition, whatever a name server says (RFC 6761, 6.3). */
export function isLocalhostName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/**
 * Whether a bare host is this machine itself: `localhost`, 127.0.0.0/8 or `::1`. Such an endpoint is never proxied: the
 * proxy's loopback is another machine.
 *
 * @param host from `bareHost` of a URL's hostname, so that an IPv4 address has its four decimal parts
 */
export function isLoopback(host: string): boolean {
  return isLocalhostName(host) || host === '::1' || /^(::ffff:7f[0-9a-f]{2}:[0-9a-f]+|127\.\d+\.\d+\.\d+)$/.test(host);
}

/** The longest request URL, in bytes: what common servers accept (8 KiB). A longer one is refused before any socket. */
export const MAX_URL_BYTES = 8192;

/**
 * Checks the base that request targets are appended to.
 *
 * @param value the base as given: http or https, without credentials, query or fragment
 * @param optionName how the message names the option
 * @returns the base as text, normalised, without trailing slashes: `https://host:port/path`
 * @throws TypeError naming the option and the redacted value
 */
export function parseEndpoint(value: unknown, optionName: string): string {
  const text = value instanceof URL ? value.href : value;
  if (typeof text === 'string' && URL.canParse(text) && !/[?#]/.test(text)) {
    const url = new URL(text);
    const usable = url.protocol === 'http:' || url.protocol === 'https:';
    if (usable && url.username === '' && url.password === '') return url.href.replace(/\/+$/, '');
  }
  throw new TypeError(`Expected ${optionName} to be an http or https URL without credentials, query or fragment, got ${describe(value)}.`);
}

/** The URL of one request: an endpoint from `parseEndpoint` and the target of an event, which is encoded already. */
export function requestUrl(endpoint: string, target: string): string {
  return endpoint + target;
}

/** Whether a server would be asked to read a longer URL than is safe; counted in bytes, as it travels. */
export function isTooLong(url: string): boolean {
  return Buffer.byteLength(url) > MAX_URL_BYTES;
}
