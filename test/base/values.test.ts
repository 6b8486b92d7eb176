/* eslint-disable unicorn/no-thenable -- thenables are tested here */
import test from 'ava';
import { aFunction, anObject, anyOf, checkOptions, integer, milliseconds, withMethods } from '../../src/base/check-options.js';
import type { Check, Checks } from '../../src/base/check-options.js';
import { describe } from '../../src/base/describe.js';
import { ignoreRejection, onRejection } from '../../src/base/foreign-values.js';
import { settled } from '../helpers/product.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

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

test('checkOptions accepts valid and omitted options', (t) => {
  for (const options of [{}, { size: 1 }, { size: 10, mode: 'b' }, { size: undefined, mode: undefined }, Object.create(null)])
    t.notThrows(check(options));
});

test('checkOptions names the wrong option and its value', (t) => {
  t.throws(check({ size: 11 }), { instanceOf: TypeError, message: 'Expected `size` to be a whole number from 1 to 10, got 11.' });
  t.throws(check({ size: null }), { instanceOf: TypeError, message: 'Expected `size` to be a whole number from 1 to 10, got null.' });
  t.throws(check({ mode: 'c' }), { instanceOf: TypeError, message: 'Expected `mode` to be one of "a", "b", got "c".' });
});

test('checkOptions refuses an unknown key, whatever its value', (t) => {
  t.throws(check({ sise: 5 }), { instanceOf: TypeError, message: /known keys only, got `sise` with 5/ });
  for (const key of ['toString', 'constructor', 'hasOwnProperty', '__proto__']) {
    t.throws(check(Object.fromEntries([[key, undefined]])), { instanceOf: TypeError, message: /known keys only/ });
  }
  t.throws(check({ ['x'.repeat(1e6)]: 1 }), { instanceOf: TypeError, message: /^.{1,200}$/ });
});

test('checkOptions refuses options that are not an object', (t) => {
  for (const options of [undefined, null, 7, 'options', [], () => undefined]) {
    t.throws(check(options), { instanceOf: TypeError, message: /^Expected `options` to be an object, got / });
  }
});

test('checkOptions shows neither credentials nor queries', (t) => {
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
  test(`the check ${name} accepts and refuses the right values`, (t) => {
    t.not(expected, '');
    for (const value of right) t.true(accepts(value));
    for (const value of wrong) t.false(accepts(value));
  });
}

function trap(): never {
  throw new Error('ran');
}

test('describe shows short, harmless values unchanged', (t) => {
  t.is(describe('text'), '"text"');
  t.is(describe(''), '""');
  t.is(describe(7), '7');
  t.is(describe(-0), '0');
  t.is(describe(NaN), 'NaN');
  t.is(describe(true), 'true');
  t.is(describe(undefined), 'undefined');
  t.is(describe(null), 'null');
  t.is(describe(10n), 'a bigint');
  t.is(describe(Symbol('secret')), 'a symbol');
  t.is(
    describe(() => 'secret'),
    'a function',
  );
  t.is(describe([1, 2]), 'an array');
  t.is(describe({ secret: 1 }), 'an object');
});

test('describe gives one short line', (t) => {
  t.is(describe('a\nb\u2028c"d'), '"a\\nb\u2028c\\"d"');
  t.is(describe('x'.repeat(10_000)), `"${'x'.repeat(80)}"`);
});

test('describe shows the host and path of a URL, but not its credentials, query or fragment', (t) => {
  t.is(describe('https://collector.example/base'), '"https://collector.example/base"');
  t.is(describe('https://user:hunter2@collector.example/base'), '"https://***@collector.example/base"');
  t.is(describe('https://collector.example/base?key=hunter2'), '"https://collector.example/base?..."');
  t.is(describe('https://collector.example/base#hunter2'), '"https://collector.example/base#..."');
  t.is(describe(new URL('https://user:hunter2@collector.example/?key=hunter3')), '"https://***@collector.example/?..."');
});

/** People write these, but no parser reads them as a URL with credentials. */
const SECRETS = [
  'http://user:hunter2@proxy:3128',
  'user:hunter2@proxy:3128',
  '//user:hunter2@proxy:3128',
  'http:/user:hunter2@proxy:3128',
  String.raw`http:\\user:hunter2@proxy:3128`,
  'http://user:x/hunter2@proxy:3128',
  'http://user:x#hunter2@proxy:3128',
  'http://user:x?hunter2@proxy:3128',
  'http://user:x@hunter2@proxy:3128',
  'HTTP://user:hunter2@proxy:3128/?a@b',
  'https://proxy/?a=b@c&key=hunter2',
  'https://proxy/?a=b@c?key=hunter2',
  'https://proxy/#a@hunter2',
  `http://${'u'.repeat(200)}:hunter2@proxy`,
];

for (const secret of SECRETS) {
  test(`describe shows no secret of ${secret.slice(0, 40)}`, (t) => {
    t.notRegex(describe(secret), /hunter2/);
  });
}

test('describe runs no code of the value and never throws', (t) => {
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const revokedList = Proxy.revocable([], {});
  revokedList.revoke();
  t.is(describe(revoked.proxy), 'an object');
  t.is(describe(revokedList.proxy), 'an object');
  t.is(describe(new Proxy({}, { getPrototypeOf: trap, get: trap })), 'an object');
  t.is(describe({ toString: trap, toJSON: trap, valueOf: trap, [Symbol.toPrimitive]: trap }), 'an object');
  t.is(describe(Object.create(URL.prototype)), 'an object');
  t.is(describe(Object.create(null)), 'an object');
});

const HARMLESS: readonly [string, () => unknown][] = [
  ['nothing', () => undefined],
  ['null', () => null],
  ['a value', () => 7],
  ['an object', () => ({})],
  ['an object with a `then` that is no function', () => ({ then: 1 })],
  ['a promise that is fulfilled', () => Promise.resolve(1)],
  ['a promise that never settles', () => new Promise(() => undefined)],
];

for (const [name, make] of HARMLESS) {
  test(`onRejection does nothing for ${name}`, async (t) => {
    onRejection(make(), () => t.fail());
    await settled();
    t.pass();
  });
}

function fail(): never {
  throw new Error('foreign');
}

class OddPromise extends Promise<void> {
  override then(): never {
    return fail();
  }
}

const REJECTING: readonly [string, () => unknown][] = [
  ['a promise', () => Promise.reject(new Error('async'))],
  ['a thenable', () => ({ then: (_: unknown, reject: (reason: Error) => void) => reject(new Error('thenable')) })],
  ['a thenable that throws', () => ({ then: fail })],
  ['a `then` that cannot be read', () => Object.defineProperty({}, 'then', { get: fail })],
  ['a promise class that throws', () => OddPromise.resolve()],
];

for (const [name, make] of REJECTING) {
  test.serial(`onRejection reports ${name} once and leaves no unhandled rejection`, async (t) => {
    let calls = 0;
    const unhandled = await unhandledRejections(() => {
      onRejection(make(), () => (calls += 1));
    });
    t.is(calls, 1);
    t.deepEqual(unhandled, []);
  });
}

test.serial('ignoreRejection returns the value, and leaves no unhandled rejection of a promise', async (t) => {
  const rejected = Promise.reject(new Error('foreign'));
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const unhandled = await unhandledRejections(() => {
    for (const value of [rejected, revoked.proxy, fail, null, undefined, 7, 'text']) t.true(ignoreRejection(value) === value);
  });
  t.deepEqual(unhandled, []);
});
