import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';
import { readConfigFile } from '../../src/base/machine.js';
import { airflowCfgPlace, readCfgOption } from '../../src/opt-out/airflow-cfg.js';
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

test('the recorded texts have at least 50 cases of each answer', (t) => {
  for (const want of ['true', 'false', 'default', 'unknown', 'error']) {
    t.true(vectors.cases.filter((one) => one.want === want).length >= 50, want);
  }
});

test('gives the broken line and the reason, without any text of the file', (t) => {
  t.deepEqual(entryOf('[cosmos]\npassword\n'), { kind: 'broken', reason: 'neither section nor option', line: 2 });
  t.deepEqual(entryOf('[a]\n[b]\n[a]\n'), { kind: 'broken', reason: 'duplicate section', line: 3 });
  t.deepEqual(entryOf('[a]\nx=1\nX=2\n'), { kind: 'broken', reason: 'duplicate option', line: 3 });
  t.deepEqual(entryOf('\nx=1\n'), { kind: 'broken', reason: 'no section header', line: 2 });
  t.deepEqual(entryOf('\ufeff[cosmos]\n'), { kind: 'broken', reason: 'byte order mark', line: 1 });
  t.deepEqual(entryOf('[cosmos]\n\nenable_telemetry=5%'), { kind: 'broken', reason: 'invalid interpolation', line: 3 });
  t.deepEqual(entryOf('[cosmos]\nenable_telemetry=%(secret)s'), {
    kind: 'broken',
    reason: 'interpolation of an unknown option',
    line: 2,
  });
});

test('shows the text of the option itself, never of other options', (t) => {
  t.is(shown('[cosmos]\npassword = hunter2\nenable_telemetry = %(password)s\n'), '%(password)s');
  t.is(shown('[cosmos]\nenable_telemetry = maybe\n  password = hunter2\n'), 'maybe');
  t.is(shown('[cosmos]\nenable_telemetry = False # password hunter2\n'), 'False');
  t.is(shown('[cosmos]\nenable_telemetry =\n  password = hunter2\n'), '');
});

test('an interpolation bomb is an error, at once', (t) => {
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

test('no text throws', (t) => {
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

const folder = mkdtempSync(join(tmpdir(), 'config-file-'));
test.after.always(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('airflow.cfg is where Airflow looks for it', (t) => {
  const table: [env: Record<string, string>, path: string][] = [
    [{ HOME: '/home/pat' }, '/home/pat/airflow/airflow.cfg'],
    [{ HOME: '/home/pat/' }, '/home/pat/airflow/airflow.cfg'],
    [{ HOME: '' }, '/airflow/airflow.cfg'],
    [{ USERPROFILE: '/users/pat' }, '/users/pat/airflow/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '/opt/airflow' }, '/opt/airflow/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '/opt/airflow/' }, '/opt/airflow/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '~/af' }, '/home/pat/af/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '$HOME/af' }, '/home/pat/af/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '/opt/$NOWHERE' }, '/opt/$NOWHERE/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '' }, 'airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: 'af/../link/..' }, 'af/../link/../airflow.cfg'],
    [{ AIRFLOW_HOME: '/opt/airflow', AIRFLOW_CONFIG: '/etc/airflow.cfg' }, '/etc/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_CONFIG: '${HOME}/my.cfg' }, '/home/pat/my.cfg'],
    [{ AIRFLOW_HOME: '/opt/airflow', AIRFLOW_CONFIG: '' }, '/opt/airflow/airflow.cfg'],
  ];
  for (const [env, path] of table) t.deepEqual(airflowCfgPlace(env), { kind: 'path', path }, JSON.stringify(env));
});

test('a place that cannot be resolved is unknown; without any place it is none', (t) => {
  t.deepEqual(airflowCfgPlace({}), { kind: 'none' });
  t.deepEqual(airflowCfgPlace({ HOME: '~bob' }), { kind: 'unknown', path: '~/airflow/airflow.cfg' });
  t.deepEqual(airflowCfgPlace({ AIRFLOW_HOME: '~/af' }), { kind: 'unknown', path: '~/af/airflow.cfg' });
  t.deepEqual(airflowCfgPlace({ HOME: '/h', AIRFLOW_HOME: '~bob/af' }), { kind: 'unknown', path: '~bob/af/airflow.cfg' });
  t.deepEqual(airflowCfgPlace({ HOME: '/h', AIRFLOW_CONFIG: '$LOOP', LOOP: 'x$LOOP' }), { kind: 'unknown', path: '$LOOP' });
});

test('reads a configuration file with its byte order mark, also through a link', (t) => {
  const path = file('plain.cfg', '\ufeff[cosmos]\r\nnäme = 1\n');
  symlinkSync(path, join(folder, 'link.cfg'));
  t.is(readConfigFile(path), '\ufeff[cosmos]\r\nnäme = 1\n');
  t.is(readConfigFile(join(folder, 'link.cfg')), '\ufeff[cosmos]\r\nnäme = 1\n');
  t.is(readConfigFile(file('empty.cfg', '')), '');
});

test('reads a configuration file of up to 1 MiB and refuses more', (t) => {
  const full = 'x'.repeat(1024 * 1024);
  t.is(readConfigFile(file('full.cfg', full)), full);
  t.throws(() => readConfigFile(file('large.cfg', `${full}x`)), { code: 'EFBIG' });
});

test('refuses a configuration file that is not UTF-8', (t) => {
  t.throws(() => readConfigFile(file('latin1.cfg', Uint8Array.of(0x5b, 0xe4, 0x5d))), { code: 'EILSEQ' });
  t.throws(() => readConfigFile(file('utf16.cfg', Buffer.from('\ufeff[cosmos]', 'utf16le'))), { code: 'EILSEQ' });
});

test('throws the error of node:fs for a missing configuration file', (t) => {
  t.throws(() => readConfigFile(join(folder, 'missing.cfg')), { code: 'ENOENT' });
  t.throws(() => readConfigFile(join(file('a.cfg', ''), 'airflow.cfg')), { code: 'ENOTDIR' });
});

test('refuses a folder, a pipe and a device instead of a configuration file, without waiting', (t) => {
  mkdirSync(join(folder, 'folder.cfg'));
  t.throws(() => readConfigFile(join(folder, 'folder.cfg')), { code: 'EISDIR' });
  if (process.platform === 'win32') return;
  execFileSync('mkfifo', [join(folder, 'pipe.cfg')]);
  t.throws(() => readConfigFile(join(folder, 'pipe.cfg')), { code: 'ENOTFILE' });
  t.throws(() => readConfigFile('/dev/zero'), { code: 'ENOTFILE' });
});
