import test from 'ava';
import { createTelemetryCli } from '../../src/cli/index.js';
import type { TelemetryCliOptions } from '../../src/cli/index.js';
import { count, defineEvent, duration, hash, identifierSet, nullable, oneOf, optional, version } from '../../src/index.js';
import { compressTelemetryMetadata } from '../../src/index.js';
import { runCli } from '../helpers/run-cli.js';

const note = { description: 'For this test.', reason: 'To test.' };
const backfill = defineEvent('backfill', {
  outcome: oneOf(['completed', 'cancelled'], note),
  days: count(note),
  elapsed: optional(duration(note)),
});
const every = defineEvent('every', { tool: version(note), modes: identifierSet(note), digest: nullable(hash(note)) });
const ACME: TelemetryCliOptions = {
  dbt: true,
  executionModes: ['spark'],
  product: { name: 'acme', version: '3.1.0' },
  host: { name: 'runner', version: '2.0', pythonVersion: '3.11.7' },
  endpoint: 'https://telemetry.acme.example',
  events: [backfill, every],
};

interface PreviewJson {
  enabled: boolean;
  endpoint: string | null;
  events: {
    event: string;
    type: string | null;
    wouldBeSent: boolean;
    reason: string | null;
    explanation: string | null;
    request: { method: string; url: string } | null;
    fields: { name: string; value: string; from: string; kind: string; description: string }[];
    dropped: { from: string; name: string | null; why: string }[];
  }[];
}

async function preview(document: unknown, options: TelemetryCliOptions = ACME) {
  const stdin = {
    async *[Symbol.asyncIterator]() {
      yield JSON.stringify(document);
    },
  };
  const { code, stdout } = await runCli(options, ['preview', '-', '--json'], { stdin });
  const { events } = JSON.parse(stdout) as PreviewJson;
  return { code, events, losses: events.map(({ dropped }) => dropped.map(({ from, name, why }) => `${from} ${name}: ${why}`)) };
}

const task = { module: 'acme.operators.spark', operatorName: 'SparkJob' };
const run = (params: object, more: object = {}) => ({
  event: 'dag_run.success',
  payload: { dagRun: { dagId: 'nightly', dag: { tasks: [task], params }, ...more } },
});
const instance = (given: object) => ({
  event: 'task_instance.failed',
  payload: { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: { ...task, ...given } } },
});

test('an event of the product: the request and its fields', async (t) => {
  const { events } = await preview({
    event: 'backfill',
    metrics: { outcome: 'completed', days: 31, elapsed: 7, colour: 'red', nested: [1] },
  });
  const [only] = events;
  t.like(only, { event: 'backfill', type: 'backfill', wouldBeSent: true, reason: null, explanation: null });
  t.regex(
    only?.request?.url ?? '',
    /^https:\/\/telemetry\.acme\.example\/v3\/backfill\?acme_version=3\.1\.0&runner_version=2\.0&python_version=3\.11\.7&.*&outcome=completed&days=31&elapsed=7\.0$/,
  );
  t.deepEqual(
    only?.fields.slice(-3).map(({ name, value, from, kind }) => [name, value, from, kind]),
    [
      ['outcome', 'completed', 'event', 'oneOf'],
      ['days', '31', 'event', 'count'],
      ['elapsed', '7.0', 'event', 'duration'],
    ],
  );
  t.like(only?.fields[0], { name: 'acme_version', value: '3.1.0', from: 'standard', description: 'The version of acme.' });
});

test('each value that is left out is named, with the reason', async (t) => {
  const packed = compressTelemetryMetadata({ database: 'post gres', colour: 'red', status: 'x', total_dbt_models: 7 });
  const long = 'x'.repeat(300);
  const { losses, events } = await preview([
    { event: 'backfill', metrics: { outcome: 'completed', days: -1, colour: 'red', nested: [1], long } },
    run({ __acme_telemetry_metadata__: packed }),
    run({ __acme_telemetry_metadata__: 'bm90IHpsaWI=' }),
    run({ __acme_telemetry_metadata__: { value: 3, default: 3 } }),
    run({ __acme_telemetry_metadata__: 'A'.repeat(17_000) }),
    instance({ operatorName: [], isDbtOperator: true, baseCmd: [long], profileConfig: { profileMappingClass: long } }),
    { event: 'dag_run', metrics: { status: 'failed', task_count: 1, acme_task_count: 1, execution_modes: 'spark' }, packedMetadata: 'no' },
  ]);
  t.deepEqual(losses, [
    ['event nested: unusable', 'event long: unusable', 'event days: ill_typed', 'event colour: undeclared'],
    ['metadata database: ill_typed', 'metadata colour: undeclared', 'metadata status: undeclared'],
    ['metadata null: not_zlib'],
    ['metadata null: not_text'],
    ['metadata null: too_large'],
    [
      'payload operatorName: unusable',
      'payload profileMappingClass: unusable',
      'payload baseCmd: unusable',
      'event profile_mapping_class: missing',
    ],
    ['metadata null: not_base64'],
  ]);
  t.true(
    events.every(({ wouldBeSent }) => wouldBeSent),
    'their events are sent without them',
  );
  t.like(events[1]?.fields.at(-1), { name: 'total_dbt_models', value: '7', from: 'metadata' });
});

test('an event that would not be sent has the reason', async (t) => {
  const { code, events } = await preview([
    instance({ module: 'chat.post' }),
    { event: 'dag_run.failed', payload: { dagRun: { dagId: 'd', dag: { tasks: [{ module: 'chat.post' }] } } } },
    { event: 'task_instance.success', payload: { taskInstance: {} } },
    { event: 'dag_run.success', payload: [] },
    { event: 'backfill', metrics: [] },
  ]);
  t.is(code, 0, 'this is no failure');
  t.deepEqual(
    events.map(({ reason, request, explanation }) => [reason, request, explanation]),
    [
      [
        'not_own',
        null,
        'the task does not belong to acme: its "module" does not start with "acme.", it has no "owned": true, and it has no "isDbtOperator": true',
      ],
      ['not_own', null, 'no task belongs to acme: no "module" starts with "acme.", none has "owned": true'],
      ['invalid', null, 'the payload has no "taskInstance" with a "task"'],
      ['invalid', null, 'the payload has no "dagRun" with a "dag" and its list of "tasks"'],
      ['invalid', null, 'its "metrics" is no object'],
    ],
  );
});

test('a request that is too long is shown, and would not be sent', async (t) => {
  const names = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`f${index}`, identifierSet(note)]));
  const wide = defineEvent('wide', names);
  const metrics = Object.fromEntries(Object.keys(names).map((name) => [name, 'é'.repeat(256)]));
  const { events } = await preview({ event: 'wide', metrics }, { ...ACME, events: [wide] });
  t.like(events[0], { wouldBeSent: false, reason: 'too_large', explanation: 'its URL would be longer than 8192 bytes' });
});

test('the sample has one event of each kind, with every field that is declared for it', async (t) => {
  const { stdout } = await runCli(ACME, ['preview', '--sample', '--json']);
  const { events } = JSON.parse(stdout) as PreviewJson;
  t.deepEqual(
    events.map(({ event, type }) => [event, type]),
    [
      ['dag_run.success', 'dag_run'],
      ['task_instance.success', 'task_instance'],
      ['dbt_docs_access', 'dbt_docs_access'],
      ['backfill', 'backfill'],
      ['every', 'every'],
    ],
  );
  t.true(events.every(({ wouldBeSent, dropped }) => wouldBeSent && dropped.length === 0));
  t.deepEqual(
    events.map(({ fields }) => fields.filter(({ from }) => from === 'event').length),
    [8, 14, 4, 3, 3],
  );
  t.is(events[0]?.fields.filter(({ from }) => from === 'metadata').length, 12);
});

test('as text: the heading, the reasons, and the notes about unknown values', async (t) => {
  const off = await runCli({ product: { name: 'acme' } }, ['preview'], { env: { ACME_TELEMETRY: 'off' } });
  t.true(
    off.stdout.startsWith(
      'One sample event of each kind. This command sends nothing.\n' +
        'Telemetry of acme is off (ACME_TELEMETRY=off in the environment): the program sends none of this.\n\n1  dag_run.success, sent as dag_run\n\n   GET /v3/dag_run?',
    ),
    off.stdout,
  );
  t.true(
    off.stdout.endsWith(
      'The endpoint is unknown here: the program has its own transport.\n' +
        'Unknown here, but sent first if the program knows it: acme_version.\n',
    ),
  );
  const stdin = {
    async *[Symbol.asyncIterator]() {
      yield JSON.stringify([
        { event: 'backfill', metrics: { days: 'x\u001B' } },
        run({ __acme_telemetry_metadata__: '?' }),
        instance({ module: 'x' }),
      ]);
    },
  };
  const { stdout } = await runCli(ACME, ['preview', '-'], { stdin, env: { ACME_TELEMETRY_DEBUG: '1' } });
  t.regex(
    stdout,
    /^This command sends nothing\.\nTelemetry of acme is on\.\nACME_TELEMETRY_DEBUG is set: the program prints requests instead of sending them\.\n/,
  );
  t.regex(stdout, /\n {3}Left out:\n {3}days \(event\) {5}declared, but the value has another kind/);
  t.regex(stdout, /\n {3}outcome \(event\) {2}required, but it has no value\n/);
  t.regex(stdout, /\n {3}the packed metadata {2}cannot be read: not base64\n/);
  t.regex(stdout, /\n3 {2}task_instance\.failed\n {3}Nothing would be sent: the task does not belong to acme: /);
  t.false(stdout.includes('\u001B'));
});

test('names of a payload that are like one that is read are listed', async (t) => {
  const payload = { dagRun: { failed_count: 1, dag: { tasks: [{ ...task, operator: 'SparkJob', colour: 'red' }] } } };
  const document = [
    { event: 'dag_run.success', payload },
    { event: 'task_instance.success', payload: { task_instance: {} } },
  ];
  const { losses } = await preview(document);
  t.deepEqual(losses, [['payload dagRun.failed_count: misspelt'], ['payload task_instance: misspelt', 'payload taskInstance: missing']]);
  const stdin = {
    async *[Symbol.asyncIterator]() {
      yield JSON.stringify(document);
    },
  };
  const { stdout } = await runCli(ACME, ['preview', '-'], { stdin });
  t.regex(stdout, /\n {3}Left out:\n {3}dagRun\.failed_count \(payload\) {2}not read: did you mean failedCount\?\n/);
  const cosmos = await preview(
    { event: 'dag_run.success', payload: { dagRun: { dag_id: 'd', dag: { tasks: [{ module: 'cosmos.operators.local' }] } } } },
    { product: { name: 'cosmos' } },
  );
  t.deepEqual(cosmos.losses, [[]]);
});

function owns({ operatorName }: { operatorName?: string }): boolean {
  return operatorName?.startsWith('Acme') === true;
}

test("the program's own `owns` is asked", async (t) => {
  const foreign = [
    instance({ module: 'chat.post', operatorName: 'AcmePost' }),
    instance({ module: 'chat.post', operatorName: 'Post' }),
    { event: 'dag_run.success', payload: { dagRun: { dag: { tasks: [{ operatorName: 'AcmePost' }] } } } },
    { event: 'dag_run.success', payload: { dagRun: { dag: { tasks: [{ operatorName: 'Post' }] } } } },
  ];
  const reasons = async (options: TelemetryCliOptions) => (await preview(foreign, options)).events.map(({ reason }) => reason);
  t.deepEqual(await reasons({ ...ACME, owns }), [null, 'not_own', null, 'not_own']);
  t.deepEqual(await reasons(ACME), ['not_own', 'not_own', 'not_own', 'not_own']);
  const { events } = await preview(foreign, { ...ACME, owns });
  t.true(events[1]?.explanation?.endsWith(', and "owns" does not say so'));
  const throws = await preview(foreign[0], { ...ACME, owns: () => JSON.parse('{') as boolean });
  t.like(throws.events[0], { reason: 'not_own', dropped: [{ from: 'payload', name: 'owns', why: 'unusable' }] });
  t.throws(() => createTelemetryCli({ ...ACME, owns: true }), {
    instanceOf: TypeError,
    message: 'Expected `owns` to be a function, got true.',
  });
});

test("the program's own dagHash is used", async (t) => {
  const { events } = await preview(run({}), { ...ACME, dagHash: () => 'digest-of-ours' });
  t.like(
    events[0]?.fields.find(({ name }) => name === 'dag_hash'),
    { value: 'digest-of-ours' },
  );
});
