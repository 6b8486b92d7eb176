import test from 'ava';
import { ndjsonColumns, ndjsonStatements } from '../../../src/delivery/ndjson/index.js';
import type { NdjsonColumn, NdjsonStatementOptions } from '../../../src/delivery/ndjson/index.js';
import {
  boolean,
  count,
  defineEvent,
  duration,
  hash,
  identifier,
  nullable,
  oneOf,
  optional,
  renderPrivacyNotice,
} from '../../../src/index.js';
import type { EventDefinition } from '../../../src/index.js';

const note = { description: 'What it says.', reason: 'To know.' };
const own = (...events: EventDefinition[]) => ndjsonColumns({ product: { name: 'acme' }, standardEvents: false, events });
const shown = (columns: readonly NdjsonColumn[]) => columns.map(({ name, type, kind }) => `${name} ${type} ${kind ?? '-'}`);

const EVERY = [
  'id uuid -',
  'time time -',
  'event text -',
  'acme_version text version',
  'node_version text version',
  'platform_system text oneOf',
  'platform_machine text oneOf',
];

test('each line’s own keys come first, then the fields of every event, then those of each event', (t) => {
  const fields = {
    days: count(note),
    took: nullable(duration(note)),
    cached: optional(boolean(note)),
    digest: hash(note),
    layer: oneOf(['staging', 'marts'], note),
  };
  t.deepEqual(shown(own(defineEvent('backfill', fields))), [
    ...EVERY,
    'days count count',
    'took double duration',
    'cached boolean boolean',
    'digest text hash',
    'layer text oneOf',
  ]);
});

test('the standard events, the host, common fields and the metadata of a DAG have columns', (t) => {
  const columns = ndjsonColumns({
    product: { name: 'acme', version: '1.2.0' },
    host: { name: 'airflow', version: '2.10.1', pythonVersion: '3.11.7' },
    dbt: true,
    executionModes: ['local'],
    dagHash: () => null,
    common: { ci: { field: boolean(note), value: true } },
    // What only the client reads is ignored, so that one object fits all.
    retries: 1,
  });
  const names = columns.map(({ name }) => name);
  t.deepEqual(names.slice(0, 10), [
    'id',
    'time',
    'event',
    'acme_version',
    'airflow_version',
    'python_version',
    'node_version',
    'platform_system',
    'platform_machine',
    'ci',
  ]);
  for (const name of ['dag_hash', 'acme_task_count', 'execution_modes', 'execution_mode', 'total_dbt_models', 'storage_type']) {
    t.is(names.filter((each) => each === name).length, 1, name);
  }
  t.deepEqual(columns.find(({ name }) => name === 'duration')?.events, ['dag_run', 'task_instance']);
  t.deepEqual(columns.find(({ name }) => name === 'status')?.events, ['dag_run', 'task_instance']);
  t.deepEqual(columns.find(({ name }) => name === 'total_dbt_models')?.events, ['dag_run']);
  t.deepEqual(columns[0]?.events, ['dag_run', 'task_instance', 'dbt_docs_access']);
});

test('the columns of cosmos are those of its own events', (t) => {
  const names = ndjsonColumns({ product: { name: 'cosmos' } }).map(({ name }) => name);
  t.true(['cosmos_version', 'airflow_version', 'cosmos_task_count', 'is_cosmos_operator_subclass'].every((name) => names.includes(name)));
});

test('a column is described in the words of the privacy notice', (t) => {
  const description = { product: { name: 'acme' }, standardEvents: ['task_instance'] } as const;
  const notice = renderPrivacyNotice(description).replaceAll(/\s+/g, ' ');
  const fields = ndjsonColumns(description).slice(3);
  t.true(fields.length > 8);
  for (const { description: said } of fields) t.true(notice.includes(said), said);
  const digest = own(defineEvent('a', { digest: hash(note) })).at(-1);
  t.is(digest?.description, 'What it says. Each value begins with the letter h.');
});

test('a field that several events have is one column, with what each of them says', (t) => {
  const other = { ...note, description: 'Another thing.' };
  const columns = own(
    defineEvent('a', { size: count(note), same: count(note) }),
    defineEvent('b', { size: duration(other), same: count(note) }),
    defineEvent('c', { size: count(note) }),
  );
  t.like(
    columns.find(({ name }) => name === 'size'),
    {
      type: 'double',
      events: ['a', 'b', 'c'],
      description: 'What it says. Of `b`: Another thing.',
    },
  );
  t.like(
    columns.find(({ name }) => name === 'same'),
    { type: 'count', events: ['a', 'b'], description: 'What it says.' },
  );
});

test('a name that is a text in one event and a number in another has no column', (t) => {
  t.throws(() => own(defineEvent('a', { size: count(note) }), defineEvent('b', { size: identifier(note) })), {
    instanceOf: TypeError,
    message: 'Expected field `size` to be of one kind in all events, got "count" in `a` and "identifier" in `b`.',
  });
  t.throws(() => own(defineEvent('a', { size: boolean(note) }), defineEvent('b', { size: duration(note) })), { message: /field `size`/ });
});

test('fields of the names that lines begin with have the columns of their keys', (t) => {
  const fields = { id: identifier(note), time: count(note), event: boolean(note) };
  t.deepEqual(shown(own(defineEvent('a', fields))).slice(EVERY.length), [
    'field_id text identifier',
    'field_time count count',
    'field_event boolean boolean',
  ]);
  t.throws(() => own(defineEvent('a', { id: identifier(note), field_id: identifier(note) })), {
    instanceOf: TypeError,
    message: 'Expected event `a` to have one of the fields `id` and `field_id`, got both: both are column `field_id`.',
  });
});

test('a field of a kind that is not known here is a text', (t) => {
  const field = { ...identifier(note), kind: 'constructor' as never };
  t.is(own(defineEvent('a', { made: field })).at(-1)?.type, 'text');
});

test('a wrong description is named', (t) => {
  t.throws(() => ndjsonColumns({ product: { name: 'Acme' } }), { instanceOf: TypeError, message: /`product.name`/ });
  t.throws(() => ndjsonColumns({ product: { name: 'acme' }, evnets: [] } as never), { instanceOf: TypeError, message: /`evnets`/ });
});

const COLUMNS = own(
  defineEvent('a', { order: identifier(note), digest: hash(note), days: count(note), took: duration(note), cached: boolean(note) }),
);
const STATEMENTS = ndjsonStatements(COLUMNS.filter(({ name }) => !/_version|platform_/.test(name)));

test('ClickHouse: the table and the ways into it', (t) => {
  const { clickhouse } = STATEMENTS;
  t.is(
    clickhouse.createTable,
    `CREATE TABLE IF NOT EXISTS usage_events (
  "id" UUID,
  "time" DateTime64(3, 'UTC'),
  "event" LowCardinality(String),
  "order" LowCardinality(Nullable(String)),
  "digest" Nullable(String),
  "days" Nullable(UInt64),
  "took" Nullable(Float64),
  "cached" Nullable(Bool)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM("time")
ORDER BY ("event", "time", "id");`,
  );
  t.is(
    clickhouse.insert,
    `INSERT INTO usage_events
SETTINGS date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 1
FORMAT JSONEachRow`,
  );
  t.regex(
    clickhouse.insertFile,
    /FROM file\('events\.ndjson\.gz', 'JSONEachRow', '\n {2}"id" UUID,\n {2}"time" DateTime64\(3, ''UTC''\),\n/,
  );
  t.is(clickhouse.select, 'SELECT "id", "time", "event", "order", "digest", "days", "took", "cached" FROM usage_events FINAL;');
});

test('DuckDB: the table and the way into it', (t) => {
  t.is(
    STATEMENTS.duckdb.insertFile,
    `INSERT INTO usage_events BY NAME
SELECT DISTINCT ON ("id") *
FROM read_json('events.ndjson.gz', format = 'newline_delimited', columns = {
  'id': 'UUID',
  'time': 'TIMESTAMPTZ',
  'event': 'VARCHAR',
  'order': 'VARCHAR',
  'digest': 'VARCHAR',
  'days': 'BIGINT',
  'took': 'DOUBLE',
  'cached': 'BOOLEAN'
})
ON CONFLICT ("id") DO NOTHING;`,
  );
  t.regex(
    STATEMENTS.duckdb.createTable,
    /^CREATE TABLE IF NOT EXISTS usage_events \(\n {2}"id" UUID PRIMARY KEY,\n {2}"time" TIMESTAMPTZ NOT NULL,/,
  );
});

test('PostgreSQL: the table, with a place for what has no column, and the way into it', (t) => {
  const { createTable, insertFile } = STATEMENTS.postgres;
  t.regex(createTable, /"took" double precision,\n {2}"cached" boolean,\n {2}"_rest" jsonb\n\);$/);
  t.true(
    insertFile.includes(
      String.raw`\copy usage_event_lines FROM PROGRAM 'gzip -dc events.ndjson.gz' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')`,
    ),
  );
  t.true(insertFile.includes(`line::jsonb - ARRAY['id', 'time', 'event', 'order', 'digest', 'days', 'took', 'cached']`));
  const plain = ndjsonStatements(COLUMNS, { file: 'events.ndjson' });
  t.true(plain.postgres.insertFile.includes("FROM PROGRAM 'cat events.ndjson' "));
});

test('polars: the schema', (t) => {
  t.regex(STATEMENTS.polars, /"id": pl\.String,\n.*"time": pl\.String,\n/);
  t.regex(STATEMENTS.polars, /"days": pl\.Int64,\n.*"took": pl\.Float64,\n.*"cached": pl\.Boolean,\n/);
});

test('table and file can be chosen', (t) => {
  const { clickhouse, duckdb, postgres, polars } = ndjsonStatements(COLUMNS, {
    table: 'stats.acme_events',
    file: '/data/events-*.ndjson.gz',
  });
  for (const text of [clickhouse.createTable, clickhouse.insert, clickhouse.insertFile, clickhouse.select])
    t.true(text.includes(' stats.acme_events'));
  for (const text of [duckdb.createTable, duckdb.insertFile, postgres.createTable, postgres.insertFile])
    t.true(text.includes(' stats.acme_events'));
  for (const text of [clickhouse.insertFile, duckdb.insertFile, postgres.insertFile, polars])
    t.true(text.includes('/data/events-*.ndjson.gz'));
});

const WRONG: readonly [NdjsonStatementOptions, RegExp][] = [
  [{ table: 'a; DROP TABLE b' }, /`table` to be a text that matches .*, got "a; DROP TABLE b"/],
  [{ table: 'Events' }, /`table`/],
  [{ table: 'a.b.c' }, /`table`/],
  [{ table: '' }, /`table`/],
  [{ table: 7 as never }, /`table` .* got 7/],
  [{ file: "it's.gz" }, /`file`/],
  [{ file: 'a b' }, /`file`/],
  [{ file: '$(id)' }, /`file`/],
  [{ file: '-dc' }, /`file`/],
  [{ file: 'a\\b' }, /`file`/],
  [{ file: '' }, /`file`/],
  [{ flie: 'a' } as never, /`flie`/],
  [7 as never, /`options`/],
];
for (const [options, message] of WRONG) {
  test(`a wrong option is named: ${JSON.stringify(options)}`, (t) => {
    t.throws(() => ndjsonStatements(COLUMNS, options), { instanceOf: TypeError, message });
  });
}

test('a list that is none of columns is named: nothing else gets into a statement', (t) => {
  const [id, time, event] = COLUMNS;
  const refused: readonly [unknown, RegExp][] = [
    [undefined, /`columns` to be a list of columns, got undefined/],
    [[], /`columns` to be a list of columns/],
    [[id, time], /`columns` to be a list with column event/],
    [[id, time, event, { ...id, name: 'a" int); --' }], /`columns\[3\]\.name` .* got "a\\" int\); --"/],
    [[id, time, event, { ...id, name: 'a', type: 'constructor' }], /`columns\[3\]\.type` .* got "constructor"/],
    [[id, time, event, undefined], /`columns\[3\]\.name` .* got undefined/],
    [[id, time, event, id], /`columns` to have each name once, got "id" twice/],
  ];
  for (const [columns, message] of refused) t.throws(() => ndjsonStatements(columns as never), { instanceOf: TypeError, message });
});
