const CREDENTIALS = /\/\/[^/?#]*@/g;

/**
 * A value as an error message may show it: short, on one line, without the credentials and the query of a URL, and without
 * ever running code of the value.
 */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.replace(CREDENTIALS, '//***@').replace(/\?.*$/s, '?...').slice(0, 80));
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      if (value instanceof URL) return describe(value.href);
      return Array.isArray(value) ? 'an array' : 'an object';
    case 'function':
      return 'a function';
    case 'bigint':
    case 'symbol':
      return `a ${typeof value}`;
    default:
      return 'an unknown value';
  }
}
