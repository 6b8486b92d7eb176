import test from 'ava';
import { aFunction, anObject, anyOf, checkOptions, integer, milliseconds, withMethods } from '../src/base/check-options.js';
import type { Check, Checks } from '../src/base/check-options.js';

interface Options {
  size?: number;
  mode?: 'a' | 'b';
}

const CHECKS: Checks<Options> = { size: integer(1, 10), mode: anyOf('a', 'b') };

function check(options: unknown): () => void {
  return () => {
    checkOptions<Options>('options', options as Options, CHECKS);
  };
}

test('takes what is right, and what is left out', (t) => {
  for (const options of [{}, { size: 1 }, { size: 10, mode: 'b' }, { size: undefined, mode: undefined }, Object.create(null)])
    t.notThrows(check(options));
});

test('names the option and the value that is wrong', (t) => {
  t.throws(check({ size: 11 }), { instanceOf: TypeError, message: 'Expected `size` to be a whole number from 1 to 10, got 11.' });
  t.throws(check({ size: null }), { instanceOf: TypeError, message: 'Expected `size` to be a whole number from 1 to 10, got null.' });
  t.throws(check({ mode: 'c' }), { instanceOf: TypeError, message: 'Expected `mode` to be one of "a", "b", got "c".' });
});

test('an unknown key is a mistake, whatever its value', (t) => {
  t.throws(check({ sise: 5 }), { instanceOf: TypeError, message: /known keys only, got `sise` with 5/ });
  for (const key of ['toString', 'constructor', 'hasOwnProperty', '__proto__']) {
    t.throws(check(Object.fromEntries([[key, undefined]])), { instanceOf: TypeError, message: /known keys only/ });
  }
  t.throws(check({ ['x'.repeat(1e6)]: 1 }), { instanceOf: TypeError, message: /^.{1,200}$/ });
});

test('options that are none are a mistake', (t) => {
  for (const options of [undefined, null, 7, 'options', [], () => undefined]) {
    t.throws(check(options), { instanceOf: TypeError, message: /^Expected `options` to be an object, got / });
  }
});

test('shows neither credentials nor queries', (t) => {
  for (const size of ['https://user:hunter2@host/', new URL('https://host/?key=hunter2'), 'user:hunter2@host:3128']) {
    t.notRegex(t.throws(check({ size }), { instanceOf: TypeError }).message, /hunter2/);
    t.notRegex(t.throws(check({ proxy: size }), { instanceOf: TypeError }).message, /hunter2/);
  }
});

const KINDS: readonly [name: string, check: Check, accepts: readonly unknown[], refuses: readonly unknown[]][] = [
  ['integer', integer(0, 3), [0, 1, 3, -0], [-1, 4, 1.5, NaN, Infinity, '1', 1n, null, [1]]],
  ['milliseconds', milliseconds(1, 1000), [1, 1.5, 1000], [0, 0.9, 1001, NaN, Infinity, '1', 1n, null]],
  ['anyOf', anyOf(true, 'x'), [true, 'x'], [false, 1, 'true', 'X', null]],
  ['aFunction', aFunction, [() => undefined, Date], [null, {}, 'f']],
  ['anObject', anObject, [{}, new Date(0), Object.create(null)], [null, [], 'o', () => undefined]],
  [
    'withMethods',
    withMethods('debug', 'warn'),
    [console, { debug: () => undefined, warn: () => undefined }],
    [{}, { debug: () => undefined }, { debug: 1, warn: 1 }, null, 'x'],
  ],
];

for (const [name, [expected, accepts], right, wrong] of KINDS) {
  test(`${name} knows right from wrong`, (t) => {
    t.not(expected, '');
    for (const value of right) t.true(accepts(value));
    for (const value of wrong) t.false(accepts(value));
  });
}
