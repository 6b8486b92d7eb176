/** The longest request URL, in bytes: what common servers accept (8 KiB). A longer one is refused before any socket. */
export const MAX_URL_BYTES = 8192;

/** So much of a value is shown in a message; the rest is cut. */
const SHOWN_CHARACTERS = 200;

/**
 * Text that may be a URL, made fit to be shown: without credentials, query and fragment. It works on what cannot be parsed
 * too, since that is when a value gets shown, and would rather hide a host than show half a password.
 *
 * @example redactUrl('http://me:secret@proxy:3128/?token=1') // 'http://***@proxy:3128/?***'
 */
export function redactUrl(text: string): string {
  const scheme = /^\s*[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0] ?? '';
  // A password may hold any of `/ ? #` where nobody encoded it: everything up to the last `@` goes.
  const at = text.lastIndexOf('@');
  const plain = at < scheme.length ? text.slice(scheme.length) : `***@${text.slice(at + 1)}`;
  const cut = plain.search(/[?#]/);
  const shown = scheme.trimStart() + (cut < 0 ? plain : `${plain.slice(0, cut + 1)}***`);
  return shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}...` : shown;
}

/** A value as it may stand in a message: text redacted and quoted, anything but text and plain values by its type only. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(redactUrl(value));
  if (value instanceof URL) return JSON.stringify(redactUrl(value.href));
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

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
  throw new TypeError(
    `${optionName} must be an http or https URL without credentials, query or fragment, not ${showValue(value)}`,
  );
}

/** The URL of one request: an endpoint from `parseEndpoint` and the target of an event, which is encoded already. */
export function requestUrl(endpoint: string, target: string): string {
  return endpoint + target;
}

/** Whether a server would be asked to read a longer URL than is safe; counted in bytes, as it travels. */
export function isTooLong(url: string): boolean {
  return Buffer.byteLength(url) > MAX_URL_BYTES;
}
