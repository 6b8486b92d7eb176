// The statements that make a table of events and load files of them, for four engines. `npm run test:engines` runs each of them.
import { checkOptions, checkValue } from '../../base/check-options.js';
import type { Check, Checks } from '../../base/check-options.js';
import { describe } from '../../base/describe.js';
import type { NdjsonColumn, NdjsonColumnType } from './columns.js';

/**
 * Names in the statements.
 *
 * @example
 * const options: NdjsonStatementOptions = { table: 'acme_events', file: 'events/*.ndjson.gz' };
 */
export interface NdjsonStatementOptions {
  /** The table: lower case letters, digits and `_`, and perhaps a schema and a point before it. @default 'usage_events' */
  table?: string | undefined;
  /**
   * The file that is loaded: letters, digits and `_ . / - *`. A file with gzip members ends in `.gz`; with an asterisk it is several files.
   * @default 'events.ndjson.gz'
   */
  file?: string | undefined;
}

/**
 * The statements for each engine. All of them may be run again: an event that was loaded before is there once.
 *
 * @example
 * const createIn = ({ postgres, duckdb }: NdjsonStatements) => [postgres.createTable, duckdb.createTable];
 */
export interface NdjsonStatements {
  /** For ClickHouse. It removes doubles when it merges parts: read `FINAL`, as `select` does. */
  readonly clickhouse: {
    readonly createTable: string;
    /** Goes before lines, in one request. No line may be empty. */
    readonly insert: string;
    /** Loads `file`, which the server looks up in its `user_files_path`. */
    readonly insertFile: string;
    /** All events, each once. */
    readonly select: string;
  };
  /** For DuckDB. */
  readonly duckdb: { readonly createTable: string; readonly insertFile: string };
  /** For PostgreSQL. Fields without a column, as of a newer version of the product, go into `_rest`: no field can have that name. */
  readonly postgres: {
    readonly createTable: string;
    /** A script for `psql`, which reads `file` where it runs. */
    readonly insertFile: string;
  };
  /** A program in Python for polars: the events of `file` as `usage_events`. */
  readonly polars: string;
}

const TABLE = /^[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?$/;
// The name goes into texts of SQL and of Python, and into a command of a shell.
const FILE = /^[A-Za-z0-9_./][A-Za-z0-9_./*-]*$/;
const matching = (pattern: RegExp): Check => [
  `a text that matches ${pattern.source}`,
  (value) => typeof value === 'string' && pattern.test(value),
];
const OPTIONS: Checks<NdjsonStatementOptions> = { table: matching(TABLE), file: matching(FILE) };

const NAME = /^[a-z][a-z0-9_]*$/;
const LIST: Check = ['a list of columns', (value) => Array.isArray(value) && value.length > 0];

type Types = Readonly<Record<NdjsonColumnType, string>>;
const CLICKHOUSE: Types = {
  uuid: 'UUID',
  time: "DateTime64(3, 'UTC')",
  text: 'Nullable(String)',
  count: 'Nullable(UInt64)',
  double: 'Nullable(Float64)',
  boolean: 'Nullable(Bool)',
};
const DUCKDB: Types = { uuid: 'UUID', time: 'TIMESTAMPTZ', text: 'VARCHAR', count: 'BIGINT', double: 'DOUBLE', boolean: 'BOOLEAN' };
const POSTGRES: Types = {
  uuid: 'uuid',
  time: 'timestamptz',
  text: 'text',
  count: 'bigint',
  double: 'double precision',
  boolean: 'boolean',
};
const POLARS: Types = { uuid: 'String', time: 'String', text: 'String', count: 'Int64', double: 'Float64', boolean: 'Boolean' };

/** The columns that each line has. */
const REQUIRED: ReadonlySet<string> = new Set(['id', 'time', 'event']);

/**
 * The statements that make a table with these columns, and load files of lines into it.
 *
 * @param columns From `ndjsonColumns`, perhaps without some; `id`, `time` and `event` are needed.
 * @param options See {@link NdjsonStatementOptions}.
 * @throws TypeError for a list that is no list of columns, or a wrong or unknown option.
 * @example
 * const columns = ndjsonColumns({ product: { name: 'acme' }, standardEvents: ['task_instance'] });
 * const { duckdb } = ndjsonStatements(columns.slice(0, 3), { table: 'acme_events' });
 * console.log(duckdb.createTable.split('\n')[0]); // CREATE TABLE IF NOT EXISTS acme_events (
 */
export function ndjsonStatements(columns: readonly NdjsonColumn[], options: NdjsonStatementOptions = {}): NdjsonStatements {
  const { table = 'usage_events', file = 'events.ndjson.gz' } = checkOptions('options', options, OPTIONS);
  checkValue('columns', columns, LIST);
  for (const { 0: index, 1: column } of columns.entries()) {
    checkValue(`columns[${index}].name`, column?.name, matching(NAME));
    checkValue(`columns[${index}].type`, column.type, [
      `one of ${Object.keys(DUCKDB).join(', ')}`,
      (type) => Object.hasOwn(DUCKDB, type as string),
    ]);
  }
  for (const name of REQUIRED)
    checkValue('columns', columns, [`a list with column ${name}`, () => columns.some((each) => each.name === name)]);
  const names = columns.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new TypeError(`Expected \`columns\` to have each name once, got ${describe(repeated)} twice.`);
  return {
    clickhouse: clickhouse(columns, table, file),
    duckdb: duckdb(columns, table, file),
    postgres: postgres(columns, table, file),
    polars: polars(columns, file),
  };
}

/** One line for each column. */
function lines(columns: readonly NdjsonColumn[], line: (column: NdjsonColumn) => string, end = ','): string {
  return columns.map((column) => `  ${line(column)}`).join(`${end}\n`);
}

function clickhouseType({ name, kind, type }: NdjsonColumn): string {
  if (type !== 'text') return CLICKHOUSE[type];
  const inner = REQUIRED.has(name) ? 'String' : CLICKHOUSE.text;
  // Hashes are many, and other texts are the same few again and again.
  return kind === 'hash' ? inner : `LowCardinality(${inner})`;
}

function clickhouse(columns: readonly NdjsonColumn[], table: string, file: string): NdjsonStatements['clickhouse'] {
  const settings = `SETTINGS date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 1`;
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  const structure = lines(columns, (column) => `"${column.name}" ${clickhouseType(column).replaceAll("'", "''")}`);
  return {
    createTable:
      `CREATE TABLE IF NOT EXISTS ${table} (\n${lines(columns, (column) => `"${column.name}" ${clickhouseType(column)}`)}\n)\n` +
      'ENGINE = ReplacingMergeTree\nPARTITION BY toYYYYMM("time")\nORDER BY ("event", "time", "id");',
    insert: `INSERT INTO ${table}\n${settings}\nFORMAT JSONEachRow`,
    insertFile: `INSERT INTO ${table} (${names})\nSELECT *\nFROM file('${file}', 'JSONEachRow', '\n${structure}\n')\n${settings};`,
    select: `SELECT ${names} FROM ${table} FINAL;`,
  };
}

function keyOf({ name }: NdjsonColumn): string {
  return name === 'id' ? ' PRIMARY KEY' : REQUIRED.has(name) ? ' NOT NULL' : '';
}

function sqlTable(columns: readonly NdjsonColumn[], table: string, types: Types, more: readonly string[] = []): string {
  const all = [lines(columns, (column) => `"${column.name}" ${types[column.type]}${keyOf(column)}`), ...more].join(',\n');
  return `CREATE TABLE IF NOT EXISTS ${table} (\n${all}\n);`;
}

function duckdb(columns: readonly NdjsonColumn[], table: string, file: string): NdjsonStatements['duckdb'] {
  const types = lines(columns, ({ name, type }) => `'${name}': '${DUCKDB[type]}'`);
  return {
    createTable: sqlTable(columns, table, DUCKDB),
    insertFile:
      `INSERT INTO ${table} BY NAME\nSELECT DISTINCT ON ("id") *\n` +
      `FROM read_json('${file}', format = 'newline_delimited', columns = {\n${types}\n})\nON CONFLICT ("id") DO NOTHING;`,
  };
}

function postgres(columns: readonly NdjsonColumn[], table: string, file: string): NdjsonStatements['postgres'] {
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  const keys = columns.map(({ name }) => `'${name}'`).join(', ');
  const types = lines(columns, ({ name, type }) => `"${name}" ${POSTGRES[type]}`);
  return {
    createTable: sqlTable(columns, table, POSTGRES, ['  "_rest" jsonb']),
    // As CSV with quotes and delimiters that JSON writes as escapes only: the text format of COPY would undo the backslashes of JSON.
    insertFile:
      'BEGIN;\nCREATE TEMP TABLE usage_event_lines (line text) ON COMMIT DROP;\n' +
      `\\copy usage_event_lines FROM PROGRAM '${file.endsWith('.gz') ? 'gzip -dc' : 'cat'} ${file}' ` +
      "WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')\n" +
      `INSERT INTO ${table} (${names}, "_rest")\nSELECT x.*, NULLIF(line::jsonb - ARRAY[${keys}], '{}')\n` +
      `FROM usage_event_lines CROSS JOIN LATERAL jsonb_to_record(line::jsonb) AS x (\n${types}\n)\n` +
      'ON CONFLICT ("id") DO NOTHING;\nCOMMIT;',
  };
}

function polars(columns: readonly NdjsonColumn[], file: string): string {
  const schema = columns.map(({ name, type }) => `    "${name}": pl.${POLARS[type]},`).join('\n');
  return `import polars as pl

schema = {
${schema}
}
usage_events = (
    pl.scan_ndjson("${file}", schema=schema)
    .unique("id", keep="first", maintain_order=True)
    .with_columns(pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC"))
    .collect()
)`;
}
