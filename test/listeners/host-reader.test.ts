import test from 'ava';
import { Ledger } from '../../src/base/ledger.js';
import { HostReader, isObject, LOST } from '../../src/listeners/host-reader.js';

function setUp() {
  const ledger = new Ledger();
  return { ledger, reader: new HostReader(ledger) };
}

function throws(): never {
  throw new Error('hunter2');
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

test('reads a property as it is, inherited ones and those of getters too', (t) => {
  const { ledger, reader } = setUp();
  const inner = {};
  t.is(reader.read({ a: inner }, 'a'), inner);
  t.is(
    reader.read(
      {
        get a() {
          return 7;
        },
      },
      'a',
    ),
    7,
  ); // prettier-ignore
  t.is(reader.read(Object.create({ a: 8 }) as object, 'a'), 8);
  t.is(reader.read({}, 'a'), undefined);
  t.is(ledger.fieldsDropped, 0);
});

test('what throws when it is asked is lost and counted', (t) => {
  const { ledger, reader } = setUp();
  const sources = [Object.defineProperty({}, 'a', { get: throws }), new Proxy({}, { get: throws }), revoked({})];
  for (const source of sources) t.is(reader.read(source, 'a'), LOST);
  for (const source of sources) t.is(reader.object(source, 'a'), undefined);
  for (const source of sources) t.is(reader.plainValue(reader.read(source, 'a'), 'a'), LOST);
  t.is(ledger.fieldsDropped, 9);
});

test('object() gives objects only', (t) => {
  const { reader } = setUp();
  const inner = {};
  t.is(reader.object({ a: inner }, 'a'), inner);
  for (const value of [undefined, null, 7, 'a', true, Symbol('a'), throws]) t.is(reader.object({ a: value }, 'a'), undefined);
});

test('plain values are kept as they are, up to the longest text that a field could hold', (t) => {
  const { ledger, reader } = setUp();
  for (const value of ['', 'a', 'x'.repeat(256), 0, -1, NaN, Infinity, true, false, null, undefined]) {
    t.is(reader.plainValue(value, 'x'), value);
    t.is(reader.plainValue(reader.read({ a: value }, 'a'), 'a'), value);
  }
  t.is(ledger.fieldsDropped, 0);
});

test('anything else is lost, and each loss is counted once', (t) => {
  const { ledger, reader } = setUp();
  const values = ['x'.repeat(257), {}, [], throws, Symbol('a'), 1n, new Date(0), Object('a'), revoked({}), Promise.resolve('a')];
  for (const value of values) t.is(reader.plainValue(value, 'x'), LOST);
  t.is(ledger.fieldsDropped, values.length);
  t.is(reader.plainValue(LOST, 'x'), LOST);
  t.is(ledger.fieldsDropped, values.length);
});

test('list() knows lists, and takes a revoked proxy for none', (t) => {
  const { reader } = setUp();
  const list = [1];
  t.is(reader.list(list), list);
  for (const value of [undefined, null, 7, 'a', {}, { length: 1 }, new Set([1]), revoked({}), revoked([])])
    t.is(reader.list(value), undefined);
});

test('isObject knows what can have properties worth reading', (t) => {
  for (const value of [{}, [], new Date(0), revoked({})]) t.true(isObject(value));
  for (const value of [undefined, null, 7, 'a', true, 1n, Symbol('a'), throws]) t.false(isObject(value));
});
