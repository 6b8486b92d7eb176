import { describe } from '../base/describe.js';

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
