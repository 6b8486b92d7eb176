// URLs: the endpoint that requests go to, and their length.
import { describe, hrefOf } from '../base/describe.js';

/**
 * Checks the base URL that request targets are appended to.
 *
 * @param value The base as given: http or https, without credentials, query or fragment.
 * @param optionName The name of the option, for the message.
 * @returns The base as normalised text without trailing slashes: `https://host:port/path`.
 * @throws TypeError with the option and the redacted value.
 */
export function parseEndpoint(value: unknown, optionName: string): string {
  const text = hrefOf(value) ?? value;
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
