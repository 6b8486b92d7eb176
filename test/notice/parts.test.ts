import test from 'ava';
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
  wordSet,
} from '../../src/events/fields.js';
import type { Field } from '../../src/events/fields.js';
import { fieldBounds, fieldExample, fieldOnWire } from '../../src/notice/fields.js';
import { bullets, codeSpan, prose, table } from '../../src/notice/markdown.js';
import { configFilePlaces, OPT_OUT_FILE, optOutTable } from '../../src/notice/opt-outs.js';
import { resolveSettings, shouldEmit } from '../../src/opt-out/settings.js';

const note = { description: 'For this test.', reason: 'For this test.' };

const KINDS: [Field, bounds: string, onWire: string][] = [
  [oneOf(['s3', 'gcs'], note), 'one of `s3`, `gcs`', 's3'],
  [oneOf(['only'], note), 'always `only`', 'only'],
  [oneOf(['', 'a b'], note), 'one of nothing, `a b`', ''],
  [boolean(note), '`True` or `False`', 'True'],
  [count(note), 'a whole number from 0 to 2^53', '3'],
  [duration(note), 'a number of seconds, 0 or more', '1.5'],
  [identifier(note), 'a name from program code, 1 to 128 characters', 'SomeName'],
  [wordSet(['local', 'aws_eks'], note), 'none or some of `local`, `aws_eks`, joined by two underscores', 'local'],
  [identifierSet(note), 'names from program code joined by two underscores, 0 to 256 characters', 'one__two'],
  [command(note), 'words of a command line, 1 to 128 characters', 'run'],
  [version(note), 'a version, 1 to 64 characters', '1.4.0'],
  [hash(note), 'a digest or another opaque id, 8 to 128 characters', '06e5b98c2db46f8a72cc4f66410e9b3b'],
];

for (const [field, bounds, onWire] of KINDS) {
  test(`${field.kind} (${onWire}): bounds in words, and an example that the field accepts`, (t) => {
    t.is(fieldBounds(field), bounds);
    const example = fieldExample(field);
    t.true(field.accepts(example));
    t.is(fieldOnWire(field, example), onWire);
  });
}

const x = (length: number) => 'x'.repeat(length);

test('the bounds in words are the bounds that a kind checks', (t) => {
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

test('nullable and optional change the words and not the example', (t) => {
  t.is(fieldBounds(nullable(boolean(note))), '`True` or `False`, or `None`');
  t.is(fieldBounds(optional(nullable(boolean(note)))), '`True` or `False`, or `None`; may be missing');
  t.is(fieldExample(optional(nullable(count({ ...note, example: 7 })))), 7);
});

test('a value is written as it is sent', (t) => {
  t.is(fieldOnWire(duration(note), 7), '7.0');
  t.is(fieldOnWire(count(note), 7), '7');
  t.is(fieldOnWire(command(note), 'source freshness'), 'source+freshness');
  t.is(fieldOnWire(nullable(version(note)), null), 'None');
  t.is(fieldOnWire(version(note), '2.10.1+x'), '2.10.1%2Bx');
});

const enabled = (product: string, env: NodeJS.ProcessEnv) => shouldEmit(resolveSettings({ product, env }));

test('every switch is listed, those of Airflow only for cosmos', (t) => {
  t.deepEqual(
    optOutTable('acme').map(({ kind, name }) => [kind, name]),
    [
      ['env', 'DO_NOT_TRACK'],
      ['env', 'SCARF_NO_ANALYTICS'],
      ['env', 'ACME_TELEMETRY'],
      ['file', 'your own telemetry.json'],
      ['file', "the machine's telemetry.json"],
      ['option', 'enabled: false'],
      ['option', "consent: 'opt-in'"],
    ],
  );
  const own = new Set(optOutTable('acme').map(({ name }) => name));
  t.deepEqual(
    optOutTable('cosmos')
      .map(({ name }) => name)
      .filter((name) => !own.has(name)),
    ['COSMOS_TELEMETRY', 'AIRFLOW__COSMOS__ENABLE_TELEMETRY', 'enable_telemetry under [cosmos] in airflow.cfg'],
  );
});

for (const product of ['cosmos', 'acme']) {
  test(`${product}: a variable opts out with the example and an unknown word, and not with the words that the table excludes`, (t) => {
    const variables = optOutTable(product).filter(({ kind }) => kind === 'env');
    t.is(variables.length, product === 'cosmos' ? 4 : 3);
    for (const { name, example = '', harmlessValue = '', optsOutWhen } of variables) {
      const [variable = '', value = ''] = example.split('=');
      t.is(variable, name);
      t.false(enabled(product, { [variable]: value }), example);
      t.false(enabled(product, { [name]: 'perhaps' }), name);
      const words = [...optsOutWhen.matchAll(/`(\w+)`/g)].map(([, word = '']) => word);
      t.true(words.length >= 3);
      for (const word of words) t.true(enabled(product, { [name]: word.toUpperCase() }), `${name}=${word}`);
      t.not(harmlessValue, '');
      t.true(enabled(product, { [name]: harmlessValue }), `${name}=${harmlessValue}`);
      t.is(enabled(product, { [name]: '' }), optsOutWhen.includes('an empty value'), `${name} set to an empty value`);
    }
  });
}

test('the file that opts out is JSON, and is in the usual place of each system', (t) => {
  t.deepEqual(JSON.parse(OPT_OUT_FILE), { enabled: false });
  t.deepEqual(configFilePlaces('acme'), [
    { system: 'Linux and others', own: '~/.config/acme/telemetry.json', machineWide: '/etc/xdg/acme/telemetry.json' },
    {
      system: 'macOS',
      own: '~/Library/Application Support/acme/telemetry.json',
      machineWide: '/Library/Application Support/acme/telemetry.json',
    },
    { system: 'Windows', own: String.raw`%APPDATA%\acme\telemetry.json`, machineWide: String.raw`%PROGRAMDATA%\acme\telemetry.json` },
  ]);
});

test('a code span holds any text, on one line', (t) => {
  t.is(codeSpan('task_count'), '`task_count`');
  t.is(codeSpan('a`b'), '``a`b``');
  t.is(codeSpan('`b'), '`` `b ``');
  t.is(codeSpan('a\n\tb'), '`a b`');
});

test('a declared sentence becomes one line of prose: no HTML, code spans unchanged', (t) => {
  t.is(prose('  How many\n\n# rows? '), 'How many # rows?');
  t.is(prose('fewer than <b>, as in `a < b`'), 'fewer than \\<b>, as in `a < b`');
});

test('an item of a list is one line', (t) => {
  t.is(bullets(['one', 'two']), '- one\n- two');
});

test('a row of a table is one line, and a bar in a cell does not end it', (t) => {
  t.is(table(['A', 'B'], [['`a|b`', 'c | d']]), '| A | B |\n| --- | --- |\n| `a\\|b` | c \\| d |');
});
