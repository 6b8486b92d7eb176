// Which targets are events, and which of their fields are forwarded; then all vectors through a relay.
import test from 'ava';
import { COSMOS } from '../../src/base/constants.js';
import { standardEvents } from '../../src/events/product-events.js';
import { standardFields } from '../../src/events/standard-metrics.js';
import { parseTarget } from '../../src/relay/request-target.js';
import { startCollector } from '../../src/testing/index.js';
import { readVectors } from '../helpers/vectors.js';
import { startRig } from './helpers/relay-rig.js';
import { proves } from '../helpers/promises.js';

const STRICT = { isVerbatim: false, maxForwardBytes: 8000 };
const VERBATIM = { isVerbatim: true, maxForwardBytes: 8000 };

function filtered(query: string, type = 'task_instance'): [target: string, dropped: string[]] | string {
  const found = parseTarget(`/v3/${type}?${query}`, STRICT);
  return found.kind === 'event' ? [found.target, found.dropped.map(({ name, why }) => `${name} ${why}`)] : found.kind;
}

test('declared fields are forwarded in their order and spelling, all others are dropped', (t) => {
  t.deepEqual(filtered('status=success&new_field=1&duration=7.0'), [
    '/v3/task_instance?status=success&duration=7.0',
    ['new_field undeclared'],
  ]);
  t.deepEqual(filtered('status=%73uccess&has_callback=True'), ['/v3/task_instance?status=%73uccess&has_callback=True', []]);
  t.deepEqual(filtered('st%61tus=success'), ['/v3/task_instance', ['st%61tus undeclared']]);
  t.deepEqual(filtered('status=success&status=failed&status=x'), [
    '/v3/task_instance?status=success',
    ['status duplicate', 'status duplicate'],
  ]);
  t.deepEqual(filtered('status=nonsense&status=failed'), ['/v3/task_instance?status=failed', ['status ill_typed']]);
  t.deepEqual(filtered('&status=failed&&'), ['/v3/task_instance?status=failed', [' undeclared', ' undeclared', ' undeclared']]);
  t.deepEqual(filtered('__proto__=1&constructor=1&toString=1'), [
    '/v3/task_instance',
    ['__proto__ undeclared', 'constructor undeclared', 'toString undeclared'],
  ]);
});

test('a pair means the same each time, and only in its own event', (t) => {
  for (let round = 0; round < 3; round += 1) {
    t.deepEqual(filtered('status=success&total_dbt_models=3', 'dag_run'), ['/v3/dag_run?status=success&total_dbt_models=3', []]);
    t.deepEqual(filtered('total_dbt_models=3&status=success'), ['/v3/task_instance?status=success', ['total_dbt_models undeclared']]);
    // More pairs than are remembered.
    for (let value = 0; value < 1500; value += 1) t.deepEqual(filtered(`duration=${value}`), [`/v3/task_instance?duration=${value}`, []]);
    t.deepEqual(filtered('duration=x&duration=1&duration=x'), [
      '/v3/task_instance?duration=1',
      ['duration ill_typed', 'duration duplicate'],
    ]);
  }
});

test('each declared field is told from all others: the second of each is a duplicate', (t) => {
  for (const { type, fields, metadata } of standardEvents(COSMOS)) {
    const names = Object.keys({ ...metadata, ...standardFields(COSMOS, 'airflow'), ...fields });
    const query = names.map((name) => `${name}=None`).join('&');
    const duplicates = names.map((name) => `${name} duplicate`);
    t.deepEqual(filtered(`${query}&${query}`, type), [`/v3/${type}?${query}`, duplicates]);
  }
});

test('only a dag_run has metadata', (t) => {
  t.deepEqual(filtered('total_dbt_models=3', 'dag_run'), ['/v3/dag_run?total_dbt_models=3', []]);
  t.deepEqual(filtered('total_dbt_models=3'), ['/v3/task_instance', ['total_dbt_models undeclared']]);
});

test('a value must be Python text of its kind', (t) => {
  const good = [
    'duration=7.0',
    'duration=7',
    'duration=1e-05',
    'duration=1.5e-07',
    'duration=1e%2B16',
    'duration=0.0',
    'duration=None',
    'has_callback=True',
    'has_callback=False',
    'profile_strategy=None',
    'database=postgres',
    'dbt_command=source+freshness',
    'dbt_command=run%20--full-refresh',
    'airflow_version=2.10.1%252Bastro.1',
    'airflow_version=3.0.0%2Bx',
    'cosmos_version=1.12.0%2Bx',
    'platform_system=darwin',
    'platform_machine=AMD64',
    'status=failed',
  ];
  for (const query of good) t.deepEqual(filtered(query), [`/v3/task_instance?${query}`, []], query);
  const bad = [
    'duration=-1.0',
    'duration=nan',
    'duration=inf',
    'duration=1e999',
    'duration=',
    'duration=0x10',
    'duration=1_000',
    'duration=%2B5',
    'duration=seven',
    'has_callback=true',
    'has_callback=1',
    'has_callback=',
    'database=a+b',
    'database=1db',
    'database=%27%3B--',
    'dbt_command=run+-s%3Dx',
    'dbt_command=a++b',
    `operator_name=${'x'.repeat(129)}`,
    'airflow_version=2.10.1%25252Bastro',
    'cosmos_version=..',
    'platform_system=Plan9',
    'status=skipped',
    'status',
  ];
  for (const query of bad) t.deepEqual(filtered(query), ['/v3/task_instance', [`${query.split('=')[0]} ill_typed`]], query);
  t.deepEqual(filtered('task_count=9007199254740993', 'dag_run'), ['/v3/dag_run?task_count=9007199254740993', []]);
  for (const value of ['99999999999999999', '-1', '1.0', '1e3', '']) {
    t.deepEqual(filtered(`task_count=${value}`, 'dag_run'), ['/v3/dag_run', ['task_count ill_typed']], value);
  }
  t.deepEqual(filtered('execution_modes=', 'dag_run'), ['/v3/dag_run?execution_modes=', []]);
});

test('verbatim, every query is forwarded unchanged, and every type that has the form of one', (t) => {
  for (const target of ['/v3/other?a=1&a=2&&b', '/v3/dag_run?', '/v3/dag_run', '/v3/x_1?%F0%9F%9A%80=%C3%9F']) {
    t.deepEqual(parseTarget(target, VERBATIM), { kind: 'event', target, dropped: [] });
    t.deepEqual(parseTarget(`/astronomer-cosmos${target}`, VERBATIM), { kind: 'event', target, dropped: [] });
  }
  for (const target of ['/v3/Other', '/v3/1x', '/v3/a/b', `/v3/${'x'.repeat(33)}`])
    t.is(parseTarget(target, VERBATIM).kind, 'refused', target);
});

test('a path of Cosmos before 1.12 is refused if one segment is not valid', (t) => {
  const good = '/v2/1.11.0/2.10.1/3.12/Linux/x86_64/dag_run/success/0123456789abcdef/3/2/local__docker';
  t.deepEqual(parseTarget(good, STRICT), { kind: 'event', target: good, dropped: [] });
  const cases: [target: string, why: string][] = [
    [good.replace('/v2/', '/v1/'), 'unknown_path'],
    [good.replace('/3/2/', '/3/'), 'unknown_path'],
    [good.replace('dag_run', 'other'), 'unknown_event'],
    [good.replace('dag_run', 'Other'), 'malformed'],
    [good.replace('success', 'skipped'), 'malformed'],
    [good.replace('/3/2/', '/three/2/'), 'malformed'],
    [good.replace('1.11.0', '..'), 'malformed'],
    [good.replace('1.11.0', 'x'.repeat(129)), 'malformed'],
    [`${good}?status=success`, 'malformed'],
  ];
  for (const [target, why] of cases)
    t.deepEqual(parseTarget(target, STRICT), { kind: 'refused', why } as ReturnType<typeof parseTarget>, target);
});

test('a target that is too long with the endpoint before it is refused', (t) => {
  const target = `/v3/other?x=${'y'.repeat(100)}`;
  t.is(parseTarget(target, { isVerbatim: true, maxForwardBytes: target.length }).kind, 'event');
  t.deepEqual(parseTarget(target, { isVerbatim: true, maxForwardBytes: target.length - 1 }), { kind: 'refused', why: 'too_long' });
});

/** A path of Cosmos before 1.12 with this step in it. */
const up = (step: string) => `/v1/1.8.0/2.10.1/3.11/Linux/x86_64/dag_run/success/${step}/3/3`;

test('an unchanged path cannot leave the endpoint, and an unchanged query keeps its bytes', (t) => {
  const verbatim = { isVerbatim: true, maxForwardBytes: 8192 };
  for (const step of ['.', '..', '%2e', '%2E%2e', '.%2E', '%2e.']) {
    t.deepEqual(parseTarget(up(step), verbatim), { kind: 'refused', why: 'malformed' }, step);
    t.deepEqual(parseTarget(up(step), STRICT), { kind: 'refused', why: 'malformed' }, step);
  }
  for (const step of ['...', '.x', '%2e%2e%2e', 'a.b']) t.is(parseTarget(up(step), verbatim).kind, 'event', step);
  t.deepEqual(parseTarget("/v3/dag_run?x='a'", verbatim), { kind: 'refused', why: 'malformed' });
  t.deepEqual(parseTarget('/v3/dag_run?x=(a)*;/?:@$,!~', verbatim), { kind: 'event', target: '/v3/dag_run?x=(a)*;/?:@$,!~', dropped: [] });
});

test('targets of other forms are refused', (t) => {
  const cases: [target: string, why: string][] = [
    ['', 'malformed'],
    ['*', 'malformed'],
    ['v3/dag_run', 'malformed'],
    ['http://127.0.0.1:8787/v3/dag_run', 'absolute_form'],
    ['HTTP://example.com/', 'absolute_form'],
    ['/v3/dag_run?status=\u00fc', 'malformed'],
    ['/v3/dag_run\0', 'malformed'],
    ['//v3/dag_run', 'unknown_path'],
  ];
  for (const [target, why] of cases) {
    const found = parseTarget(target, STRICT);
    if (found.kind === 'path') t.is(why, 'unknown_path', target);
    else t.deepEqual(found, { kind: 'refused', why } as ReturnType<typeof parseTarget>, target);
  }
});

interface Vectors {
  cases: { name: string; event_type?: string; url: string | null }[];
}

/** Requests of a real Airflow 3.3.2 with Cosmos 1.15.1. */
const REAL = [
  '/astronomer-cosmos/v3/task_instance?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&status=failed&operator_name=DbtRunLocalOperator&is_cosmos_operator_subclass=False&invocation_mode=subprocess&execution_mode=local&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb&is_mapped_task=False&dbt_command=run&install_deps=False&has_callback=False',
  '/astronomer-cosmos/v3/task_instance?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&status=success&operator_name=OwnRunOperator&is_cosmos_operator_subclass=True&invocation_mode=subprocess&execution_mode=None&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb&is_mapped_task=False&dbt_command=run&install_deps=False&has_callback=True',
  '/astronomer-cosmos/v3/dag_run?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&dag_hash=24e7617f4fd84d8031b0f772147b1226&status=failed&task_count=1&cosmos_task_count=1&execution_modes=local&used_automatic_load_mode=False&invocation_mode=dbt_runner&install_deps=False&uses_node_converter=False&test_behavior=none&source_behavior=none&actual_load_mode=dbt_manifest&total_dbt_models=4&selected_dbt_models=1&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb',
];

/** Requests of Cosmos before 1.12. */
const OLD = [
  '/astronomer-cosmos/v1/1.8.0/2.10.1%2Bastro.1/3.11/darwin/amd64/dag_run/success/d151d1fa2f03270ea116cc7494f2c591/3/3',
  '/astronomer-cosmos/v2/1.11.0/2.10.1/3.12.1/Linux/x86_64/dag_run/failed/d151d1fa2f03270ea116cc7494f2c591/30/12/docker__local',
];

function targetsOf(file: string): string[] {
  return (readVectors(file) as Vectors).cases.flatMap(({ url }) => (url === null ? [] : [url.slice(new URL(url).origin.length)]));
}

/** Sends the targets through a relay. @returns What the endpoint received, sorted. */
async function through(
  t: Parameters<typeof startRig>[0],
  targets: readonly string[],
  options: object = {},
): Promise<{ received: string[]; fieldsDropped: number; log: string[] }> {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { get, relay, log } = await startRig(t, { forward: `${collector.url}/astronomer-cosmos`, ...options });
  for (const target of targets) t.is((await get(target)).status, 204, target);
  await collector.waitFor(targets.length);
  const { pending, sent, fieldsDropped } = await relay.close();
  t.deepEqual([pending, sent, collector.requests.length], [0, targets.length, targets.length]);
  return { received: collector.requests.map(({ url }) => url).sort(), fieldsDropped, log };
}

for (const file of ['dag_runs.json', 'task_instances.json']) {
  test(proves('relay-bytes', `every request of ${file} is forwarded byte for byte`), async (t) => {
    const targets = targetsOf(file);
    t.true(targets.length > 20);
    const { received, fieldsDropped } = await through(t, targets);
    t.deepEqual(received, [...targets].sort());
    t.is(fieldsDropped, 0);
  });
}

test('every request of urls.json is forwarded byte for byte with `verbatim`', async (t) => {
  const targets = targetsOf('urls.json');
  t.is(targets.length, 49);
  const { received } = await through(t, targets, { verbatim: true });
  t.deepEqual(received, [...targets].sort());
});

test(proves('relay-bytes', 'requests of a real Airflow, and of Cosmos before 1.12, are forwarded byte for byte'), async (t) => {
  const { received, fieldsDropped } = await through(t, [...REAL, ...OLD]);
  t.deepEqual(received, [...REAL, ...OLD].sort());
  t.is(fieldsDropped, 0);
});

test('of urls.json the declared fields are forwarded, and the others are counted', async (t) => {
  const cases = (readVectors('urls.json') as Vectors).cases.filter(
    ({ event_type: type, name }) => type !== 'custom_event' && !name.startsWith('random-'),
  );
  t.deepEqual(
    cases.map(({ name }) => name),
    ['seed-example', 'cosmos-own-test', 'none-true-false', 'spaces-and-reserved', 'percent-already'],
  );
  const { received, fieldsDropped } = await through(
    t,
    cases.map(({ url }) => new URL(url ?? '').pathname + new URL(url ?? '').search),
  );
  t.deepEqual(received, [
    '/astronomer-cosmos/v3/dag_run?airflow_version=2.10.1%252Bastro.1',
    '/astronomer-cosmos/v3/dag_run?cosmos_version=1.8.0a4&airflow_version=2.10.1&python_version=3.11&platform_system=darwin&platform_machine=amd64&status=success&dag_hash=d151d1fa2f03270ea116cc7494f2c591&task_count=3&cosmos_task_count=3&execution_modes=local',
    '/astronomer-cosmos/v3/dag_run?dag_hash=abc123def456&status=success&task_count=10&cosmos_task_count=7&execution_modes=local',
    '/astronomer-cosmos/v3/task_instance',
    '/astronomer-cosmos/v3/task_instance?dbt_command=run+--full-refresh',
  ]);
  // a, b, c of one request and x of another.
  t.is(fieldsDropped, 4);
});
