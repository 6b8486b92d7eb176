// URLs: the endpoint that requests go to, their length, and the hosts that are this machine.
import { describe } from '../base/describe.js';

/**
 * Checks the base URL that request targets are appended to.
 *
 * @param value The base as given: http or https, without credentials, query or fragment.
 * @param optionName The name of the option, for the message.
 * @returns The base as normalised text without trailing slashes: `https://host:port/path`.
 * @throws TypeError with the option and the redacted value.
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

/** The URL of one request: an endpoint from {@link parseEndpoint} and the encoded target of an event. */
export function requestUrl(endpoint: string, target: string): string {
  return endpoint + target;
}

/** The longest request URL, in bytes: the limit of common servers (8 KiB). */
export const MAX_URL_BYTES = 8192;

/** Whether a URL is longer than {@link MAX_URL_BYTES}. Such a request is refused before a socket is opened. */
export function isTooLong(url: string): boolean {
  return Buffer.byteLength(url) > MAX_URL_BYTES;
}

/** The host name of a URL in the form for comparisons: lower case, no final dot, no brackets around an IPv6 address. */
export function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[|\]$/g, '');
}

/** Whether a bare host name is this machine by definition, whatever a name server says (RFC 6761, 6.3). */
export function isLocalhostName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/**
 * Whether a host is this machine: `localhost`, 127.0.0.0/8 or `::1`. A request to it never goes through a proxy, whose loopback is
 * another machine.
 *
 * @param host From {@link bareHost} of a URL's hostname, which writes an IPv4 address as four decimal parts.
 */
export function isLoopback(host: string): boolean {
  return isLocalhostName(host) || host === '::1' || /^(::ffff:7f[0-9a-f]{2}:[0-9a-f]+|127\.\d+\.\d+\.\d+)$/.test(host);
}
