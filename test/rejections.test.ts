/* eslint-disable unicorn/no-thenable -- thenables are what this is about */
import test from 'ava';
import { onRejection } from '../src/base/foreign-values.js';
import { settled } from './helpers/product.js';
import { unhandledRejections } from './helpers/unhandled-rejections.js';

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
  test(`does nothing for ${name}`, async (t) => {
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
  test.serial(`tells of ${name} once, and leaves no rejection to the process`, async (t) => {
    let calls = 0;
    const unhandled = await unhandledRejections(() => {
      onRejection(make(), () => (calls += 1));
    });
    t.is(calls, 1);
    t.deepEqual(unhandled, []);
  });
}
