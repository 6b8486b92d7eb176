// A made-up fleet of installations of Cosmos, with a seed, whose answers are known exactly: each is counted as its line is written.
// Usage: node make-fleet.mjs --events 20000 --seed 1 --out fleet.log [--format nginx|ndjson]
// FILE.gz is written as gzip members, one after another, as a file to which batches are appended. FILE.answers.json has the answers.
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

const DAY_MS = 86_400_000;
const FIRST_DAY_MS = Date.UTC(2026, 8, 1);
const DAYS = 60;

/** Each version with the day of its release, and how many of a thousand tasks fail with it. */
const VERSIONS = [
  { version: '1.10.2', day: -400, failing: 21 },
  { version: '1.11.0', day: -90, failing: 19 },
  { version: '1.11.1', day: -30, failing: 18 },
  { version: '1.12.0', day: 8, failing: 55 },
  { version: '1.12.1', day: 16, failing: 17 },
  { version: '1.13.0rc1', day: 34, failing: 40 },
  { version: '1.13.0', day: 44, failing: 12 },
];
const AIRFLOW = ['2.9.3', '2.10.1', '2.10.5+astro.3', '3.0.2', '3.1.0'];
const PYTHON = ['3.10.14', '3.11.7', '3.12.4'];
const DATABASES = ['snowflake', 'postgres', 'bigquery', 'databricks', 'redshift', 'duckdb'];
const MODES = ['local', 'kubernetes', 'virtualenv', 'docker', 'watcher'];
const COMMANDS = ['run', 'test', 'build', 'seed', 'snapshot', 'run --full-refresh'];

/** What a stranger sends to an open endpoint: none of it may become a part of the page. */
export const HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "'; DROP TABLE facts; --", 'a & b'];

/** mulberry32: numbers from 0 to 1, the same for the same seed. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Small indexes more often than large ones. */
const lower = (random, length) => Math.floor(random() ** 2 * length);

/** Whoever has it updates some days after a release, or never. */
function makeInstallation(random) {
  const delay = random() < 0.2 ? 1000 : 1 + lower(random, 40);
  return {
    delay,
    tests: random() < 0.1,
    isCi: random() < 0.15,
    airflow: AIRFLOW[lower(random, AIRFLOW.length)],
    python: PYTHON[lower(random, PYTHON.length)],
    database: DATABASES[lower(random, DATABASES.length)],
    mode: MODES[lower(random, MODES.length)],
    second: random() < 0.25 ? MODES[Math.floor(random() * MODES.length)] : undefined,
    system: random() < 0.9 ? 'Linux' : 'Darwin',
  };
}

/** The newest release that an installation has on a day. Few test release candidates, and have each version at once. */
function versionOn({ delay, tests }, day) {
  const isRunning = (release) => (tests ? release.day <= day : release.day + delay <= day && !release.version.includes('rc'));
  return VERSIONS.findLast(isRunning) ?? VERSIONS[0];
}

const bump = (counts, key, by = 1) => (counts[key] = (counts[key] ?? 0) + by);

/** The answers, in the same words as those of a report. */
function emptyAnswers() {
  return {
    lines: 0,
    events: 0,
    repeated: 0,
    notUnderstood: {},
    badValues: {},
    days: {},
    versions: {},
    versionDays: {},
    databases: {},
    modes: {},
    outcomes: { runs: {}, tasks: {} },
    airflow: {},
    python: {},
  };
}

function countEvent(answers, { type, day, fields }) {
  const { cosmos_version: version = '', airflow_version: airflow = '', python_version: python = '', ci } = fields;
  const kind = { task_instance: 'tasks', dag_run: 'runs' }[type];
  answers.events += 1;
  const of = (answers.days[day] ??= { events: 0, tasks: 0, runs: 0, installations: 0, ci: 0 });
  const release = (answers.versions[version] ??= { events: 0, installations: 0, first: day, last: day });
  of.events += 1;
  release.events += 1;
  if (day < release.first) release.first = day;
  if (day > release.last) release.last = day;
  bump(answers.airflow, airflow);
  bump(answers.python, python);
  if (type === 'active') {
    of.installations += 1;
    release.installations += 1;
    bump((answers.versionDays[day] ??= {}), version);
    if (ci === true) of.ci += 1;
  }
  if (kind === undefined) return;
  of[kind] += 1;
  const outcome = (answers.outcomes[kind][version] ??= { succeeded: 0, failed: 0, others: 0 });
  outcome[fields.status === 'success' ? 'succeeded' : fields.status === 'failed' ? 'failed' : 'others'] += 1;
  const database = HOSTILE.includes(fields.database) ? '' : (fields.database ?? '');
  (answers.databases[database] ??= { tasks: 0, runs: 0 })[kind] += 1;
  const modes = kind === 'tasks' ? [fields.execution_mode ?? ''] : new Set((fields.execution_modes ?? '').split('__'));
  for (const mode of modes) (answers.modes[mode] ??= { tasks: 0, runs: 0 })[kind] += 1;
  if (HOSTILE.includes(fields.database)) bump(answers.badValues, 'database');
}

/** As Python writes it: `quote_plus` of `str(value)`. The version of Airflow is quoted before, too. */
function pair(name, value) {
  const text = value === null ? 'None' : value === true ? 'True' : value === false ? 'False' : String(value);
  const quoted = name === 'airflow_version' ? encodeURIComponent(text) : text;
  return `${name}=${encodeURIComponent(quoted)
    .replaceAll('%20', '+')
    .replaceAll(/[!'()*]/g, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`)}`;
}

/** What was made of a value of a field. Most come again and again. */
function remembered(make) {
  const known = new Map();
  return (name, value) => {
    let values = known.get(name);
    if (values === undefined) known.set(name, (values = new Map()));
    let text = values.get(value);
    if (text === undefined) values.set(value, (text = make(name, value)));
    return text;
  };
}

const knownPair = remembered(pair);
const knownMember = remembered((name, value) => `,"${name}":${JSON.stringify(value)}`);

/** Fields whose values hardly come again. */
const RARE = new Set(['duration', 'dag_hash']);

const timeText = (ms) => new Date(ms).toISOString();

/** nginx writes the zone of its machine: here that of Berlin in summer, so that the day of the line is not always that of the event. */
const ZONE_MS = 2 * 3_600_000;

function logLine(event) {
  const time = `${timeText(event.ms + ZONE_MS).slice(0, 19)}+02:00`;
  let query = '';
  for (const name in event.fields) {
    const value = event.fields[name];
    if (value !== undefined) query += (query === '' ? '?' : '&') + (RARE.has(name) ? `${name}=${value}` : knownPair(name, value));
  }
  return `${time} ${event.code ?? 204} /v3/${event.type}${query}`;
}

function jsonLine(event) {
  let line = `{"id":"${event.id}","time":"${timeText(event.ms)}","event":"${event.type}"`;
  for (const name in event.fields) {
    const value = event.fields[name];
    if (value === undefined || value === null) continue;
    if (name === 'duration') line += `,"duration":${value}${Number.isInteger(value) ? '.0' : ''}`;
    else if (name === 'dag_hash') line += `,"dag_hash":"h${value}"`;
    else line += knownMember(name, value);
  }
  return `${line}}`;
}

/** Eight hex digits. */
const hex = (random) =>
  Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');

/** Lines that are no event, each with the reason that a report gives. */
const BROKEN = {
  nginx: [
    { reason: 'other_path', line: '2026-09-02T06:05:03+02:00 404 /favicon.ico' },
    { reason: 'other_path', line: '2026-09-02T06:05:03+02:00 204 /v3/Bad%20Type?status=success' },
    { reason: 'not_format', line: '2026-09-02T06:05:03+02:00 204' },
    { reason: 'not_format', line: '127.0.0.1 - - [02/Sep/2026:06:05:03 +0200] "GET /v3/dag_run?status=success HTTP/1.1" 204 0' },
    { reason: 'not_format', line: '2026-02-30T06:05:03+02:00 204 /v3/dag_run?status=success' },
    { reason: 'status_503', line: '2026-09-02T06:05:03+02:00 503 /v3/dag_run?status=success' },
    { reason: 'too_long', line: `2026-09-02T06:05:03+02:00 204 /v3/dag_run?status=${'x'.repeat(40_000)}` },
    { reason: 'not_utf8', line: Buffer.from([0x32, 0x30, 0x32, 0x36, 0xff, 0xfe]) },
  ],
  ndjson: [
    { reason: 'not_json', line: '{"id":"00000000-0000-7000-8000-000000000000","time":"2026-09-02T06:' },
    { reason: 'not_object', line: '["dag_run"]' },
    { reason: 'bad_id', line: '{"id":"1","time":"2026-09-02T06:05:03.000Z","event":"dag_run"}' },
    { reason: 'bad_time', line: '{"id":"00000000-0000-7000-8000-000000000000","time":"2026-02-30T06:05:03.000Z","event":"dag_run"}' },
    { reason: 'bad_event', line: '{"id":"00000000-0000-7000-8000-000000000000","time":"2026-09-02T06:05:03.000Z","event":"Dag Run"}' },
    { reason: 'too_long', line: `{"id":"${'x'.repeat(40_000)}"}` },
    { reason: 'not_utf8', line: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) },
  ],
};

/** The events of a fleet, day after day: each installation's daily event, then what its runs and tasks send. */
function* eventsOf(total, random) {
  const installations = Array.from({ length: Math.max(1, Math.round((total * 0.06) / DAYS)) }, () => makeInstallation(random));
  let left = total;
  for (let day = 0; day < DAYS; day += 1) {
    const midnight = FIRST_DAY_MS + day * DAY_MS;
    const date = timeText(midnight).slice(0, 10);
    const isWeekend = new Date(midnight).getUTCDay() % 6 === 0;
    const today = installations.filter(() => random() < (isWeekend ? 0.5 : 0.9));
    const share = day === DAYS - 1 ? left : Math.min(left, Math.round((left / (DAYS - day)) * (isWeekend ? 0.6 : 1.2)));
    for (let index = 0; index < share; index += 1) {
      const isDaily = index < today.length;
      const installation = isDaily ? today[index] : installations[lower(random, installations.length)];
      const release = versionOn(installation, day);
      const ms = midnight + Math.floor(((index + random()) / share) * DAY_MS);
      const standard = {
        cosmos_version: release.version,
        airflow_version: installation.airflow,
        python_version: installation.python,
        platform_system: installation.system,
        platform_machine: 'x86_64',
      };
      const kind = random();
      // A field that only later events have.
      const ci = day >= DAYS / 2 ? installation.isCi : undefined;
      if (isDaily) yield { type: 'active', ms, day: date, fields: { ...standard, ci } };
      else if (kind < 0.01) yield { type: 'dbt_docs_access', ms, day: date, fields: { ...standard, ...DOCS } };
      else if (kind < 0.3) yield { type: 'dag_run', ms, day: date, fields: { ...standard, ...run(installation, release, random) } };
      else yield { type: 'task_instance', ms, day: date, fields: { ...standard, ...task(installation, release, day, random) } };
    }
    left -= share;
  }
}

const DOCS = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };

/** As Cosmos writes them: sorted, each once. */
function modesOf(mode, second) {
  if (second === undefined || second === mode) return mode;
  return mode < second ? `${mode}__${second}` : `${second}__${mode}`;
}

function run({ mode, second, database }, { failing }, random) {
  return {
    dag_hash: hex(random) + hex(random) + hex(random) + hex(random),
    status: random() * 1000 < failing * 2 ? 'failed' : 'success',
    task_count: 1 + lower(random, 60),
    cosmos_task_count: 1 + lower(random, 40),
    execution_modes: modesOf(mode, second),
    used_automatic_load_mode: true,
    invocation_mode: 'dbt_runner',
    database: random() < 0.8 ? database : null,
  };
}

function task({ mode, second, database }, { failing }, day, random) {
  const chance = random();
  return {
    status: random() * 1000 < failing ? 'failed' : 'success',
    operator_name: 'DbtRunLocalOperator',
    invocation_mode: 'dbt_runner',
    execution_mode: second !== undefined && random() < 0.3 ? second : mode,
    profile_strategy: 'mapping',
    profile_mapping_class: 'PostgresUserPasswordProfileMapping',
    // Letters beyond ASCII are allowed, and late.
    database: chance < 0.001 ? HOSTILE[Math.floor(random() * HOSTILE.length)] : chance < 0.003 && day > 40 ? 'größe_日本' : database,
    is_mapped_task: false,
    is_cosmos_operator_subclass: false,
    dbt_command: COMMANDS[lower(random, COMMANDS.length)],
    install_deps: true,
    has_callback: false,
    duration: Math.round(random() * 4000) / 16,
  };
}

/** Requests of Cosmos 1.11 had their values in the path. */
const OLD_PATH = ['cosmos_version', 'airflow_version', 'python_version', 'platform_system', 'platform_machine'];

function oldLine(event) {
  const { fields } = event;
  const own = [event.type, fields.status, fields.dag_hash, fields.task_count, fields.cosmos_task_count, fields.execution_modes];
  const segments = [...OLD_PATH.map((name) => fields[name]), ...own].map((text) => encodeURIComponent(encodeURIComponent(String(text))));
  return `${timeText(event.ms + ZONE_MS).slice(0, 19)}+02:00 200 /v2/${segments.join('/')}`;
}

/** Some lines are broken, and some lines of JSON are there twice. */
const EVERY = 997;

/**
 * Writes the events of a fleet.
 *
 * @param options `events`: how many; `seed`; `format`: nginx or ndjson; `write`: is given a line at a time, as text or bytes.
 * @returns The answers.
 */
export function makeFleet({ events, seed, format, write }) {
  const random = randomOf(seed);
  const answers = emptyAnswers();
  const put = (line) => {
    answers.lines += 1;
    write(line);
  };
  let index = 0;
  let kept;
  for (const event of eventsOf(events, random)) {
    if (index % EVERY === 7) {
      const broken = BROKEN[format];
      const { reason, line } = broken[((index - 7) / EVERY) % broken.length];
      bump(answers.notUnderstood, reason);
      put(line);
    }
    if (format === 'nginx') {
      const isOld = event.type === 'dag_run' && event.fields.cosmos_version.startsWith('1.10');
      if (isOld) delete event.fields.database;
      put(isOld ? oldLine(event) : logLine(event));
    } else {
      const [one, two, three] = [hex(random), hex(random), hex(random)];
      const id = `${one}-${two.slice(4)}-7${two.slice(1, 4)}-8${three.slice(5)}-${hex(random)}${three.slice(0, 4)}`;
      const line = jsonLine({ ...event, id });
      put(line);
      if (index % EVERY === 500) kept = line;
      if (index % EVERY === 900 && kept !== undefined) {
        answers.repeated += 1;
        put(kept);
      }
    }
    countEvent(answers, event);
    index += 1;
  }
  return answers;
}

/** Writes a fleet to a file. @returns The answers. */
export function writeFleet(file, { events, seed, format }) {
  const descriptor = openSync(file, 'w');
  let parts = [];
  let bytes = 0;
  const flush = () => {
    const body = Buffer.concat(parts);
    writeSync(descriptor, file.endsWith('.gz') ? gzipSync(body, { level: 6 }) : body);
    parts = [];
    bytes = 0;
  };
  let text = [];
  const flushText = () => {
    if (text.length > 0) parts.push(Buffer.from(`${text.join('\n')}\n`));
    text = [];
  };
  const write = (line) => {
    if (typeof line === 'string') text.push(line);
    else {
      flushText();
      parts.push(line, Buffer.from('\n'));
    }
    bytes += line.length;
    if (bytes < 1 << 20) return;
    flushText();
    flush();
  };
  try {
    const answers = makeFleet({ events, seed, format, write });
    flushText();
    if (parts.length > 0) flush();
    return answers;
  } finally {
    closeSync(descriptor);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: {
      events: { type: 'string' },
      seed: { type: 'string' },
      out: { type: 'string' },
      format: { type: 'string', default: 'nginx' },
    },
  });
  const events = Number(values.events);
  const seed = Number(values.seed ?? 1);
  const isKnown = Number.isSafeInteger(events) && events > 0 && Number.isSafeInteger(seed) && Object.hasOwn(BROKEN, values.format);
  if (!isKnown || values.out === undefined) {
    console.error('Usage: node make-fleet.mjs --events NUMBER --out FILE [--seed NUMBER] [--format nginx|ndjson]');
    process.exitCode = 2;
  } else {
    const answers = writeFleet(values.out, { events, seed, format: values.format });
    writeFileSync(`${values.out}.answers.json`, JSON.stringify(answers, null, 2));
    console.log(`${values.out}: ${answers.lines} lines, ${answers.events} events`);
  }
}
