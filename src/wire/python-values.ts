import type { MetricValue } from '../events/fields.js';

/**
 * `str(value)` of Python for the values that can occur on the wire. A number without a fraction is an `int` there, as it is in
 * the hosts that send it; a field declared as a duration goes through {@link pythonFloat} instead.
 */
export function pythonStr(value: MetricValue): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Number.isSafeInteger(value)) return String(value);
  // Above 2^53 JavaScript would round or switch to an exponent; a Python int is written out in full.
  return Number.isInteger(value) ? BigInt(value).toString() : pythonFloat(value);
}

/**
 * `repr(float)` of Python: the shortest digits that read back, as in JavaScript, but with an exponent below 1e-4 and from
 * 1e16 on, at least two digits in it, and `.0` on whole numbers.
 */
export function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e16) return Number.isInteger(value) ? `${value}.0` : String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}
