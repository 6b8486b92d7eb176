import test from 'ava';
import { metadataFields } from '../../src/events/dag-run.js';
import { fieldExample } from '../../src/notice/fields.js';
import { builtInEvents } from '../../src/events/product-events.js';
import { standardFields } from '../../src/events/standard-metrics.js';
import { boolean, count, defineEvent, duration, hash, identifier, nullable, oneOf, optional } from '../../src/index.js';
import type { EventDefinition, Field, FieldNote } from '../../src/index.js';

const note = { description: 'For this test.', reason: 'For this test.' };

function declaring(field: Field) {
  return () => defineEvent('render', { models: field });
}

/** Every field that this package declares, by event. */
function declared(product: string): [string, Field][] {
  const groups = [standardFields(product, 'airflow'), metadataFields, ...builtInEvents(product).map(({ fields }) => fields)];
  return groups.flatMap((fields) => Object.entries<Field>(fields));
}

for (const product of ['cosmos', 'acme']) {
  test(`${product}: every declared field says what and why, and has an example that it accepts`, (t) => {
    t.true(declared(product).length > 30);
    for (const [name, field] of declared(product)) {
      t.regex(field.description, /^[A-Z].*\.$/, name);
      t.regex(field.reason, /^To .*\.$/, name);
      t.true(field.accepts(fieldExample(field)), name);
      // What a kind can make up says nothing about a name from somebody's code.
      if (/^(?:identifier|command|version|count)/.test(field.kind)) t.not(field.example, undefined, name);
    }
  });
}

// Each line below is refused by the compiler: an error that is expected and does not come fails the compilation of this file. At
// run time the same is refused, for those who write JavaScript.
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

test('a field made by hand must say it too', (t) => {
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

test('an event says when it is sent', (t) => {
  t.is(defineEvent('render', {}).description, 'Sent when the product publishes `render`.');
  t.throws(() => defineEvent('render', {}, ' '), {
    instanceOf: TypeError,
    message: 'Expected `description` of event `render` to say something, got " ".',
  });
});

test('an example is optional, of the type of the field, and within its bounds', (t) => {
  const plain: FieldNote = note;
  t.false('example' in count(plain));
  t.is(count({ ...note, example: 7 }).example, 7);
  t.is(optional(nullable(duration({ ...note, example: 7.5 }))).example, 7.5);
  t.throws(declaring(count({ ...note, example: -1 })), {
    instanceOf: TypeError,
    message: 'Expected `example` of field `models` to be a value that it accepts, got -1.',
  });
  t.throws(declaring(identifier({ ...note, example: 'two words' })), { instanceOf: TypeError });
  t.throws(declaring(hash({ ...note, example: 'short' })), { instanceOf: TypeError });
  // @ts-expect-error: no number
  t.throws(declaring(count({ ...note, example: 'seven' })), { instanceOf: TypeError });
  // @ts-expect-error: not one of the two
  t.throws(declaring(oneOf(['completed', 'cancelled'], { ...note, example: 'lost' })), { instanceOf: TypeError });
});
