import test from 'ava';
import {
  boolean,
  command,
  count,
  duration,
  hash,
  identifier,
  identifierSet,
  isField,
  nullable,
  oneOf,
  optional,
  version,
} from '../../src/events/fields.js';
import type { Field, FieldNote } from '../../src/events/fields.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };

interface Kind {
  make: (note: FieldNote) => Field;
  accepts: readonly unknown[];
  refuses: readonly unknown[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  oneOf: {
    make: (note) => oneOf(['success', 'failed'], note),
    accepts: ['success', 'failed'],
    refuses: ['', 'Success', 'success ', 'successfailed', 'skipped', ['success']],
  },
  boolean: { make: boolean, accepts: [true, false], refuses: [0, 1, 'true', 'false', '', Object(true)] },
  count: {
    make: count,
    accepts: [0, -0, 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53],
    refuses: [-1, 0.5, 1e-300, 2 ** 53 + 2, 1e300, NaN, Infinity, -Infinity, '1', 1n, Object(1)],
  },
  duration: {
    make: duration,
    accepts: [0, -0, 7, 7.5, 5e-324, 1e-7, 1e16, Number.MAX_VALUE],
    refuses: [-1, -5e-324, NaN, Infinity, -Infinity, '7', 7n, Object(7)],
  },
  identifier: {
    make: identifier,
    accepts: ['a', '_', 'é', '中', 'DbtRunLocalOperator', 'a.b:c-d_e', 'a1', 'à'.normalize('NFC'), 'a'.repeat(128), '𝒳'.repeat(128)],
    refuses: [
      '',
      ' ',
      '1a',
      '.a',
      '-a',
      ':a',
      'a b',
      'a/b',
      'a@b',
      'a\n',
      '\na',
      'a\0',
      'a%',
      'a+b',
      '🚀',
      'a🚀',
      '\uD835',
      'a'.repeat(129),
      '𝒳'.repeat(129),
    ],
  },
  identifierSet: {
    make: identifierSet,
    accepts: ['', 'local', 'docker__local', 'é__中', 'a'.repeat(256)],
    refuses: [' ', '1', 'a b', 'a,b', 'a\n', '🚀', 'a'.repeat(257)],
  },
  command: {
    make: command,
    accepts: ['run', 'run --full-refresh', '-x', '0', '_', 'a'.repeat(128), `${'a'.repeat(63)} ${'b'.repeat(64)}`],
    refuses: ['', ' ', ' run', 'run ', 'run  x', 'run\tx', 'run\n', 'a=b', '/bin/dbt', 'a.b', 'é', 'a;b', '$(a)', 'a'.repeat(129)],
  },
  version: {
    make: version,
    accepts: ['1', '1.12.0', '2.10.1+astro.1', '1!2.0rc1', 'v', '1.0.0-alpha_1', 'a'.repeat(64)],
    refuses: ['', '.1', '-1', '+1', '1 0', '1/2', '1%2B', '1\n', 'é', 'a'.repeat(65)],
  },
  hash: {
    make: hash,
    accepts: ['abcdefgh', '12345678', '________', '--------', 'd41d8cd98f00b204e9800998ecf8427e', 'A'.repeat(128)],
    refuses: ['', 'abcdefg', 'abcdefg ', 'abcdefg\n', 'abcd.efgh', 'abcdefgé', 'sha256:abcdefgh', 'A'.repeat(129)],
  },
};

function ran(): never {
  throw new Error('ran code of the value');
}

const REVOKED = Proxy.revocable({}, {});
REVOKED.revoke();

/** No kind takes any of these, or runs anything of them. */
const NEVER: readonly unknown[] = [
  undefined,
  null,
  {},
  [],
  [true],
  Symbol('a'),
  ran,
  new Date(0),
  Promise.resolve('run'),
  { toString: () => 'success', valueOf: () => 1 },
  { toString: ran, valueOf: ran, [Symbol.toPrimitive]: ran, toJSON: ran },
  new Proxy({}, { get: ran, has: ran, getPrototypeOf: ran }),
  REVOKED.proxy,
  Object('success'),
  'x'.repeat(1e7),
];

for (const [kind, { make, accepts, refuses }] of Object.entries(KINDS)) {
  test(`${kind} accepts what is of its kind, up to its bounds`, (t) => {
    const field = make(NOTE);
    for (const value of accepts) t.true(field.accepts(value), String(value).slice(0, 100));
  });

  test(`${kind} refuses everything else, and runs nothing of it`, (t) => {
    const field = make(NOTE);
    for (const value of refuses) t.false(field.accepts(value), String(value).slice(0, 100));
    for (const [index, value] of NEVER.entries()) t.false(field.accepts(value), `value ${index}`);
  });

  test(`${kind} says what it is and why, and may neither be null nor be left out`, (t) => {
    const field = make(NOTE);
    t.like(field, { kind, ...NOTE, nullable: false, optional: false });
    t.true(isField(field));
  });

  test(`${kind}: nullable and optional in any order`, (t) => {
    const plain = make(NOTE);
    const all: [Field, { nullable: boolean; optional: boolean }][] = [
      [nullable(plain), { nullable: true, optional: false }],
      [optional(plain), { nullable: false, optional: true }],
      [nullable(optional(plain)), { nullable: true, optional: true }],
      [optional(nullable(plain)), { nullable: true, optional: true }],
      [nullable(nullable(plain)), { nullable: true, optional: false }],
    ];
    for (const [field, flags] of all) {
      t.like(field, { kind, ...NOTE, ...flags });
      t.is(field.accepts(null), flags.nullable);
      t.false(field.accepts(undefined));
      t.true(field.accepts(accepts[0]));
      t.false(field.accepts(refuses[0]));
      t.true(isField(field));
    }
    t.false(plain.accepts(null));
  });

  test(`${kind} without a description or a reason is a mistake`, (t) => {
    const notes: unknown[] = [undefined, null, {}, { description: 'a' }, { reason: 'a' }, { ...NOTE, description: '' }];
    notes.push({ ...NOTE, reason: ' \n' }, { ...NOTE, description: 7 }, { ...NOTE, reason: null });
    for (const note of notes) {
      t.throws(() => make(note as FieldNote), { instanceOf: TypeError, message: /description|reason/ });
    }
  });
}

test('a missing text does not compile', (t) => {
  // @ts-expect-error both are missing
  t.throws(() => boolean({}));
  // @ts-expect-error the reason is missing
  t.throws(() => count({ description: 'a' }));
  // @ts-expect-error the description is missing
  t.throws(() => hash({ reason: 'a' }));
  // @ts-expect-error there is no note at all
  t.throws(() => oneOf(['a']));
  // @ts-expect-error a text is no text
  t.throws(() => duration({ description: 'a', reason: 7 }));
});

test('oneOf takes a list of bounded words only, keeps a copy of it, and shows it', (t) => {
  for (const values of [[], undefined, null, 'success', {}, [1], [null], ['a', undefined], ['a'.repeat(257)]]) {
    t.throws(() => oneOf(values as string[], NOTE), { instanceOf: TypeError, message: /`values`/ });
  }
  const words = ['a', 'b'];
  const field = oneOf(words, NOTE);
  words.push('c');
  t.false(field.accepts('c'));
  t.deepEqual(field.values, ['a', 'b']);
});

test('isField knows a field from what only looks like one', (t) => {
  const field = count(NOTE);
  for (const value of [
    undefined,
    null,
    7,
    'count',
    {},
    [],
    { accepts: () => true },
    { ...field, reason: '' },
    { ...field, description: undefined },
  ]) {
    t.false(isField(value));
  }
  t.false(isField({ ...field, accepts: true }));
  t.true(isField({ ...field }));
});
