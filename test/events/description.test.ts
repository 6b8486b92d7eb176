import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { createTelemetryCli } from '../../src/cli/index.js';
import {
  boolean,
  count,
  createTelemetry,
  defineEvent,
  duration,
  identifier,
  nullable,
  oneOf,
  optional,
  renderPrivacyNotice,
} from '../../src/index.js';
import type { TelemetryOptions } from '../../src/index.js';
import { CLIENT_KEYS } from '../../src/events/description.js';
import { recordingTransport } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { runCli } from '../helpers/run-cli.js';

const NOTE = { description: 'What it says.', reason: 'To know it.' };
const BASE = { product: { name: 'acme', version: '1.0.0' }, env: {} };

const COMMON = {
  ci: { field: boolean(NOTE), value: true },
  edition: { field: oneOf(['free', 'paid'], NOTE), value: 'paid' },
  started_in: { field: duration(NOTE), value: 7 },
  site: { field: optional(identifier(NOTE)), value: undefined },
  shard: { field: nullable(count(NOTE)), value: null },
};

/** Every option that any of the three takes. */
const EVERYTHING: Required<TelemetryOptions> = {
  ...BASE,
  endpoint: 'https://telemetry.acme.example',
  host: { name: 'loom', version: '2.0.0' },
  events: [defineEvent('own', { n: count({ ...NOTE, example: 7 }) })],
  standardEvents: ['dag_run', 'dbt_docs_access'],
  dbt: true,
  executionModes: ['local'],
  common: COMMON,
  enabled: false,
  consent: 'opt-in',
  contact: 'Write to privacy@acme.example.',
  retention: 'Kept for 90 days.',
  command: 'acme usage',
  dagHash: () => null,
  owns: () => false,
  transport: recordingTransport(),
  maxPendingEvents: 10,
  concurrency: 1,
  drainConcurrency: 1,
  connectTimeoutMs: 100,
  attemptTimeoutMs: 100,
  retries: 0,
  allowedRedirectHosts: ['eu.acme.example'],
  proxy: false,
  drainOnExit: false,
  exitDeadlineMs: 0,
  spreadMs: 0,
  logger: { debug: () => undefined, warn: () => undefined },
};

test(proves('one-description', 'the client, the notice and the command take one object, and agree about what is sent'), async (t) => {
  const telemetry = createTelemetry(EVERYTHING);
  t.throws(() => telemetry.bus.on('task_instance', () => undefined));
  await telemetry.close();
  const notice = renderPrivacyNotice(EVERYTHING);
  const { stdout } = await runCli(EVERYTHING, ['events', '--json']);
  const { standard, events } = JSON.parse(stdout) as Record<
    'standard' | 'events',
    { name: string; type: string; fields: { name: string }[] }[]
  >;
  t.deepEqual(
    events.map(({ type }) => type),
    ['dag_run', 'dbt_docs_access', 'own'],
  );
  const listed = [...standard, ...events.flatMap(({ fields }) => fields)].map(({ name }) => name);
  const inNotice = [...notice.matchAll(/^\| [^|]+ \| `(\w+)` \| /gm)].map(([, name = '']) => name);
  t.deepEqual(new Set(listed.filter((name) => !inNotice.includes(name))), new Set());
  t.true(inNotice.includes('total_dbt_models'));
  for (const words of ['Write to privacy@acme.example.', 'Kept for 90 days.', '`acme usage status`', 'off until you ask', 'loom_version']) {
    t.true(notice.includes(words), words);
  }
});

test('each ignores what is another one, and an unknown key throws in all three', (t) => {
  for (const key of CLIENT_KEYS) {
    t.notThrows(() => renderPrivacyNotice({ ...BASE, [key]: Symbol('of the client') }), key);
    if (key !== 'owns') t.notThrows(() => createTelemetryCli({ ...BASE, [key]: Symbol('of the client') }), key);
  }
  const misspelt = { ...BASE, transport: recordingTransport(), retension: 'x' };
  for (const make of [createTelemetry, renderPrivacyNotice, createTelemetryCli]) {
    t.throws(() => make(misspelt as never), {
      instanceOf: TypeError,
      message: 'Expected `options` to have known keys only, got `retension` with "x".',
    });
  }
});

test('common fields go with every event, after the platform, and subscribers and publishers do not see them', async (t) => {
  const transport = recordingTransport();
  const own = defineEvent('own', { n: count(NOTE) });
  const telemetry = createTelemetry({ ...BASE, events: [own], common: COMMON, transport });
  const stop = telemetry.bus.on('own', (metrics) => t.deepEqual(metrics, { n: 1 }));
  telemetry.publish('own', { n: 1 });
  stop();
  telemetry.publish('dag_run', { status: 'success', task_count: 2, acme_task_count: 1 });
  // @ts-expect-error a common field is set once, at construction
  telemetry.publish('own', { n: 2, edition: 'free' });
  const { sent, fieldsDropped } = await telemetry.close();
  t.deepEqual([sent, fieldsDropped], [3, 1]);
  const targets = transport.events.map(({ requestTarget }) => requestTarget.replace(/^.*platform_machine=\w+/, ''));
  const common = '&ci=True&edition=paid&started_in=7.0&shard=None';
  t.deepEqual(targets, [`${common}&n=1`, `${common}&status=success&task_count=2&acme_task_count=1`, `${common}&n=2`]);
  t.like(transport.events[0]?.metrics, { ci: true, edition: 'paid', started_in: 7, shard: null, n: 1 });
});

test('common fields are in the preview as in the request', async (t) => {
  const { stdout } = await runCli({ ...BASE, common: { ci: COMMON.ci } }, ['preview', '--sample', '--json']);
  const { events } = JSON.parse(stdout) as { events: { fields: { name: string; value: string; from: string }[] }[] };
  t.is(events.length, 2);
  for (const { fields } of events)
    t.like(
      fields.find(({ name }) => name === 'ci'),
      { value: 'True', from: 'standard' },
    );
});

test('a preview says that an event is left out', async (t) => {
  const stdin = {
    async *[Symbol.asyncIterator]() {
      yield '{"event": "task_instance.failed", "payload": {}}';
    },
  };
  const { stdout } = await runCli({ ...BASE, standardEvents: ['dag_run'] }, ['preview', '-', '--json'], { stdin });
  const { events } = JSON.parse(stdout) as { events: { reason: string; explanation: string }[] };
  t.like(events[0], { reason: 'left_out', explanation: 'acme leaves this event out' });
});

const count7 = { field: count(NOTE), value: 7 };
const REFUSED: [options: object, message: string | RegExp][] = [
  [{ common: [count7] }, 'Expected `common` to be an object, got an array.'],
  [{ common: { CI: count7 } }, 'Expected a name in `common` to match ^[a-z][a-z0-9_]{0,31}$, got "CI".'],
  [{ common: { status: count7 } }, 'Expected `common.status` to have a name of its own: an event has a field of that name.'],
  [{ common: { acme_version: count7 } }, 'Expected `common.acme_version` to have a name of its own: an event has a field of that name.'],
  [{ common: { n: count7 } }, 'Expected `common.n` to have a name of its own: an event has a field of that name.'],
  [{ common: { database: count7 }, dbt: true }, 'Expected `common.database` to have a name of its own: an event has a field of that name.'],
  [{ common: { ci: true } }, 'Expected `common.ci` to be an object, got true.'],
  [{ common: { ci: { value: 7 } } }, 'Expected `common.ci.field` to be made by boolean(), oneOf() or another kind.'],
  [{ common: { ci: { ...count7, value: 'seven' } } }, 'Expected `common.ci.value` to be a value of its field, got "seven".'],
  [{ common: { ci: { ...count7, value: undefined } } }, 'Expected `common.ci.value` to be a value of its field, got undefined.'],
  [{ common: { ci: { ...count7, kind: 'x' } } }, 'Expected `common.ci` to have known keys only, got `kind` with "x".'],
  [{ contact: '' }, 'Expected `contact` to be a text, got "".'],
  [{ retention: 90 }, 'Expected `retention` to be a text, got 90.'],
  [{ command: ' ' }, 'Expected `command` to be a text, got " ".'],
];

for (const [options, message] of REFUSED) {
  test(`a wrong description throws in all three: ${String(message)}`, (t) => {
    const all = { ...BASE, events: [defineEvent('own', { n: count(NOTE) })], transport: recordingTransport(), ...options };
    for (const make of [createTelemetry, renderPrivacyNotice, createTelemetryCli]) {
      t.throws(() => make(all as never), { instanceOf: TypeError, message });
    }
  });
}

test('`notice` prints the notice or writes it into a file', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'cli-notice-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const notice = renderPrivacyNotice(BASE);
  t.deepEqual(await runCli(BASE, ['notice']), { code: 0, stdout: notice, stderr: '' });
  const file = path.join(folder, 'PRIVACY.md');
  t.deepEqual(await runCli(BASE, ['notice', file]), { code: 0, stdout: `Wrote ${file}.\n`, stderr: '' });
  t.is(readFileSync(file, 'utf8'), notice);
  t.deepEqual(await runCli(BASE, ['notice', file]), { code: 0, stdout: `${file} is up to date.\n`, stderr: '' });
  const { stdout } = await runCli(BASE, ['notice', file, '--json']);
  t.deepEqual(JSON.parse(stdout), { product: 'acme', notice, file, written: false });
  t.deepEqual(await runCli(BASE, ['notice', folder]), {
    code: 1,
    stdout: '',
    stderr: `acme telemetry: ${folder} cannot be written to (EISDIR)\n`,
  });
});
