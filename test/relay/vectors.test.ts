import test from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { readVectors } from '../helpers/vectors.js';
import { startRig } from './helpers/relay-rig.js';

interface Vectors {
  cases: { name: string; event_type?: string; url: string | null }[];
}

/** Requests as a real Airflow 3.3.2 with Cosmos 1.15.1 made them, one for each event. */
const REAL = [
  '/astronomer-cosmos/v3/task_instance?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&status=failed&operator_name=DbtRunLocalOperator&is_cosmos_operator_subclass=False&invocation_mode=subprocess&execution_mode=local&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb&is_mapped_task=False&dbt_command=run&install_deps=False&has_callback=False',
  '/astronomer-cosmos/v3/task_instance?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&status=success&operator_name=OwnRunOperator&is_cosmos_operator_subclass=True&invocation_mode=subprocess&execution_mode=None&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb&is_mapped_task=False&dbt_command=run&install_deps=False&has_callback=True',
  '/astronomer-cosmos/v3/dag_run?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&dag_hash=24e7617f4fd84d8031b0f772147b1226&status=failed&task_count=1&cosmos_task_count=1&execution_modes=local&used_automatic_load_mode=False&invocation_mode=dbt_runner&install_deps=False&uses_node_converter=False&test_behavior=none&source_behavior=none&actual_load_mode=dbt_manifest&total_dbt_models=4&selected_dbt_models=1&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb',
];

/** What Cosmos before 1.12 sends. */
const OLD = [
  '/astronomer-cosmos/v1/1.8.0/2.10.1%2Bastro.1/3.11/darwin/amd64/dag_run/success/d151d1fa2f03270ea116cc7494f2c591/3/3',
  '/astronomer-cosmos/v2/1.11.0/2.10.1/3.12.1/Linux/x86_64/dag_run/failed/d151d1fa2f03270ea116cc7494f2c591/30/12/docker__local',
];

function targetsOf(file: string): string[] {
  return (readVectors(file) as Vectors).cases.flatMap(({ url }) => (url === null ? [] : [url.slice(new URL(url).origin.length)]));
}

/** Sends all of it through a relay. @returns What the endpoint was sent, in no order. */
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
  test(`every request of ${file} arrives byte for byte`, async (t) => {
    const targets = targetsOf(file);
    t.true(targets.length > 20);
    const { received, fieldsDropped } = await through(t, targets);
    t.deepEqual(received, [...targets].sort());
    t.is(fieldsDropped, 0);
  });
}

test('every request of urls.json arrives byte for byte where queries go on verbatim', async (t) => {
  const targets = targetsOf('urls.json');
  t.is(targets.length, 49);
  const { received } = await through(t, targets, { verbatim: true });
  t.deepEqual(received, [...targets].sort());
});

test('what Cosmos sends in a real Airflow arrives byte for byte, and so does what older ones sent', async (t) => {
  const { received, fieldsDropped } = await through(t, [...REAL, ...OLD]);
  t.deepEqual(received, [...REAL, ...OLD].sort());
  t.is(fieldsDropped, 0);
});

test('of urls.json goes on what is declared, and the rest is counted', async (t) => {
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
  // a, b, c of one and x of another.
  t.is(fieldsDropped, 4);
});
