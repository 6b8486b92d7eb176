// Engines read what a client wrote: `npm run test:engines`, which says what it leaves out. The statements are those of `ndjsonStatements`.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ndjsonColumns, ndjsonStatements, readNdjsonLine } from 'cosmos-telemetry/ndjson';
import { acme, writeEvents } from './events.mjs';
import { whyNoNginx } from './nginx.mjs';
import { readByPostgres, whyNoPostgres } from './postgres.mjs';

/** One query for all engines. The sums are exact in any order: they are of quarters. */
const QUERY = `SELECT "event", count(*) AS "events", count(DISTINCT "id") AS "ids", sum("took") AS "took", sum("duration") AS "duration",
  sum("attempt") AS "attempt", max("big") AS "big", count("flag") AS "flag", min(TIME) AS "first", max(TIME) AS "last"
FROM TABLE WHERE "acme_version" IS NOT NULL GROUP BY "event" ORDER BY "event"`;
const TIMES = {
  clickhouse: 'toUnixTimestamp64Milli("time")',
  duck: 'epoch_ms("time")',
  postgres: '(extract(epoch FROM "time") * 1000)::bigint',
};

const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-engines-'));
// The server of PostgreSQL runs under another account.
chmodSync(folder, 0o755);
const results = [];
const say = (result, text) => {
  results.push(result);
  console.log(`${result.padEnd(8)} ${text}`);
};

/** The Python of a virtual environment with the pinned packages, or why there is none. */
function python() {
  const environment = join(folder, 'python');
  for (const [command, args] of [
    ['python3', ['-m', 'venv', environment]],
    [
      join(environment, 'bin', 'pip'),
      ['install', '--quiet', '--no-deps', '--disable-pip-version-check', '-r', join(import.meta.dirname, 'requirements.txt')],
    ],
  ]) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
    if (status !== 0) return { why: `${String(command)}: ${error?.message ?? stderr.trim().split('\n').at(-1)}` };
  }
  return { path: join(environment, 'bin', 'python') };
}

/** What differs between the rows of an engine and those that were published. */
function differences(columns, rows, expected, isKept = () => true) {
  const found = [];
  const seen = new Set();
  for (const values of rows) {
    const [id] = values;
    const row = expected.get(id);
    if (row === undefined) found.push(`unknown id ${id}`);
    else if (seen.has(id)) found.push(`${id} twice`);
    seen.add(id);
    for (const [index, { name }] of columns.entries()) {
      const wanted = row?.[name] ?? null;
      if (row !== undefined && isKept(row) && !Object.is(values[index] ?? null, wanted)) {
        found.push(`${name} of ${JSON.stringify(row)} is ${JSON.stringify(values[index])}`);
      }
    }
  }
  if (seen.size !== expected.size) found.push(`${seen.size} events of ${expected.size}`);
  return found;
}

/** The answer to the query, from what was published. */
function sumsOf(expected) {
  const sums = new Map();
  for (const { event, took, duration, attempt, big, flag, time, acme_version: release } of expected.values()) {
    if (release === undefined) continue;
    const sum = sums.get(event) ?? [event, 0, 0, null, null, null, null, 0, Infinity, -Infinity];
    const add = (at, value) => value !== undefined && (sum[at] = (sum[at] ?? 0) + value);
    sum[1] += 1;
    sum[2] += 1;
    add(3, took);
    add(4, duration);
    add(5, attempt);
    if (big !== undefined) sum[6] = Math.max(sum[6] ?? 0, big);
    if (flag !== undefined) sum[7] += 1;
    sum[8] = Math.min(sum[8], time);
    sum[9] = Math.max(sum[9], time);
    sums.set(event, sum);
  }
  return [...sums.values()].toSorted(([one], [other]) => (one < other ? -1 : 1));
}

// polars sums what is not there to 0, and SQL to null.
const plain = (lists) => JSON.stringify(lists.map((list) => list.map((value) => (value === null ? 0 : value))));

function check(engine, seconds, { version, rows, sums }, { columns, expected }, wantedSums) {
  const found = differences(columns, rows, expected);
  if (wantedSums !== undefined && plain(sums) !== plain(wantedSums)) found.push(`the query gives ${plain(sums)}, not ${plain(wantedSums)}`);
  const took = `${seconds.toFixed(1)} s`;
  if (found.length === 0) say('ok', `${version}: ${rows.length} events, all values and sums as published, ${took}`);
  else say('FAILED', `${version ?? engine}: ${found.length} differences, ${took}\n  ${found.slice(0, 10).join('\n  ')}`);
}

try {
  const file = 'events.ndjson.gz';
  const startMs = Date.now();
  const { rows: expected, lines, posts, byNginx } = await writeEvents(join(folder, file));
  const columns = ndjsonColumns(acme);
  const table = 'usage_events';
  const statements = ndjsonStatements(columns, { table, file });
  const linesFile = join(folder, 'lines.ndjson');
  writeFileSync(linesFile, `${lines.join('\n')}\n`);
  console.log(`${expected.size} events in ${lines.length} lines, written in ${((Date.now() - startMs) / 1000).toFixed(1)} s`);
  const bodies = `${posts.compressed} compressed bodies and ${posts.plain} others`;
  // One answer was lost.
  const isRepeated = lines.length > expected.size && posts.compressed > 1;
  if (posts.wrong.length > 0) say('FAILED', `the receiver got what is no body of lines: ${posts.wrong[0]}`);
  else
    say(
      isRepeated ? 'ok' : 'FAILED',
      `a client and a relay posted ${posts.lines} lines in ${bodies}; a batch without an answer came again`,
    );
  if (byNginx === undefined) say('SKIPPED', `nginx: ${whyNoNginx()}`);
  else {
    const { compressed, plain: others } = byNginx;
    say(
      compressed > 0 && others > 0 ? 'ok' : 'FAILED',
      `nginx kept ${compressed} compressed bodies and ${others} others, which are among the lines`,
    );
  }
  const refused = lines.filter((line) => 'problem' in readNdjsonLine(line));
  say(refused.length === 0 ? 'ok' : 'FAILED', `readNdjsonLine accepts each line${refused.length === 0 ? '' : `, but not ${refused[0]}`}`);
  const facts = { columns, expected };
  const wantedSums = sumsOf(expected);

  const { path: interpreter, why } = python();
  for (const [engine, name] of [
    ['plain', 'Python'],
    ['duck', 'DuckDB'],
    ['clickhouse', 'ClickHouse'],
    ['frame', 'polars'],
  ]) {
    if (interpreter === undefined) {
      say('SKIPPED', `${name}: ${why}`);
      continue;
    }
    const job = join(folder, `${engine}.json`);
    const answer = join(folder, `${engine}.answer.json`);
    const query = QUERY.replaceAll('TIME', TIMES[engine] ?? '');
    writeFileSync(job, JSON.stringify({ folder, file, lines: linesFile, statements, columns, table, query, answer }));
    const beginMs = Date.now();
    const { status, stderr } = spawnSync(interpreter, [join(import.meta.dirname, 'readers', `${engine}.py`), job], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, TZ: 'America/New_York' },
      timeout: 300_000,
    });
    const seconds = (Date.now() - beginMs) / 1000;
    if (status !== 0) say('FAILED', `${name}: ${stderr}`);
    else check(name, seconds, JSON.parse(readFileSync(answer, 'utf8')), facts, engine === 'plain' ? undefined : wantedSums);
  }

  const whyNot = whyNoPostgres();
  if (whyNot === undefined) {
    const query = QUERY.replaceAll('TIME', TIMES.postgres);
    const beginMs = Date.now();
    const read = readByPostgres({ folder, statements, columns, query, table });
    check('PostgreSQL', (Date.now() - beginMs) / 1000, read, facts, wantedSums);
    const late = [...expected.values()].filter(({ acme_version: release }) => release === '1.3.0');
    const kept = new Map(read.rest.map(([id, rest]) => [id, JSON.stringify(rest)]));
    const isFine = kept.size === late.length && late.every(({ id, seq }) => kept.get(id) === JSON.stringify({ extra: seq }));
    say(isFine ? 'ok' : 'FAILED', `PostgreSQL keeps the field without a column of ${kept.size} events, of ${late.length}`);
  } else say('SKIPPED', `PostgreSQL: ${whyNot}`);
} catch (error) {
  say('FAILED', String(error));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const number = (result) => results.filter((each) => each === result).length;
console.log(`\n${number('ok')} passed, ${number('FAILED')} failed, ${number('SKIPPED')} skipped`);
process.exitCode = number('FAILED') === 0 && number('ok') > 0 ? 0 : 1;
