// Events that real clients post, as a file of gzip members, and what each of them was when it was published.
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { boolean, collectStandardUsageMetrics, count, createTelemetry, defineEvent, duration, hash, identifier } from 'cosmos-telemetry';
import { identifierSet, oneOf, optional, version } from 'cosmos-telemetry';
import { ndjsonLine, ndjsonTransport } from 'cosmos-telemetry/ndjson';
import { testEnvironment } from 'cosmos-telemetry/testing';
import { startNginx, whyNoNginx } from './nginx.mjs';
import { startReceiver, startRelay } from './receiver.mjs';

const note = { description: 'For the test of the engines.', reason: 'To see that it is read back.' };

/** Texts that readers get wrong, and what they are in a line. */
const WORDS = new Map(
  [
    'plain',
    '',
    ' space at both ends ',
    'quote " and \\ and \\" and \\\\',
    'tab\tnewline\nreturn\r and \b\f',
    '\u0001\u0002\u001e\u001f',
    "'; DROP TABLE usage_events; --",
    '{"id":1}',
    '\\.',
    '\\N',
    'null',
    'NaN',
    '007',
    '1e5',
    'true',
    '2026-11-28T22:30:00.000Z',
    'é 日本 😀 \u{10FFFF}',
    'line\u2028paragraph\u2029next\u0085end',
    '\uFEFFbyte order mark',
    '<b>&amp;</b>',
    '$1 {{x}} %s',
    'x'.repeat(256),
  ].map((word) => [word, word]),
)
  .set('half \uD83D', 'half \uFFFD')
  .set('\uDE00 the other', '\uFFFD the other')
  .set('zero \0', 'zero \uFFFD');
const words = [...WORDS.keys()];

const probe = {
  seq: count(note),
  took: duration(note),
  word: oneOf(words, note),
  big: optional(count(note)),
  flag: optional(boolean(note)),
  digest: optional(hash(note)),
  modes: optional(identifierSet(note)),
  tool: optional(version(note)),
  // Names that SQL reserves, and those that lines begin with.
  order: optional(identifier(note)),
  user: optional(count(note)),
  group: optional(boolean(note)),
  select: optional(duration(note)),
  id: optional(oneOf(['own id'], note)),
  time: optional(count(note)),
  event: optional(boolean(note)),
};

/** The description of the product, from which the columns are made. */
export const acme = {
  product: { name: 'acme', version: '1.2.0' },
  host: { name: 'airflow', version: '2.10.1+astro.3', pythonVersion: '3.11.7' },
  dbt: true,
  executionModes: ['local', 'container'],
  dagHash: (dagId) => createHash('md5').update(dagId).digest('hex'),
  common: { ci: { field: boolean(note), value: true } },
  events: [defineEvent('probe', probe)],
};

/** A newer version of it, which sends a field without a column. */
const newer = {
  ...acme,
  product: { name: 'acme', version: '1.3.0' },
  events: [defineEvent('probe', { ...probe, extra: optional(count(note)) })],
};

/** `seq` of what goes through nginx, of what the newer version sends, of what is made by hand, and how many events each way has. */
const BY_NGINX = 2000;
const NEWER = 3000;
const BY_HAND = 4000;

/** What is published as event `seq`: only later events have some fields, and a fraction. */
function published(seq) {
  const word = words[seq % words.length];
  const isLate = seq >= 1500;
  return {
    seq,
    took: isLate ? (seq % 40) * 0.25 : seq % 40,
    word,
    ...(isLate && {
      big: seq % 2 === 0 ? 2 ** 53 : 2 ** 53 - 1 - (seq % 7),
      flag: seq % 3 === 0,
      digest: `0${seq}e${1000 + seq}`,
      modes: 'local__container',
    }),
    ...(seq % 5 === 0 && { tool: '1.10', order: 'desc', user: seq, group: seq % 2 === 0, select: 7, id: 'own id', time: seq, event: true }),
    ...(seq >= NEWER && seq < BY_HAND && { extra: seq }),
  };
}

/** The row of a published event, without its id and time. */
function rowOf(metrics, release) {
  const { id, time, event, word, big, digest, extra: _, ...rest } = metrics;
  const {
    ['acme_version']: __,
    ['airflow_version']: ___,
    ...standard
  } = collectStandardUsageMetrics({ product: acme.product, host: acme.host });
  return {
    event: 'probe',
    acme_version: release,
    airflow_version: '2.10.1+astro.3',
    ...standard,
    ci: true,
    ...rest,
    word: WORDS.get(word),
    ...(big !== undefined && { big: Math.min(big, Number.MAX_SAFE_INTEGER) }),
    ...(digest !== undefined && { digest: `h${digest}` }),
    ...(id !== undefined && { field_id: id, field_time: time, field_event: event }),
  };
}

const TASK = {
  status: 'success',
  operator_name: 'AcmeRun',
  is_mapped_task: true,
  has_callback: false,
  execution_mode: 'local',
  invocation_mode: 'dbt_runner',
  dbt_command: 'run --full-refresh',
  install_deps: null,
  is_acme_operator_subclass: false,
  profile_strategy: null,
};

/** Extremes, which no client of today sends: `ndjsonLine` is given them by hand. */
const BY_HAND_EVENTS = [
  { timeMs: 0, took: 5e-324 },
  { timeMs: 1, took: Number.MAX_VALUE },
  { timeMs: Date.UTC(2299, 11, 31, 23, 59, 59, 999), took: 1e-7 },
  { timeMs: Date.UTC(2026, 9, 25, 1, 30), took: 0.1 + 0.2 },
  { timeMs: Date.UTC(2026, 9, 25, 0, 30), took: 1e21 },
  { timeMs: Date.UTC(2026, 2, 8, 7, 30, 0, 7), took: 123_456_789_012_345_680_000 },
];

/**
 * Publishes the events. A receiver writes what `ndjsonTransport` posts to a file: from a client, from another one through a relay, what nginx keeps
 * of a third, and a few events that are made by hand.
 *
 * @returns The expected rows by id, each with `time` in milliseconds since 1970, the lines of the file, and what was posted.
 */
export async function writeEvents(file) {
  const expected = new Map();
  const folder = dirname(file);
  const receiver = await startReceiver(file);
  const relay = await startRelay({ folder, forward: receiver.url });
  const nginx = whyNoNginx() === undefined ? await startNginx(folder) : undefined;
  const publishProbe = (telemetry, seq) => {
    expected.set(`probe ${seq}`, rowOf(published(seq), '1.2.0'));
    telemetry.publish('probe', published(seq));
  };
  await publish(acme, receiver.url, (telemetry) => {
    for (let seq = 0; seq < BY_NGINX; seq += 1) {
      publishProbe(telemetry, seq);
      if (seq % 4 !== 0) continue;
      const took = (seq % 16) * 0.25;
      const { install_deps: _, profile_strategy: __, ...values } = TASK;
      expected.set(`task_instance ${seq}`, {
        ...rowOf({}, '1.2.0'),
        event: 'task_instance',
        word: undefined,
        ...values,
        attempt: seq,
        duration: took,
      });
      telemetry.publish('task_instance', { ...TASK, attempt: seq, duration: took });
    }
  });
  await publish(acme, nginx?.url ?? receiver.url, (telemetry) => {
    // A body of one event is too small to be compressed.
    for (let seq = BY_NGINX; seq < NEWER - 1; seq += 1) publishProbe(telemetry, seq);
  });
  await publish(acme, nginx?.url ?? receiver.url, (telemetry) => publishProbe(telemetry, NEWER - 1));
  const byNginx = await nginx?.stop(file);
  await publish(newer, relay.url, (telemetry) => {
    for (let seq = NEWER; seq < BY_HAND; seq += 1) {
      expected.set(`probe ${seq}`, rowOf(published(seq), '1.3.0'));
      telemetry.publish('probe', published(seq));
    }
  });
  await relay.stop();
  receiver.close();
  const kinds = { seq: 'count', took: 'duration', word: 'oneOf' };
  for (const [index, { timeMs, took }] of BY_HAND_EVENTS.entries()) {
    const seq = BY_HAND + index;
    expected.set(`probe ${seq}`, { event: 'probe', seq, took, word: 'plain' });
    const id = `00000000-0000-7000-8000-${String(index).padStart(12, '0')}`;
    const event = { id, timeMs, type: 'probe', metrics: { seq, took, word: 'plain' }, kindOf: (name) => kinds[name] };
    appendFileSync(file, gzipSync(`${ndjsonLine(event)}\n`));
  }
  return { rows: withIds(expected, file), lines: linesOf(file), posts: receiver.posts, byNginx };
}

/** All lines, the repeated ones too. */
function linesOf(file) {
  return gunzipSync(readFileSync(file)).toString('utf8').split('\n').slice(0, -1);
}

/** Ids and times are made by the client: they are read from the lines, by Node. */
function withIds(expected, file) {
  const rows = new Map();
  for (const line of linesOf(file)) {
    const { id, time, event, seq, attempt } = JSON.parse(line);
    const row = expected.get(`${event} ${seq ?? attempt}`);
    if (row === undefined) throw new Error(`a line that nobody published: ${line}`);
    rows.set(id, { id, time: Date.parse(time), ...row });
  }
  if (rows.size !== expected.size) throw new Error(`${expected.size} events were published, and the file has ${rows.size}`);
  return rows;
}

async function publish(description, endpoint, run) {
  const env = testEnvironment('acme');
  const transport = ndjsonTransport({ endpoint, env });
  const telemetry = createTelemetry({ ...description, transport, env, maxPendingEvents: 10_000 });
  run(telemetry);
  await telemetry.drain({ deadlineMs: 30_000 });
  const report = await telemetry.close();
  if (report.sent !== report.published || report.pending > 0) throw new Error(`not all events were sent: ${JSON.stringify(report)}`);
}
