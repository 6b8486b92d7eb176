// Events as lines: what of a line is forwarded, and the two forms turned into each other.
import test from 'ava';
import { admitLine, becomesLine, idIn, isLine, lineOfTarget, readmit, targetOfLine } from '../../src/relay/event-lines.js';
import type { DroppedField } from '../../src/relay/declared-fields.js';
import { readVectors } from '../helpers/vectors.js';

const OPTIONS = { isVerbatim: false, maxForwardBytes: 8000 };
const ID = '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b';
const TIME_MS = Date.UTC(2026, 10, 28, 22, 30);
const HEAD = `{"id":"${ID}","time":"2026-11-28T22:30:00.000Z","event":`;

function admitted(fields: string, type = 'task_instance'): [line: string, dropped: string[]] | string {
  const found = admitLine(`${HEAD}"${type}"${fields}}`, OPTIONS);
  return 'line' in found ? [found.line.slice(HEAD.length), found.dropped.map(({ name, why }) => `${name} ${why}`)] : found.reason;
}

test('declared fields of their kinds stay, all others are dropped', (t) => {
  t.deepEqual(admitted(',"status":"success","new_field":1,"duration":7.0'), [
    '"task_instance","status":"success","duration":7.0}',
    ['new_field undeclared'],
  ]);
  t.deepEqual(admitted(',"has_callback":"True","is_mapped_task":1,"duration":"7.0","status":7,"database":true'), [
    '"task_instance"}',
    ['has_callback ill_typed', 'is_mapped_task ill_typed', 'duration ill_typed', 'status ill_typed', 'database ill_typed'],
  ]);
  t.deepEqual(admitted(',"task_count":7,"dag_hash":"h0123456789","cosmos_task_count":0.5', 'dag_run'), [
    '"dag_run","task_count":7,"dag_hash":"h0123456789"}',
    ['cosmos_task_count ill_typed'],
  ]);
  t.deepEqual(admitted(',"dag_hash":"0123456789"', 'dag_run'), ['"dag_run"}', ['dag_hash ill_typed']], 'a hash begins with the letter');
  t.is(admitted('', 'other'), 'unknown_event');
});

test('a number is of the declared kind, however it is written', (t) => {
  t.deepEqual(admitted(',"duration":7'), ['"task_instance","duration":7.0}', []]);
  t.deepEqual(admitted(',"task_count":7.0,"dag_hash":"h0123456789"', 'dag_run'), [
    '"dag_run","task_count":7,"dag_hash":"h0123456789"}',
    [],
  ]);
  t.deepEqual(admitted(',"duration":7.5'), ['"task_instance","duration":7.5}', []]);
});

test('a line that is kept whole is kept byte for byte', (t) => {
  const line = `{ "event":"task_instance", "duration":1.50, "id":"${ID}", "time":"2026-11-28T22:30:00.000Z" }`;
  t.deepEqual(admitLine(line, OPTIONS), { id: ID, line, dropped: [] });
  t.is(targetOfLine(line).slice(0, 31), '/v3/task_instance?duration=1.5&');
});

test('space around a line is not kept: a line in the store begins with its brace', (t) => {
  const line = `${HEAD}"task_instance","status":"success"}`;
  for (const isVerbatim of [false, true]) {
    for (const received of [` ${line}`, `\t${line}`, `\r ${line}`, `${line}\r`, `${line} \t`]) {
      const found = admitLine(received, { ...OPTIONS, isVerbatim });
      t.deepEqual(found, { id: ID, line, dropped: [] }, JSON.stringify(received));
    }
  }
});

const isValue = (pair: string): boolean => !pair.endsWith('=None');

test('each target of Cosmos becomes a line and again a target, with the same values in the same order', (t) => {
  const targets = ['dag_runs.json', 'task_instances.json'].flatMap((file) =>
    (readVectors(file) as { cases: { url: string | null }[] }).cases.flatMap(({ url }) => (url === null ? [] : [new URL(url)])),
  );
  let events = 0;
  for (const { pathname, search } of targets) {
    const kept = readmit(pathname.slice('/astronomer-cosmos'.length) + search, OPTIONS);
    if (kept === undefined) continue;
    events += 1;
    const line = lineOfTarget(kept, ID, TIME_MS);
    t.deepEqual(admitLine(line, OPTIONS), { id: ID, line, dropped: [] }, 'every field of it is declared');
    const pairs = targetOfLine(line).split(/[?&]/);
    t.deepEqual(pairs.filter(isValue), kept.split(/[?&]/).filter(isValue));
    // A line leaves out what has no value. What Cosmos always sends comes back, at the end; its metadata is not always there.
    if (pathname.endsWith('/task_instance')) t.deepEqual(pairs.toSorted(), kept.split(/[?&]/).toSorted());
  }
  t.true(events > 10, `${events} events`);
});

test('a version of Airflow is encoded twice in a target, and not at all in a line', (t) => {
  const line = lineOfTarget('/v3/dag_run?airflow_version=2.10.1%252Bastro.1&status=success', ID, TIME_MS);
  t.is(line, `${HEAD}"dag_run","airflow_version":"2.10.1+astro.1","status":"success"}`);
  t.regex(targetOfLine(line), /^\/v3\/dag_run\?airflow_version=2\.10\.1%252Bastro\.1&status=success/);
});

test('an older path becomes a line, too', (t) => {
  const path = '/v2/1.11.0/2.10.1%2Bastro.1/3.11.7/Linux/x86_64/dag_run/success/0123456789ab/3/2/local';
  t.is(
    lineOfTarget(path, ID, TIME_MS),
    `${HEAD}"dag_run","cosmos_version":"1.11.0","airflow_version":"2.10.1+astro.1","python_version":"3.11.7","platform_system":"Linux",` +
      '"platform_machine":"x86_64","status":"success","dag_hash":"h0123456789ab","task_count":3,"cosmos_task_count":2,"execution_modes":"local"}',
  );
});

test('a field that no line can have is named', (t) => {
  const dropped: DroppedField[] = [];
  const line = lineOfTarget('/v3/acme_run?a=1&B=2&a=3&x%20y=4&note=h%C3%A9', ID, TIME_MS, dropped);
  t.is(line, `${HEAD}"acme_run","a":"1","note":"h\u00e9"}`);
  t.deepEqual(
    dropped.map(({ name }) => name),
    ['B', 'a', 'x%20y'],
  );
});

test('a text of the store is a line or a target, and only what may be sent today is read back', (t) => {
  const line = `${HEAD}"dag_run","status":"success","new_field":1}`;
  t.is(readmit(line, OPTIONS), `${HEAD}"dag_run","status":"success"}`);
  t.is(readmit(line, { ...OPTIONS, isVerbatim: true }), line);
  t.is(readmit(`${HEAD}"acme_run"}`, OPTIONS), undefined);
  t.is(readmit('{', OPTIONS), undefined);
  t.is(readmit('/v3/dag_run?status=success&x=1', OPTIONS), '/v3/dag_run?status=success');
  t.deepEqual([isLine(line), isLine('/v3/dag_run')], [true, false]);
  t.deepEqual(
    [idIn(line), idIn(`{"event":"dag_run","id":"${ID}"}`), idIn('{"id":"x"}'), idIn('/v3/dag_run')],
    [ID, ID, undefined, undefined],
  );
  t.deepEqual(['/v3/dag_run', '/dag-factory/v2/1', line].map(becomesLine), [true, false, false]);
});

test('no field of Object.prototype is one of an event', (t) => {
  const polluted = Object.prototype as Record<string, unknown>;
  polluted['status'] = 'failed';
  polluted['id'] = ID;
  try {
    t.deepEqual(admitted(',"duration":1.5'), ['"task_instance","duration":1.5}', []]);
    t.deepEqual(admitLine('{}', OPTIONS), { id: undefined, status: 400, reason: 'bad_id' });
    t.false(targetOfLine(`${HEAD}"task_instance","duration":1.5}`).includes('failed'));
  } finally {
    delete polluted['status'];
    delete polluted['id'];
  }
});
