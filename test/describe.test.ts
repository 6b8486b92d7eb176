import test from 'ava';
import { describe } from '../src/base/describe.js';

function trap(): never {
  throw new Error('ran');
}

test('shows what is short and harmless as it is', (t) => {
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

test('stays on one line and short', (t) => {
  t.is(describe('a\nb\u2028c"d'), '"a\\nb\u2028c\\"d"');
  t.is(describe('x'.repeat(10_000)), `"${'x'.repeat(80)}"`);
});

test('shows the host and path of a URL, and neither its credentials nor its query nor its fragment', (t) => {
  t.is(describe('https://collector.example/base'), '"https://collector.example/base"');
  t.is(describe('https://user:hunter2@collector.example/base'), '"https://***@collector.example/base"');
  t.is(describe('https://collector.example/base?key=hunter2'), '"https://collector.example/base?..."');
  t.is(describe('https://collector.example/base#hunter2'), '"https://collector.example/base#..."');
  t.is(describe(new URL('https://user:hunter2@collector.example/?key=hunter3')), '"https://***@collector.example/?..."');
});

/** No parser takes these for a URL with credentials, and people write them all the same. */
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
  test(`shows no secret of ${secret.slice(0, 40)}`, (t) => {
    t.notRegex(describe(secret), /hunter2/);
  });
}

test('runs no code of the value and never throws', (t) => {
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
