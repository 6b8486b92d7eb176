import test from 'ava';
import { assertName, defineEvent } from '../../src/events/definition.js';
import type { Fields } from '../../src/events/definition.js';
import { boolean, count } from '../../src/events/fields.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };

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
]; // prettier-ignore

test('declares an event as it was given, with a sentence of its own or a plain one', (t) => {
  const fields = { models: count(NOTE), cached: boolean(NOTE) };
  t.deepEqual(defineEvent('model_built', fields, 'Sent when a model is built.'), {
    type: 'model_built',
    fields,
    description: 'Sent when a model is built.',
  });
  t.regex(defineEvent('model_built', fields).description, /model_built/);
  t.deepEqual(defineEvent('a'.repeat(32), {}).fields, {});
});

test('refuses an event type that could change the path', (t) => {
  for (const name of BAD_NAMES) {
    t.throws(() => defineEvent(name as string, {}), { instanceOf: TypeError, message: /event type.*\^\[a-z\]/ }, String(name));
  }
});

test('refuses a field name that could change a key', (t) => {
  for (const name of BAD_NAMES.filter((value) => typeof value === 'string')) {
    t.throws(() => defineEvent('ok', { [name]: count(NOTE) }), { instanceOf: TypeError, message: /field name of event `ok`/ }, name);
  }
});

test('refuses fields that no kind made, and texts that say nothing', (t) => {
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

test('assertName names what was to be named, and the value', (t) => {
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
