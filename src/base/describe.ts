// Values, durations, file errors and places as text that is safe to show: short, on one line, without secrets.
import { types } from './foreign-values.js';

const SCHEME = /^[a-z][a-z\d+.-]*:(?=[/\\])/i;
const QUERY_OR_FRAGMENT = /[?#]/;

/**
 * A value for an error message: short and on one line. A URL is shown without credentials, query and fragment. No code of the
 * value runs.
 */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(redacted(value).slice(0, 80));
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      return value === null ? 'null' : describeObject(value);
    case 'function':
      return 'a function';
    case 'bigint':
    case 'symbol':
      return `a ${typeof value}`;
    default:
      return 'an unknown value';
  }
}

function describeObject(value: object): string {
  // Inspecting a proxy runs its traps, and throws if the proxy is revoked.
  if (types.isProxy(value)) return 'an object';
  if (Array.isArray(value)) return 'an array';
  const href = hrefOf(value);
  return href === undefined ? 'an object' : describe(href);
}

/** The text of a URL object; undefined for any other value. The class may be that of another realm: jsdom and `node:vm` have their own. */
export function hrefOf(value: unknown): string | undefined {
  try {
    if (Object.prototype.toString.call(value) !== '[object URL]') return undefined;
    const { href } = value as { href?: unknown };
    return typeof href === 'string' ? href : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Hides everything before the last `@`: it may hold a password. The text is not parsed, since it is often shown because it is no
 * valid URL, and a proxy is often given without a scheme.
 */
function redacted(text: string): string {
  const at = text.lastIndexOf('@');
  if (at === -1) return withoutQuery(text);
  const scheme = SCHEME.exec(text)?.[0];
  const rest = QUERY_OR_FRAGMENT.test(text.slice(0, at)) ? '...' : withoutQuery(text.slice(at + 1));
  return `${scheme === undefined ? '' : `${scheme}//`}***@${rest}`;
}

function withoutQuery(text: string): string {
  const start = text.search(QUERY_OR_FRAGMENT);
  return start === -1 ? text : `${text.slice(0, start + 1)}...`;
}

/** The code of an error of the operating system, such as `ENOENT`; `otherwise` if it has none. */
export function errorCode(error: unknown, otherwise = 'unknown'): string {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,39}$/.test(code) ? code : otherwise;
}

/** What an error of node:fs says of a file: that it is missing, or why it cannot be read. */
export function readProblem(error: unknown): { isMissing: boolean; why: string } {
  const why = errorCode(error, 'cannot be read');
  return { isMissing: why === 'ENOENT' || why === 'ENOTDIR', why };
}

/** A file and a line in it, for a message. */
export function placeName(path: string, line: number | undefined): string {
  return line === undefined ? printable(path) : `${printable(path)}:${line}`;
}

const MAX_VALUE_LENGTH = 64;

/** At most 64 characters on one line, without control characters that a terminal would obey. */
export function shorten(value: string): string {
  return printable(value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH - 1)}…` : value);
}

/** A text on one line, without characters that a terminal would obey. */
export function printable(text: string): string {
  // Avoids the pattern below for nearly all texts: it takes 0.5 ms to compile, in each process that has opted out.
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** A duration in whole units of the largest that it has: `45 s`, `3 min`, `26 h`, `3 d`. Days are counted from two on. */
export function durationWords(durationMs: number): string {
  if (durationMs < MINUTE_MS) return `${Math.floor(Math.max(0, durationMs) / 1000)} s`;
  if (durationMs < HOUR_MS) return `${Math.floor(durationMs / MINUTE_MS)} min`;
  return durationMs < 2 * DAY_MS ? `${Math.floor(durationMs / HOUR_MS)} h` : `${Math.floor(durationMs / DAY_MS)} d`;
}
