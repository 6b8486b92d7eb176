// Reads files by DuckDB: the groups that a report counts. DuckDB splits and counts; values are decoded afterwards, each distinct one once.
import { closeSync, createReadStream, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, gunzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { columnsOf } from './columns.mjs';

/** The longest line that is read, in bytes. A client sends no URL above 8 KiB, and a relay no line above 16 KiB. */
export const MAX_LINE_BYTES = 32_768;

/** A mistake of whoever runs the program. Its message is all that is shown. */
export class InputError extends Error {}

const NGINX = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d \d{3} \//;
const FORMATS = ['nginx', 'ndjson'];

/**
 * What a file is, by its first bytes.
 *
 * @throws InputError for a file that cannot be read or is empty, or if it is of no known format.
 */
export function inspectFile(file, format) {
  let head = Buffer.alloc(MAX_LINE_BYTES);
  try {
    if (!statSync(file).isFile()) throw new InputError(`${file} is not a file.`);
    const descriptor = openSync(file, 'r');
    try {
      head = head.subarray(0, readSync(descriptor, head));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file} cannot be read: ${error.code === 'ENOENT' ? 'there is no such file' : error.code}.`);
  }
  if (head.length === 0) throw new InputError(`${file} is empty.`);
  const isGzip = head[0] === 0x1f && head[1] === 0x8b;
  if (isGzip) head = inflate(file, head);
  const [line] = head.toString('utf8').trimStart().split('\n', 1);
  if (line === '') throw new InputError(`${file} is empty.`);
  const found = line.startsWith('{') ? 'ndjson' : NGINX.test(line) ? 'nginx' : undefined;
  if (format === undefined && found === undefined) {
    throw new InputError(
      `${file} begins with ${JSON.stringify(line.slice(0, 60))}: that is neither a line of JSON nor of the log format ` +
        `'$time_iso8601 $status $request_uri'. Say --format, if only its first line is broken.`,
    );
  }
  if (format !== undefined && found !== undefined && found !== format) {
    throw new InputError(`${file} begins with a line of format ${found}, and --format is ${format}.`);
  }
  return { file, isGzip, format: format ?? found };
}

function inflate(file, head) {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 64 * MAX_LINE_BYTES });
  } catch (error) {
    throw new InputError(`${file} cannot be decompressed: ${error.code}.`);
  }
}

/**
 * Decompresses files once for their checksums: DuckDB does not look at them, and counts what a damaged or cut off file begins with.
 *
 * @throws InputError that names the file.
 */
async function checkCompressed(files) {
  for (const { file, isGzip } of files) {
    if (!isGzip) continue;
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    try {
      await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), createGunzip({ chunkSize: 1 << 20 }), nowhere);
    } catch (error) {
      throw new InputError(`${file} is damaged or cut off: ${error.code}.`);
    }
  }
}

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

/** As DuckDB reads it: a path is a pattern there. */
const literalPath = (file) => quoted(file.replaceAll(/[[*?]/g, '[$&]'));

/**
 * The lines of files as a table of one column. CSV without quotes, and with a delimiter that no line has; what is no UTF-8 or too long is
 * rejected, and counted.
 */
function linesOf(files) {
  const from = (isGzip) => {
    const paths = files.filter((each) => each.isGzip === isGzip).map(({ file }) => literalPath(file));
    if (paths.length === 0) return [];
    return `SELECT line FROM read_csv([${paths.join()}], columns = {'line': 'VARCHAR'}, auto_detect = false, header = false,
      delim = '\u0001\u0002\u0001\u0002', quote = '', escape = '', comment = '', new_line = '\\n', strict_mode = false,
      compression = '${isGzip ? 'gzip' : 'none'}', max_line_size = ${MAX_LINE_BYTES}, ignore_errors = true, store_rejects = true)`;
  };
  return `SELECT line FROM (${[from(false), from(true)].flat().join(' UNION ALL ')}) WHERE line IS NOT NULL`;
}

/** The segments of a path of Cosmos before 1.12, which had its values there. */
const OLD_SEGMENTS = ['cosmos_version', 'airflow_version', 'python_version', 'platform_system', 'platform_machine', 'event_type'];
OLD_SEGMENTS.push('status', 'dag_hash', 'task_count', 'cosmos_task_count', 'execution_modes');
const TYPE_AT = OLD_SEGMENTS.indexOf('event_type') + 1;
const NUMBER_OF_SEGMENTS = { v1: 10, v2: 11 };

/** A path of old as a query. Its values are percent-encoded twice, and a plus sign is one. */
const OLD_QUERY = OLD_SEGMENTS.map(
  (name, index) => `'&${name}=' || replace(replace(coalesce(segments[${index + 1}], ''), '%25', '%'), '+', '%2B')`,
).join(' || ');

/** The parts of each line of an access log. `reason` says why a line is no event. */
function parsedLog(lines, columns) {
  // The first value of a name. Without one it is empty, and an empty value says nothing.
  const values = Object.entries(columns).map(
    ([name, { field }]) => `nullif(split_part(split_part(query, '&${field}=', 2), '&', 1), '') AS "${name}"`,
  );
  return `
    WITH lines AS (${lines}),
    parts AS (
      SELECT try_cast(substr(line, 1, 25) AS TIMESTAMPTZ) AS moment, substr(line, 27, 3) AS code, substr(line, 31) AS whole,
        line[26] = ' ' AND line[30] = ' ' AND line[11] = 'T' AND line[31] = '/' AS is_format
      FROM lines
    ),
    targets AS (
      SELECT moment, code,
        is_format AND moment IS NOT NULL AND NOT contains(target, ' ') AND regexp_full_match(code, '\\d{3}') AS is_format,
        split_part(target, '?', 1) AS path,
        CASE WHEN contains(target, '?') THEN '&' || substr(target, strpos(target, '?') + 1) ELSE '' END AS own_query
      FROM (SELECT *, CASE WHEN starts_with(whole, '/astronomer-cosmos/') THEN substr(whole, 19) ELSE whole END AS target FROM parts)
    ),
    split AS (
      SELECT *, CASE WHEN starts_with(path, '/v1/') OR starts_with(path, '/v2/') THEN string_split(substr(path, 5), '/') END AS segments
      FROM targets
    ),
    named AS (
      SELECT *, CASE
          WHEN starts_with(path, '/v3/') THEN substr(path, 5)
          WHEN len(segments) = CASE path[3] WHEN '1' THEN ${NUMBER_OF_SEGMENTS.v1} ELSE ${NUMBER_OF_SEGMENTS.v2} END
          THEN segments[${TYPE_AT}]
        END AS type,
        CASE WHEN segments IS NULL THEN own_query ELSE ${OLD_QUERY} END AS query
      FROM split
    ),
    judged AS (
      SELECT *, CASE
          WHEN NOT is_format THEN 'not_format'
          WHEN type IS NULL OR NOT regexp_full_match(type, '[a-z][a-z0-9_]{0,31}') THEN 'other_path'
          WHEN code[1] <> '2' THEN 'status_' || code
        END AS reason
      FROM named
    )
    SELECT reason, NULL AS id, make_timestamp(epoch_us(moment))::DATE AS day, type AS event, ${values.join(', ')} FROM judged`;
}

/** The values of each line of JSON. */
function parsedLines(lines, columns) {
  const fields = ['id', 'time', 'event', ...Object.values(columns).map(({ field }) => field)];
  const values = Object.keys(columns).map((name, index) => `found[${index + 4}] AS "${name}"`);
  return `
    WITH lines AS (${lines}),
    found AS (
      SELECT CASE WHEN json_valid(line) THEN json_extract_string(line, [${fields.map((field) => `'$.${field}'`).join()}]) END AS found,
        starts_with(ltrim(line), '{') AS is_object
      FROM lines
    ),
    judged AS (
      SELECT found, CASE WHEN regexp_full_match(found[2], '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z') THEN
          try_cast(substr(found[2], 1, 23) AS TIMESTAMP)::DATE END AS found_day,
        CASE WHEN year(found_day) BETWEEN 1970 AND 2299 THEN found_day END AS day,
        CASE WHEN regexp_full_match(found[1], '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}') THEN try_cast(found[1] AS UUID) END AS id,
        is_object
      FROM found
    )
    SELECT CASE
        WHEN found IS NULL THEN 'not_json'
        WHEN NOT is_object THEN 'not_object'
        WHEN id IS NULL THEN 'bad_id'
        WHEN day IS NULL THEN 'bad_time'
        WHEN found[3] IS NULL OR NOT regexp_full_match(found[3], '[a-z][a-z0-9_]{0,31}') THEN 'bad_event'
      END AS reason, id, day, found[3] AS event, ${values.join(', ')}
    FROM judged`;
}

/** What is counted together. One pass counts all of them. */
const GROUPS = {
  reasons: ['reason'],
  days: ['day', 'event', 'version', 'ci'],
  outcomes: ['event', 'version', 'status'],
  databases: ['event', 'database'],
  modes: ['event', 'mode'],
  modeSets: ['event', 'modes'],
  airflow: ['airflow'],
  python: ['python'],
};

/** Counts the lines of a table or query with the columns of a parsed line. */
async function countGroups(connection, parsed, columns) {
  const names = ['reason', 'day', 'event', ...Object.keys(columns)];
  const sets = Object.values(GROUPS).map((group) => `(${group.map((name) => `"${name}"`).join()})`);
  // A line that is no event has a reason only.
  const own = names.slice(1).map((name) => `CASE WHEN reason IS NULL THEN "${name}" END AS "${name}"`);
  const reader = await connection.streamAndRead(`
    SELECT grouping(${names.map((name) => `"${name}"`).join()})::INTEGER AS which, reason, day::VARCHAR AS day, ${names
      .slice(2)
      .map((name) => `"${name}"`)
      .join()},
      count(*)::DOUBLE AS lines, (count(*) FILTER (WHERE is_event))::DOUBLE AS events
    FROM (SELECT reason, reason IS NULL AS is_event, ${own.join()} FROM (${parsed}))
    GROUP BY GROUPING SETS (${sets.join()})`);
  await reader.readAll();
  const masks = new Map(
    Object.entries(GROUPS).map(([group, keys]) => [
      names.reduce((mask, name, index) => mask + (keys.includes(name) ? 0 : 2 ** (names.length - 1 - index)), 0),
      group,
    ]),
  );
  const counted = Object.fromEntries(Object.keys(GROUPS).map((group) => [group, []]));
  for (const row of reader.getRowObjectsJS()) counted[masks.get(row.which)].push(row);
  return counted;
}

/** Removes all but the first line of each id. Few ids are there twice, so only these are sorted. @returns How many lines are removed. */
async function removeRepeated(connection) {
  await connection.run(`CREATE TEMP TABLE repeated AS SELECT id FROM facts WHERE reason IS NULL GROUP BY id HAVING count(*) > 1`);
  const result = await connection.run(`
    DELETE FROM facts WHERE rowid IN (
      SELECT line_at FROM (
        SELECT facts.rowid AS line_at, row_number() OVER (PARTITION BY id ORDER BY facts.rowid) AS copy
        FROM facts JOIN repeated USING (id) WHERE reason IS NULL
      ) WHERE copy > 1)`);
  return result.rowsChanged;
}

/** Lines that DuckDB rejected, by reason. */
async function rejectedLines(connection) {
  const tables = await connection.runAndReadAll(`SELECT 1 FROM duckdb_tables() WHERE table_name = 'reject_errors'`);
  if (tables.currentRowCount === 0) return [];
  const reader = await connection.runAndReadAll(`
    SELECT
      CASE error_type WHEN 'INVALID ENCODING' THEN 'not_utf8' WHEN 'LINE SIZE OVER MAXIMUM' THEN 'too_long' ELSE 'not_format' END AS reason,
      count(DISTINCT (scan_id, file_id, line, byte_position))::DOUBLE AS lines FROM reject_errors GROUP BY ALL`);
  return reader.getRowObjectsJS();
}

/**
 * Reads files and counts what is in them.
 *
 * @param files Paths.
 * @param options `product`; `format` (found in the files by default); `memory`, the limit of DuckDB's memory, as `1GB`.
 * @returns The format, the counted groups with values as they were sent, and how many lines repeat an id.
 * @throws InputError for files that cannot be read.
 */
export async function readFiles(files, { product, format, memory = '1GB' }) {
  if (format !== undefined && !FORMATS.includes(format)) {
    throw new InputError(`--format is ${FORMATS.join(' or ')}, not ${JSON.stringify(format)}.`);
  }
  const inspected = files.map((file) => inspectFile(file, format));
  const [first, ...others] = inspected;
  const other = others.find((each) => each.format !== first.format);
  if (other !== undefined) throw new InputError(`${first.file} is ${first.format}, and ${other.file} is ${other.format}: run twice.`);
  const columns = columnsOf(product);
  const checked = checkCompressed(inspected);
  checked.catch(() => undefined);
  const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-insights-'));
  let database;
  try {
    // Nothing is loaded from the network.
    const settings = { memory_limit: memory, temp_directory: join(folder, 'spill'), autoinstall_known_extensions: 'false' };
    database = await DuckDBInstance.create(join(folder, 'facts.duckdb'), settings);
    const connection = await database.connect();
    const lines = linesOf(inspected);
    let counted;
    let repeated = 0;
    if (first.format === 'nginx') counted = await countGroups(connection, parsedLog(lines, columns), columns);
    else {
      await connection.run(`CREATE TABLE facts AS ${parsedLines(lines, columns)}`);
      repeated = await removeRepeated(connection);
      counted = await countGroups(connection, 'FROM facts', columns);
    }
    counted.reasons.push(...(await rejectedLines(connection)));
    await checked;
    connection.closeSync();
    return { format: first.format, counted, repeated };
  } catch (error) {
    if (/memory_limit|Out of Memory/i.test(String(error))) throw new InputError(`--memory ${memory}: ${error.message.split('\n')[0]}`);
    throw error;
  } finally {
    database?.closeSync();
    rmSync(folder, { recursive: true, force: true });
  }
}
