import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';

import { readCfgOption } from '../../src/opt-out/airflow-cfg.js';
import type { CfgEntry } from '../../src/opt-out/airflow-cfg.js';
import { airflowValue } from '../../src/opt-out/variables.js';
import { readVectors } from '../helpers/vectors.js';

interface CfgVectors {
  env: Record<string, string>;
  cases: { text: string; want: 'true' | 'false' | 'default' | 'unknown' | 'error'; line?: number }[];
}

const vectors = readVectors('airflow-cfg.json') as CfgVectors;

const entryOf = (text: string): CfgEntry => readCfgOption(text, 'cosmos', 'enable_telemetry');

function shown(text: string): string | undefined {
  const entry = entryOf(text);
  return entry.kind === 'found' ? entry.shown : undefined;
}

function read(text: string): { want: string; line?: number } {
  const entry = entryOf(text);
  if (entry.kind === 'absent') return { want: 'default' };
  if (entry.kind === 'broken') return { want: 'error' };
  return { want: String(airflowValue(entry.value, vectors.env) ?? 'unknown'), line: entry.line };
}

test('reads every text as Python reads it, with the line of the option', (t) => {
  for (const { text, ...expected } of vectors.cases) t.deepEqual(read(text), expected, JSON.stringify(text));
});

test('the recorded texts hold enough of every answer to mean something', (t) => {
  for (const want of ['true', 'false', 'default', 'unknown', 'error']) {
    t.true(vectors.cases.filter((one) => one.want === want).length >= 50, want);
  }
});

test('says which line is broken and why, without a word of the file', (t) => {
  t.deepEqual(entryOf('[cosmos]\npassword\n'), { kind: 'broken', reason: 'neither section nor option', line: 2 });
  t.deepEqual(entryOf('[a]\n[b]\n[a]\n'), { kind: 'broken', reason: 'section stands twice', line: 3 });
  t.deepEqual(entryOf('[a]\nx=1\nX=2\n'), { kind: 'broken', reason: 'option stands twice', line: 3 });
  t.deepEqual(entryOf('\nx=1\n'), { kind: 'broken', reason: 'no section header', line: 2 });
  t.deepEqual(entryOf('\ufeff[cosmos]\n'), { kind: 'broken', reason: 'byte order mark', line: 1 });
  t.deepEqual(entryOf('[cosmos]\n\nenable_telemetry=5%'), { kind: 'broken', reason: 'wrong interpolation', line: 3 });
  t.deepEqual(entryOf('[cosmos]\nenable_telemetry=%(secret)s'), {
    kind: 'broken',
    reason: 'interpolation of an unknown option',
    line: 2,
  });
});

test('shows what stands in the option itself, never what other options add to it', (t) => {
  t.is(shown('[cosmos]\npassword = hunter2\nenable_telemetry = %(password)s\n'), '%(password)s');
  t.is(shown('[cosmos]\nenable_telemetry = maybe\n  password = hunter2\n'), 'maybe');
  t.is(shown('[cosmos]\nenable_telemetry = False # password hunter2\n'), 'False');
  t.is(shown('[cosmos]\nenable_telemetry =\n  password = hunter2\n'), '');
});

test('an interpolation bomb ends as an error, in no time', (t) => {
  const wide = Array.from({ length: 9 }, (_, index) => `o${index} = ${`%(o${index + 1})s`.repeat(100)}\n`).join('');
  const references = `[cosmos]\n${wide}o9 =\nenable_telemetry = %(o0)s\n`;
  t.deepEqual(entryOf(references), {
    kind: 'broken',
    reason: 'too much interpolation',
    line: 12,
  });
  const long = `[cosmos]\nenable_telemetry = ${'%(x)s'.repeat(900)}\nx = ${'x'.repeat(900_000)}\n`;
  t.deepEqual(entryOf(long), { kind: 'broken', reason: 'too much interpolation', line: 2 });
});

test('a value of 1,000 references is still a value', (t) => {
  const text = `[cosmos]\nenable_telemetry = tr${'%(empty)s'.repeat(1000)}ue\nempty =\n`;
  t.deepEqual(read(text), { want: 'true', line: 2 });
});

test('no text makes it throw', (t) => {
  const pieces = fc.constantFrom(
    '[cosmos]',
    '[DEFAULT]',
    '[',
    ']',
    '\n',
    '\r\n',
    '\r',
    ' ',
    '\t',
    '=',
    ':',
    '#',
    ';',
    '%',
    '%(',
    ')s',
    '%%',
    'enable_telemetry',
    'a',
    'true',
    'false',
    '\ufeff',
    '\u0000',
    '\u0085',
    '$',
    '${',
    '}',
    '~',
    '\ud800',
  );
  const text = fc.oneof(
    anyText({ maxLength: 200 }),
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (body) => {
      for (const whole of [body, `[cosmos]\nenable_telemetry = ${body}`]) {
        const entry = entryOf(whole);
        if (entry.kind === 'found') airflowValue(entry.value, { a: '$a', true: '$false', false: '${true}' });
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
