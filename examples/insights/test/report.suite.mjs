// Reports of made-up fleets: each number is compared with the answers of the generator.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ndjsonColumns, readNdjsonLine } from '../../../dist/delivery/ndjson/index.js';
import { columnsOf } from '../columns.mjs';
import { HOSTILE, makeFleet, writeFleet } from '../make-fleet.mjs';
import { wilson } from '../model.mjs';
import { plain, rowsOf, textById } from './tables.mjs';

const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-insights-test-'));
const at = (name) => join(folder, name);
const failures = [];
let passed = 0;

function test(title, run) {
  try {
    run();
    passed += 1;
  } catch (error) {
    failures.push(`${title}: ${error.message}`);
  }
}

/** Runs the program. @returns What it printed, its exit code, and the report if there is one. */
function insights(...args) {
  const out = at('report.html');
  rmSync(out, { force: true });
  const program = join(import.meta.dirname, '..', 'insights.mjs');
  const options = { encoding: 'utf8', timeout: 120_000, env: { ...process.env, TZ: 'America/New_York' } };
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [program, ...args, ...(args.includes('--out') ? [] : ['--out', out])],
    options,
  );
  let html;
  try {
    html = readFileSync(out, 'utf8');
  } catch {
    html = undefined;
  }
  return { status, stdout, stderr, html };
}

/** A table as an object of its rows: by the first cell, the numbers of the others. */
const numbersOf = (html, id) => Object.fromEntries((rowsOf(html, id) ?? []).map(([name, ...cells]) => [name, cells.map(plain)]));

/** Answers in the same form. A name that is empty is shown as `not said`. */
const expectedOf = (counts, list) =>
  Object.fromEntries(Object.entries(counts).map(([name, value]) => [name === '' ? 'not said' : name, list(value)]));

const REASONS = {
  not_format: 'not in the log format',
  other_path: 'another path, which is no event',
  status_503: 'answered with 503, so the client may have sent it again',
  not_utf8: 'not UTF-8',
  too_long: 'longer than 32,768 bytes',
  not_json: 'not JSON, or cut off',
  not_object: 'JSON, but no object',
  bad_id: '`id` is missing, or no UUID in lower case',
  bad_time: '`time` is missing, or no time in UTC with milliseconds from 1970 to 2299',
  bad_event: '`event` is missing, or no name of an event',
};

const shareText = (share) => `${(Math.min(1, Math.max(0, share)) * 100).toFixed(1)}%`;

/** A share and Wilson's interval, by the textbook's formula of the roots of a quadratic equation. */
function wilsonTexts(failed, all) {
  const z = 1.959963984540054;
  const a = 1 + z ** 2 / all;
  const b = -2 * (failed / all) - z ** 2 / all;
  const c = (failed / all) ** 2;
  const root = Math.sqrt(Math.max(0, b ** 2 - 4 * a * c));
  return [shareText(failed / all), `${shareText((-b - root) / (2 * a))} to ${shareText((-b + root) / (2 * a))}`];
}

function compareReport(html, answers) {
  assert.equal(plain(textById(html, 'events')), answers.events);
  assert.equal(plain(textById(html, 'days')), Object.keys(answers.days).length);
  assert.equal(plain(textById(html, 'versions')), Object.keys(answers.versions).length);
  assert.equal(plain(textById(html, 'most')), Math.max(...Object.values(answers.days).map(({ installations }) => installations)));
  assert.equal(plain(textById(html, 'repeated')), answers.repeated);
  const broken = Object.values(answers.notUnderstood).reduce((sum, lines) => sum + lines, 0);
  assert.equal(plain(textById(html, 'broken')), broken);
  assert.equal(plain(textById(html, 'lines')), answers.lines);
  assert.ok(html.includes(`${broken} lines were not understood`));

  assert.deepEqual(
    numbersOf(html, 't-installations'),
    expectedOf(answers.days, ({ installations, ci }) => [installations, ci]),
  );
  assert.deepEqual(
    numbersOf(html, 't-days'),
    expectedOf(answers.days, ({ events, tasks, runs }) => [events, tasks, runs]),
  );
  const versions = rowsOf(html, 't-versions').map(([version, events, daily, ...days]) => [version, plain(events), plain(daily), ...days]);
  const wanted = Object.entries(answers.versions).map(([version, { events, installations, first, last }]) => [
    version,
    events,
    installations,
    first,
    last,
  ]);
  assert.deepEqual(new Set(versions.map(String)), new Set(wanted.map(String)));
  assert.equal(versions.length, wanted.length);
  const [, head] = /<table id="t-version-days">.*?<thead><tr>(.*?)<\/tr>/s.exec(html);
  const names = [...head.matchAll(/<th scope="col">(.*?)<\/th>/g)].map(([, name]) => name).slice(1);
  assert.deepEqual(names, ['1.10.2', '1.11.0', '1.11.1', '1.12.0', '1.12.1', '1.13.0rc1', '1.13.0'], 'from old to new');
  assert.deepEqual(
    numbersOf(html, 't-version-days'),
    expectedOf(answers.versionDays, (counts) => names.map((name) => counts[name] ?? 0)),
  );
  for (const [id, counts] of Object.entries({ 't-databases': answers.databases, 't-modes': answers.modes })) {
    const rows = Object.fromEntries(rowsOf(html, id).map(([name, tasks, runs]) => [name, [plain(tasks), plain(runs)]]));
    assert.deepEqual(
      rows,
      expectedOf(counts, ({ tasks, runs }) => [tasks, runs]),
    );
  }
  for (const kind of ['tasks', 'runs']) {
    const rows = Object.fromEntries(
      rowsOf(html, `t-failed-${kind}`).map(([version, rate, interval, , failed, succeeded, others]) => [
        version,
        [plain(failed), plain(succeeded), plain(others), rate, interval],
      ]),
    );
    assert.deepEqual(
      rows,
      expectedOf(answers.outcomes[kind], ({ failed, succeeded, others }) => [
        failed,
        succeeded,
        others,
        ...wilsonTexts(failed, failed + succeeded),
      ]),
    );
  }
  assert.deepEqual(
    numbersOf(html, 't-airflow'),
    expectedOf(answers.airflow, (events) => [events]),
  );
  assert.deepEqual(
    numbersOf(html, 't-python'),
    expectedOf(answers.python, (events) => [events]),
  );
  const reasons = Object.fromEntries(Object.entries(answers.notUnderstood).map(([reason, lines]) => [REASONS[reason], [lines]]));
  assert.deepEqual(numbersOf(html, 't-not-understood'), reasons);
  const bad = Object.fromEntries(rowsOf(html, 't-bad-values').map(([field, events]) => [field, plain(events)]));
  assert.deepEqual(bad, answers.badValues);

  // The bars of the charts are as high as their numbers.
  const [section] = /<section aria-labelledby="h-events">.*?<\/section>/s.exec(html);
  const bars = [...section.matchAll(/height="([\d.]+)"><title>(\d{4}-\d\d-\d\d), (\w+): ([\d,]+)</g)];
  const scale = Math.max(...bars.map(([, height, , , events]) => Number(height) / plain(events)));
  for (const [, height, day, name, events] of bars) assert.ok(Math.abs(Number(height) - plain(events) * scale) < 0.01, `${day} ${name}`);
  const ofDays = Object.entries(answers.days).flatMap(([day, { events, tasks, runs }]) => [
    `${day} tasks ${tasks}`,
    `${day} runs ${runs}`,
    `${day} others ${events - tasks - runs}`,
  ]);
  assert.deepEqual(
    bars.map(([, , day, name, events]) => `${day} ${name} ${plain(events)}`),
    ofDays.filter((text) => !text.endsWith(' 0')),
  );
}

function compareFleet(format, files, answers) {
  const { status, stdout, stderr, html } = insights(...files);
  assert.equal(status, 0, stderr);
  compareReport(html, answers);
  assert.match(stdout, new RegExp(`: ${answers.events} events of ${answers.lines} lines, ${answers.repeated} repeated, `));
  // What a stranger sent is text, and nothing of it is a tag.
  const examples = rowsOf(html, 't-bad-values')
    .find(([field]) => field === 'database')
    .at(-1);
  assert.ok(HOSTILE.some((text) => examples.includes(text)));
  assert.doesNotMatch(html, /<script|<img|onerror=alert\(2\)>|https?:\/\/|<link|<iframe|\sstyle=|\son\w+="/);
}

/** The lines of a small fleet. */
function linesOf(format, seed) {
  const lines = [];
  makeFleet({ events: 500, seed, format, write: (each) => lines.push(String(each)) });
  return lines.join('\n');
}

const rounded = ({ low, high }) => [low.toFixed(4), high.toFixed(4)];

const EVENT = 'cosmos_version=1.12.0&airflow_version=3.0.2&status=failed&database=duckdb&execution_mode=local';
const line = (query, path = '/v3/task_instance') => `2026-03-02T06:00:11+00:00 204 ${path}?${query}\n`;
const json = (number, more) => {
  const id = `019a2b3c-4d5e-7f60-8a9b-${String(number).padStart(12, '0')}`;
  return `${JSON.stringify({ id, time: '2026-03-02T06:00:11.000Z', event: 'task_instance', ...more })}\n`;
};

/** The report of a text that is written to a file. */
function reportOfText(text, ...args) {
  writeFileSync(at('text'), text);
  return insights(at('text'), ...args);
}

function fails(args, message) {
  const { status, stderr, html } = insights(...args);
  assert.equal(status, 1, stderr);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /\n {4}at /);
  assert.equal(html, undefined, 'no report is written');
}

try {
  for (const format of ['nginx', 'ndjson']) {
    const events = 20_000;
    const plainFile = at(`fleet.${format}`);
    const answers = writeFleet(plainFile, { events, seed: 1, format });
    test(`${format}: all numbers of a fleet`, () => compareFleet(format, [plainFile], answers));
    test(`${format}: the same, as members of gzip`, () => {
      writeFleet(at(`fleet.${format}.gz`), { events, seed: 1, format });
      compareFleet(format, [at(`fleet.${format}.gz`)], answers);
    });
    test(`${format}: several files, plain and compressed, with names that are patterns`, () => {
      const lines = readFileSync(plainFile);
      const middle = lines.indexOf('\n', lines.length / 2) + 1;
      writeFileSync(at("[1]* it's.log"), lines.subarray(0, middle));
      writeFileSync(at('b?.gz.old'), gzipSync(lines.subarray(middle)));
      // Files that the names would match, were they patterns.
      writeFileSync(at("1x it's.log"), lines.subarray(0, middle));
      writeFileSync(at('bx.gz.old'), gzipSync(lines.subarray(middle)));
      compareFleet(format, [at("[1]* it's.log"), at('b?.gz.old')], answers);
    });
    test(`${format}: the same seed gives the same lines, and another one others`, () => {
      assert.equal(linesOf(format, 5), linesOf(format, 5));
      assert.notEqual(linesOf(format, 5), linesOf(format, 6));
    });
  }
  test('the lines of the fleet are those of the package', () => {
    const columns = new Map(ndjsonColumns({ product: { name: 'cosmos' } }).map((column) => [column.name, column]));
    const lines = readFileSync(at('fleet.ndjson'), 'utf8').split('\n');
    let events = 0;
    for (const each of lines) {
      const reading = readNdjsonLine(each);
      if (!('event' in reading)) continue;
      events += 1;
      const { metrics, type } = reading.event;
      for (const name of Object.keys(metrics))
        assert.ok(columns.get(name)?.events.includes(type) || name === 'ci' || type === 'active', name);
    }
    assert.equal(events, 20_020);
    // What the report reads is declared there, but for `ci`, which is of products that declare it.
    for (const { field } of Object.values(columnsOf('cosmos'))) assert.ok(field === 'ci' || columns.has(field), field);
  });
  test('the sample of the documentation, whose product has another name', () => {
    const { status, html } = insights(join(import.meta.dirname, '..', '..', 'access-log.sample.log'), '--product', 'acme');
    assert.equal(status, 0);
    assert.deepEqual(rowsOf(html, 't-versions'), [
      ['3.1.0', '4', '0', '2026-03-02', '2026-03-02'],
      ['3.0.2', '1', '0', '2026-03-02', '2026-03-02'],
    ]);
    assert.deepEqual(rowsOf(html, 't-not-understood'), [['another path, which is no event', '1']]);
    assert.equal(textById(html, 'most'), 'not known');
    assert.match(html, /No event is of type <code>active<\/code>/);
  });
  test('percent signs, plus signs, the first of two values, and values without a name', () => {
    const { html } = reportOfText(
      [
        line('cosmos_version=1%2E12.0&status=success&database=gr%C3%B6%C3%9Fe&cosmos_version=9.9.9&execution_mode=None'),
        line('a+b=c&database&cosmos_version=1.12.0%2Bacme&execution_mode=lo+cal&=x&&airflow_version=2.10.1%252Bastro.3'),
        line('database=%FF&cosmos_version=%zz&xdatabase=no&airflow_version=2.10.1%2Bastro.3'),
      ].join(''),
    );
    assert.deepEqual(
      rowsOf(html, 't-versions').map(([version]) => version),
      ['1.12.0+acme', '1.12.0', 'not said'],
    );
    assert.deepEqual(
      rowsOf(html, 't-databases').map(([name, tasks]) => [name, tasks]),
      [
        ['not said', '2'],
        ['größe', '1'],
      ],
    );
    assert.deepEqual(rowsOf(html, 't-airflow'), [
      ['2.10.1+astro.3', '2'],
      ['not said', '1'],
    ]);
    assert.deepEqual(rowsOf(html, 't-bad-values').toSorted(), [
      ['cosmos_version', '1', '%zz'],
      ['database', '1', '%FF'],
      ['execution_mode', '1', 'lo cal'],
    ]);
  });
  test('a day is one of UTC, and only requests that were answered with 2xx are events', () => {
    const { html } = reportOfText(`2026-03-02T01:00:11+02:00 200 /v3/dag_run?${EVENT}\n2026-03-02T22:30:11-05:00 204 /v3/dag_run
2026-03-02T22:30:11-05:00 429 /v3/dag_run\n\r\n\n2026-03-02T06:00:11+00:00 204 /astronomer-cosmos/v3/dag_run?${EVENT}\r\n`);
    assert.deepEqual(
      rowsOf(html, 't-days').map(([day, events]) => [day, events]),
      [
        ['2026-03-01', '1'],
        ['2026-03-02', '1'],
        ['2026-03-03', '1'],
      ],
    );
    assert.deepEqual(rowsOf(html, 't-not-understood'), [['answered with 429, so the client may have sent it again', '1']]);
  });
  test('of lines with one id, the first one counts, and a column that begins late is not lost', () => {
    const lines = Array.from({ length: 30_000 }, (_, index) => json(index, { cosmos_version: '1.11.0' }));
    const { html } = reportOfText(
      [json(7, { cosmos_version: '1.12.0' }), ...lines, json(30_001, { status: 'failed', database: 'duckdb', ci: true })].join(''),
    );
    assert.equal(textById(html, 'events'), '30,001');
    assert.equal(textById(html, 'repeated'), '1');
    assert.deepEqual(
      rowsOf(html, 't-versions').map(([version, events]) => [version, events]),
      [
        ['1.12.0', '1'],
        ['1.11.0', '29,999'],
        ['not said', '1'],
      ],
    );
    assert.ok(rowsOf(html, 't-databases').some(([name, tasks]) => name === 'duckdb' && tasks === '1'));
  });
  test('many names make no long table, and a wrong clock no long chart', () => {
    const lines = Array.from({ length: 300 }, (_, index) => line(`database=d${index}&cosmos_version=1.${index}.0&status=failed`));
    const { html } = reportOfText(`${lines.join('')}1970-01-01T00:00:00+00:00 204 /v3/task_instance?${EVENT}\n`);
    assert.equal(rowsOf(html, 't-databases').length, 51);
    assert.deepEqual(rowsOf(html, 't-databases').at(-1).slice(0, 2), ['251 others', '251']);
    assert.equal(rowsOf(html, 't-versions').length, 51);
    assert.equal(rowsOf(html, 't-failed-tasks').length, 50);
    assert.match(html, /1 events are of days outside of the charts/);
    assert.match(html, /<h1>cosmos: usage from 2026-/);
    for (const table of ['t-days', 't-version-days']) assert.equal(rowsOf(html, table).length, 1, table);
    assert.ok(html.length < 100_000);
  });
  test('a text that turns its direction, or holds what is no character, shows that it does', () => {
    const { html } = reportOfText(line('database=sql%E2%80%AEite%07&status=failed'));
    assert.match(html, /sql\uFFFDite\uFFFD/);
    assert.ok(!html.includes('\u202E') && !html.includes('\u0007'));
  });
  test('a year that no clock has is no time, and events of each day of 330 years are a page of one year', () => {
    const years = ['0000-01-01', '1969-12-31', '2300-01-01'].map((date, index) => json(200_000 + index, { time: `${date}T00:00:00.000Z` }));
    const days = Array.from({ length: 120_000 }, (_, index) =>
      json(index, { time: new Date(index * 86_400_000).toISOString(), event: 'active' }),
    );
    const { html } = reportOfText([...days, ...years].join(''));
    assert.equal(textById(html, 'events'), '120,000');
    assert.equal(textById(html, 'broken'), '3');
    for (const table of ['t-days', 't-installations']) assert.equal(rowsOf(html, table).length, 400, table);
    assert.ok(html.length < 1_000_000);
  });
  test("Wilson's interval is the published one", () => {
    // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    assert.deepEqual(rounded(wilson(81, 263)), ['0.2553', '0.3662']);
    assert.deepEqual(rounded(wilson(15, 148)), ['0.0624', '0.1605']);
    assert.deepEqual(rounded(wilson(0, 20)), ['0.0000', '0.1611']);
    assert.deepEqual(rounded(wilson(1, 29)), ['0.0061', '0.1718']);
    assert.equal(wilson(0, 0), undefined);
  });
  test('mistakes are named', () => {
    writeFileSync(at('empty'), '');
    writeFileSync(at('blank.gz'), gzipSync('\n\n'));
    writeFileSync(at('other'), '127.0.0.1 - - "GET / HTTP/1.1"\n');
    writeFileSync(at('cut.gz'), gzipSync(readFileSync(at('fleet.nginx'))).subarray(0, 300_000));
    writeFileSync(at('no-events'), line(EVENT, '/other'));
    const log = readFileSync(at('fleet.nginx'));
    linkSync(at('fleet.nginx'), at('link'));
    for (const out of ['fleet.nginx', 'link']) fails([at('fleet.nginx'), '--out', at(out)], /--out .* is one of the files to be read/);
    assert.deepEqual(readFileSync(at('fleet.nginx')), log);
    fails([at('missing')], /missing cannot be read: there is no such file/);
    fails([folder], /is not a file/);
    fails([at('empty')], /empty is empty/);
    fails([at('blank.gz')], /blank\.gz is empty/);
    fails([at('other')], /begins with "127\.0\.0\.1 - - .*neither a line of JSON nor of the log format/);
    fails([at('fleet.nginx'), '--format', 'ndjson'], /format nginx, and --format is ndjson/);
    fails([at('fleet.nginx'), '--format', 'csv'], /--format is nginx or ndjson, not "csv"/);
    fails([at('fleet.nginx'), at('fleet.ndjson')], /run twice/);
    fails([at('no-events')], /No line is an event: other_path 1/);
    fails([at('cut.gz')], /cut\.gz is damaged or cut off/);
    fails([at('fleet.nginx'), '--product', 'Acme'], /--product is a name that matches .* not "Acme"/);
    fails([at('fleet.nginx'), '--memory', 'much'], /--memory is a size such as 1GB, not "much"/);
    fails([at('fleet.nginx'), '--unknown'], /--unknown/);
    fails([], /No file is given/);
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const failure of failures) console.log(`FAILED   ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
