import test from 'ava';
import { fieldBounds, fieldExample, fieldOnWire } from '../../src/notice/fields.js';
import {
  boolean,
  command,
  count,
  duration,
  hash,
  identifier,
  identifierSet,
  nullable,
  oneOf,
  optional,
  version,
} from '../../src/events/fields.js'; // prettier-ignore
import type { Field } from '../../src/events/fields.js';

const note = { description: 'For this test.', reason: 'For this test.' };

const KINDS: [Field, bounds: string, onWire: string][] = [
  [oneOf(['s3', 'gcs'], note), 'one of `s3`, `gcs`', 's3'],
  [oneOf(['only'], note), 'always `only`', 'only'],
  [oneOf(['', 'a b'], note), 'one of nothing, `a b`', ''],
  [boolean(note), '`True` or `False`', 'True'],
  [count(note), 'a whole number from 0 to 2^53', '3'],
  [duration(note), 'a number of seconds, 0 or more', '1.5'],
  [identifier(note), 'a name from program code, 1 to 128 characters', 'SomeName'],
  [identifierSet(note), 'names from program code joined by two underscores, 0 to 256 characters', 'one__two'],
  [command(note), 'words of a command line, 1 to 128 characters', 'run'],
  [version(note), 'a version, 1 to 64 characters', '1.4.0'],
  [hash(note), 'a digest or another opaque id, 8 to 128 characters', '06e5b98c2db46f8a72cc4f66410e9b3b'],
];

for (const [field, bounds, onWire] of KINDS) {
  test(`${field.kind} (${onWire}): bounds in words, an example that it accepts`, (t) => {
    t.is(fieldBounds(field), bounds);
    const example = fieldExample(field);
    t.true(field.accepts(example));
    t.is(fieldOnWire(field, example), onWire);
  });
}

const x = (length: number) => 'x'.repeat(length);

test('what is said of a kind is what it accepts', (t) => {
  const limits: [Field, good: unknown[], bad: unknown[]][] = [
    [count(note), [0, 2 ** 53], [-1, 2 ** 53 + 2, 1.5]],
    [duration(note), [0, 1.5], [-0.1, Infinity]],
    [identifier(note), [x(1), x(128)], ['', x(129)]],
    [identifierSet(note), ['', x(256)], [x(257)]],
    [command(note), [x(1), x(128)], ['', x(129)]],
    [version(note), [x(1), x(64)], ['', x(65)]],
    [hash(note), [x(8), x(128)], [x(7), x(129)]],
  ];
  for (const [field, good, bad] of limits) {
    for (const value of good) t.true(field.accepts(value), field.kind);
    for (const value of bad) t.false(field.accepts(value), field.kind);
    for (const sign of ['/', '@', '\\', '\n', '%', '?']) t.false(field.accepts(`abcdefgh${sign}abcdefgh`), field.kind + sign);
    t.is(field.accepts('abcdefgh abcdefgh'), field.kind === 'command');
  }
});

test('null and absence are said, and change no example', (t) => {
  t.is(fieldBounds(nullable(boolean(note))), '`True` or `False`, or `None`');
  t.is(fieldBounds(optional(nullable(boolean(note)))), '`True` or `False`, or `None`; may be missing');
  t.is(fieldExample(optional(nullable(count({ ...note, example: 7 })))), 7);
});

test('a value is written as it leaves', (t) => {
  t.is(fieldOnWire(duration(note), 7), '7.0');
  t.is(fieldOnWire(count(note), 7), '7');
  t.is(fieldOnWire(command(note), 'source freshness'), 'source+freshness');
  t.is(fieldOnWire(nullable(version(note)), null), 'None');
  t.is(fieldOnWire(version(note), '2.10.1+x'), '2.10.1%2Bx');
});
