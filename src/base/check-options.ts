// Checks of options. A wrong option is a programming error: it throws at once, with its name and its value.
import { describe, hrefOf } from './describe.js';
import { given } from './foreign-values.js';

/** What an option must be, in words, and a test for it. */
export type Check = readonly [expected: string, accepts: (value: unknown) => boolean];

/** A check for each option. */
export type Checks<O> = { readonly [K in keyof Required<O>]: Check };

/** Options with their defaults: each is given. */
export type Filled<O> = { readonly [K in keyof O]-?: Exclude<O[K], undefined> };

/**
 * Checks every option. An option that is `undefined` counts as omitted. The object may be an instance of a class, whose accessors count.
 *
 * @returns A copy without a prototype: nothing that a polluted `Object.prototype` holds is an option.
 * @throws TypeError with the name and the value, for an unknown key or a wrong value.
 */
export function checkOptions<O extends object>(name: string, options: O, checks: Checks<O>): O {
  let unknown: string | undefined;
  checkValue(name, options, [
    anObject[0],
    (value) => {
      if (!anObject[1](value)) return false;
      unknown = Object.keys(options).find((key) => !Object.hasOwn(checks, key));
      return true;
    },
  ]);
  if (unknown !== undefined) {
    const value = describe(readOption(options, unknown as keyof O));
    throw new TypeError(`Expected \`${name}\` to have known keys only, got \`${unknown.slice(0, 64)}\` with ${value}.`);
  }
  const checked = givenOptions(options, Object.keys(checks) as (keyof O)[]);
  for (const { 0: key, 1: value } of Object.entries(checked)) checkValue(key, value, checks[key as keyof O]);
  return checked;
}

/**
 * The options that are given, in a copy without a prototype: nothing that a polluted `Object.prototype` holds is among them.
 *
 * @throws TypeError with the name of one that cannot be read.
 */
export function givenOptions<O extends object>(options: O, names: readonly (keyof O)[]): O {
  const copy = Object.create(null) as O;
  for (const name of names) {
    const value = readOption(options, name);
    if (value !== undefined) copy[name] = value;
  }
  return copy;
}

/**
 * The value of one option, as `given` reads it. What a getter or a proxy throws is not shown: it may hold a password.
 *
 * @throws TypeError with the name, if the property cannot be read.
 */
export function readOption<O extends object, K extends keyof O>(options: O, key: K, name = String(key)): O[K] | undefined {
  try {
    return given(options, key);
  } catch {
    throw new TypeError(`Expected \`${name}\` to be readable, got a property that throws.`);
  }
}

/** @throws TypeError with the name and the value, if the check fails, or if the value throws when it is looked at. */
export function checkValue(name: string, value: unknown, { 0: expected, 1: accepts }: Check): void {
  let got = 'one that throws when it is read';
  try {
    if (accepts(value)) return;
    got = describe(value);
  } catch {
    // What it throws is not shown.
  }
  throw new TypeError(`Expected \`${name}\` to be ${expected}, got ${got}.`);
}

/** The longest delay of Node's timers, in milliseconds. A timer with a longer delay fires after 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** A whole number within bounds. */
export function integer(from: number, to: number): Check {
  return [
    `a whole number from ${from} to ${to}`,
    (value) => Number.isInteger(value) && (value as number) >= from && (value as number) <= to,
  ];
}

/** A number of milliseconds within bounds. */
export function milliseconds(from: number, to: number): Check {
  return [`a number of milliseconds from ${from} to ${to}`, (value) => typeof value === 'number' && value >= from && value <= to];
}

/** One of a list of values. */
export function anyOf(...values: readonly unknown[]): Check {
  return [`one of ${values.map((value) => describe(value)).join(', ')}`, (value) => values.includes(value)];
}

/** A text that is not blank. */
export const aText: Check = ['a text', (value) => typeof value === 'string' && value.trim() !== ''];

/** A function. */
export const aFunction: Check = ['a function', (value) => typeof value === 'function'];

/** A string or a URL object of any realm. Whether the text is one is checked where it is used. */
export const aUrl: Check = ['a URL', (value) => typeof value === 'string' || hrefOf(value) !== undefined];

/** An object, but not an array. */
export const anObject: Check = ['an object', (value) => typeof value === 'object' && value !== null && !Array.isArray(value)];

/** An object with these methods. */
export function withMethods(...methods: readonly string[]): Check {
  return [
    `an object with ${methods.map((method) => `\`${method}()\``).join(' and ')}`,
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
  ];
}
