/** The longest delay that Node's timers keep, in milliseconds: a longer one fires after 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a number given as an option must be. Bounds are inclusive. */
export interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

/** @throws TypeError when the options are no object or hold a key that is not known, naming it. */
export function checkKeys(where: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${where}: options must be an object, got ${show(options)}`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new TypeError(`${where}: unknown option ${show(key)}; known are ${known.join(', ')}`);
  }
}

/** @throws TypeError naming option and value, when it is no number within the bounds. */
export function checkNumber(where: string, name: string, value: unknown, { min, max, integer = false }: NumberRule): void {
  const fits = typeof value === 'number' && value >= min && value <= max && (!integer || Number.isInteger(value));
  if (!fits) throw new TypeError(`${where}: ${name} must be ${integer ? 'an integer' : 'a number'} from ${min} to ${max}, got ${show(value)}`);
}

/** @throws TypeError naming the option, when it is no function. */
export function checkFunction(where: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw new TypeError(`${where}: ${name} must be a function, got ${show(value)}`);
}

/** @throws TypeError naming the option, when it lacks one of these methods. */
export function checkMethods(where: string, name: string, value: unknown, methods: readonly string[]): void {
  const has = (method: string): boolean =>
    typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[method] === 'function';
  if (!methods.every(has)) throw new TypeError(`${where}: ${name} must have the methods ${methods.join(', ')}, got ${show(value)}`);
}

/** A value for a message: text is shown only where it is short and plain, since a mistaken one may be a URL with a password. */
function show(value: unknown): string {
  if (typeof value === 'string') return /^[\w.+-]{0,40}$/.test(value) ? `'${value}'` : 'a string';
  return typeof value === 'object' && value !== null ? 'an object' : typeof value === 'function' ? 'a function' : String(value);
}
