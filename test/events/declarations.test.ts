import test from 'ava';
import { metadataFields } from '../../src/events/dag-run.js';
import { assertName, defineEvent } from '../../src/events/definition.js';
import type { EventDefinition, Fields } from '../../src/events/definition.js';
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
import { standardEvents } from '../../src/events/product-events.js';
import { standardFields } from '../../src/events/standard-metrics.js';
import { fieldExample } from '../../src/notice/fields.js';

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

/** No kind accepts any of these values, or runs their code. */
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
  test(`${kind} accepts values of its kind, up to its bounds`, (t) => {
    const field = make(NOTE);
    for (const value of accepts) t.true(field.accepts(value), String(value).slice(0, 100));
  });

  test(`${kind} refuses everything else, and runs no code of it`, (t) => {
    const field = make(NOTE);
    for (const value of refuses) t.false(field.accepts(value), String(value).slice(0, 100));
    for (const [index, value] of NEVER.entries()) t.false(field.accepts(value), `value ${index}`);
  });

  test(`${kind} has a description and a reason, and is neither nullable nor optional`, (t) => {
    const field = make(NOTE);
    t.like(field, { kind, ...NOTE, nullable: false, optional: false });
    t.true(isField(field));
  });

  test(`${kind} can be made nullable and optional, in any order`, (t) => {
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

  test(`${kind} without a description or a reason throws`, (t) => {
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
  // @ts-expect-error the reason is no text
  t.throws(() => duration({ description: 'a', reason: 7 }));
});

test('oneOf accepts only a list of bounded words, and keeps a copy of it', (t) => {
  for (const values of [[], undefined, null, 'success', {}, [1], [null], ['a', undefined], ['a'.repeat(257)]]) {
    t.throws(() => oneOf(values as string[], NOTE), { instanceOf: TypeError, message: /`values`/ });
  }
  const words = ['a', 'b'];
  const field = oneOf(words, NOTE);
  words.push('c');
  t.false(field.accepts('c'));
  t.deepEqual(field.values, ['a', 'b']);
});

test('isField recognises fields and refuses similar objects', (t) => {
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

const BAD_NAMES: readonly unknown[] = [
  '',
  'A',
  'a-b',
  'a.b',
  'a b',
  '1a',
  '_a',
  'é',
  'a/b',
  '../a',
  'a?b',
  'a&b',
  'a%',
  'a\n',
  '__proto__',
  'a'.repeat(33),
  undefined,
  null,
  7,
  ['a'],
];

test('an event is declared as it was given, with its own description or a default one', (t) => {
  const fields = { models: count(NOTE), cached: boolean(NOTE) };
  t.deepEqual(defineEvent('model_built', fields, 'Sent when a model is built.'), {
    type: 'model_built',
    fields,
    description: 'Sent when a model is built.',
  });
  t.regex(defineEvent('model_built', fields).description, /model_built/);
  t.deepEqual(defineEvent('a'.repeat(32), {}).fields, {});
});

test('an event type that could change the path is refused', (t) => {
  for (const name of BAD_NAMES) {
    t.throws(() => defineEvent(name as string, {}), { instanceOf: TypeError, message: /event type.*\^\[a-z\]/ }, String(name));
  }
});

test('a field name that could change a key is refused', (t) => {
  for (const name of BAD_NAMES.filter((value) => typeof value === 'string')) {
    t.throws(() => defineEvent('ok', { [name]: count(NOTE) }), { instanceOf: TypeError, message: /field name of event `ok`/ }, name);
  }
});

test('fields that no kind made and blank descriptions are refused', (t) => {
  const { description: _, ...withoutText } = count(NOTE);
  for (const field of [undefined, null, true, 'count', {}, { accepts: () => true }, withoutText]) {
    t.throws(() => defineEvent('ok', { models: field } as object as Fields), { instanceOf: TypeError, message: /`models` of event `ok`/ });
  }
  for (const fields of [undefined, null, 7, 'a', [count(NOTE)]]) {
    t.throws(() => defineEvent('ok', fields as object as Fields), { instanceOf: TypeError });
  }
  for (const description of ['', ' ', null, 7]) {
    t.throws(() => defineEvent('ok', {}, description as string), { instanceOf: TypeError, message: /`description`/ });
  }
});

test('assertName names the option and the value', (t) => {
  t.notThrows(() => {
    assertName('it', 'a0_');
  });
  t.throws(
    () => {
      assertName('`product.name`', 'https://user:hunter2@host');
    },
    { instanceOf: TypeError, message: 'Expected `product.name` to match ^[a-z][a-z0-9_]{0,31}$, got "https://***@host".' },
  );
});

function declaring(field: Field) {
  return () => defineEvent('render', { models: field });
}

/** Every field that this package declares, by event. */
function declared(product: string): [string, Field][] {
  const groups = [
    standardFields(product, 'airflow'),
    metadataFields,
    ...standardEvents(product, { dbt: true, executionModes: ['local'], dagHash: () => null }).map(({ fields }) => fields),
  ];
  return groups.flatMap((fields) => Object.entries<Field>(fields));
}

for (const product of ['cosmos', 'acme']) {
  test(`${product}: every declared field has a description, a reason and an example that it accepts`, (t) => {
    t.true(declared(product).length > 30);
    for (const [name, field] of declared(product)) {
      t.regex(field.description, /^[A-Z].*\.$/, name);
      t.regex(field.reason, /^To .*\.$/, name);
      t.true(field.accepts(fieldExample(field)), name);
      // The default example of such a kind says nothing about the field.
      if (/^(?:identifier|command|version|count)/.test(field.kind) && field.values === undefined) t.not(field.example, undefined, name);
    }
  });
}

// The compiler refuses each line below: a `@ts-expect-error` without an error fails the compilation. The same code throws at run time,
// for callers in JavaScript.
test('a field without description and reason neither compiles nor runs', (t) => {
  const refused = { instanceOf: TypeError, message: /to say something/ };
  // @ts-expect-error: no note at all
  t.throws(() => defineEvent('render', { models: count() }), refused);
  // @ts-expect-error: no reason
  t.throws(() => defineEvent('render', { models: count({ description: 'How many.' }) }), refused);
  // @ts-expect-error: no description
  t.throws(() => defineEvent('render', { done: boolean({ reason: 'To know.' }) }), refused);
  // @ts-expect-error: no reason
  t.throws(() => defineEvent('render', { loader: oneOf(['dbt_ls'], { description: 'How.' }) }), refused);
  // @ts-expect-error: no reason, however it is wrapped
  t.throws(() => defineEvent('render', { models: optional(nullable(count({ description: 'How many.' }))) }), refused);
  t.throws(() => count({ description: 'How many.', reason: ' ' }), refused);
});

test('a field that is written out needs both, too', (t) => {
  const made = { kind: 'count', nullable: false, optional: false, accepts: () => true } as const;
  const refused = { instanceOf: TypeError, message: /to be made by count\(\), oneOf\(\) or another kind/ };
  // @ts-expect-error: neither description nor reason
  t.throws(() => defineEvent('render', { models: made }), refused);
  // @ts-expect-error: no reason
  t.throws(() => defineEvent('render', { models: { ...made, description: 'How many.' } }), refused);
  // @ts-expect-error: neither description nor reason, where an event is written out
  const event: EventDefinition = { type: 'render', description: 'Sent when it ends.', fields: { models: made } };
  t.is(event.type, 'render');
});

test('an event needs a description', (t) => {
  t.is(defineEvent('render', {}).description, 'Sent when the product publishes `render`.');
  t.throws(() => defineEvent('render', {}, ' '), {
    instanceOf: TypeError,
    message: 'Expected `description` of event `render` to say something, got " ".',
  });
});

test('an example is optional, has the type of its field and is within its bounds', (t) => {
  const plain: FieldNote = NOTE;
  t.false('example' in count(plain));
  t.is(count({ ...NOTE, example: 7 }).example, 7);
  t.is(optional(nullable(duration({ ...NOTE, example: 7.5 }))).example, 7.5);
  t.throws(declaring(count({ ...NOTE, example: -1 })), {
    instanceOf: TypeError,
    message: 'Expected `example` of field `models` to be a value that it accepts, got -1.',
  });
  t.throws(declaring(identifier({ ...NOTE, example: 'two words' })), { instanceOf: TypeError });
  t.throws(declaring(hash({ ...NOTE, example: 'short' })), { instanceOf: TypeError });
  // @ts-expect-error: no number
  t.throws(declaring(count({ ...NOTE, example: 'seven' })), { instanceOf: TypeError });
  // @ts-expect-error: not one of the two
  t.throws(declaring(oneOf(['completed', 'cancelled'], { ...NOTE, example: 'lost' })), { instanceOf: TypeError });
});
