import { types } from './builtins.js';

const SCHEME = /^[a-z][a-z\d+.-]*:(?=[/\\])/i;
const QUERY_OR_FRAGMENT = /[?#]/;

/**
 * A value as an error message may show it: short, on one line, without the credentials, the query and the fragment of a URL, and
 * without ever running code of the value.
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
  // Looking at a proxy runs its traps, and a revoked one throws.
  if (types.isProxy(value)) return 'an object';
  if (Array.isArray(value)) return 'an array';
  try {
    const href: unknown = value instanceof URL ? value.href : undefined;
    return typeof href === 'string' ? describe(href) : 'an object';
  } catch {
    return 'an object';
  }
}

/**
 * Everything before the last `@` may be a password, whatever stands in it: what is shown here is often shown because it is no
 * URL, so no parser can be asked where the credentials end, and a proxy is often given without a scheme.
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
