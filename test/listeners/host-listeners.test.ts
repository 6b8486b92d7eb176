import test from 'ava';
import { COSMOS_ENDPOINT } from '../../src/base/constants.js';
import { productDagHash } from '../../src/events/product-events.js';
import type { UsageMetrics } from '../../src/wire/python.js';
import type { Dag, ProfileConfig, Task } from '../../src/listeners/host.js';
import { FakeProduct } from '../helpers/product.js';
import { readVectors } from '../helpers/vectors.js';

/** Every case that was recorded from Cosmos, from what a host emits to the request. */

interface RunVectors {
  standard_metrics: UsageMetrics;
  cases: { name: string; status: 'success' | 'failed'; dag_id: string; dag: Dag; url: string | null }[];
}

interface RecordedProfile {
  profiles_yml_filepath?: string;
  profile_mapping_class?: string;
  profile_type: string | null;
}

interface TaskVectors {
  standard_metrics: UsageMetrics;
  cases: {
    name: string;
    status: 'success' | 'failed';
    map_index: number;
    duration: number | null;
    task: {
      module: string;
      operator_name: string;
      is_dbt_operator: boolean;
      invocation_mode?: string;
      base_cmd?: string | (string | null)[] | null;
      install_deps?: boolean | null;
      callback?: 'function' | (null | 'function')[];
      profile_config?: RecordedProfile;
    };
    url: string | null;
  }[];
}

function callbackOf(recorded: 'function' | null | (null | 'function')[]): unknown {
  if (Array.isArray(recorded)) return recorded.map((one) => callbackOf(one));
  return recorded === 'function' ? () => undefined : recorded;
}

function profileOf({ profiles_yml_filepath, profile_mapping_class, profile_type: type }: RecordedProfile): ProfileConfig {
  return {
    ...(profiles_yml_filepath !== undefined && { profilesYmlFilepath: profiles_yml_filepath }),
    ...(profile_mapping_class !== undefined && { profileMappingClass: profile_mapping_class }),
    getProfileType: () => {
      if (type === null) throw new Error('no such profile');
      return type;
    },
  };
}

function taskOf(recorded: TaskVectors['cases'][number]['task']): Task {
  return {
    module: recorded.module,
    operatorName: recorded.operator_name,
    isDbtOperator: recorded.is_dbt_operator,
    ...(recorded.invocation_mode !== undefined && { invocationMode: recorded.invocation_mode }),
    ...(recorded.base_cmd !== undefined && { baseCmd: recorded.base_cmd }),
    ...(recorded.install_deps !== undefined && { installDeps: recorded.install_deps }),
    ...(recorded.callback !== undefined && { callback: callbackOf(recorded.callback) }),
    ...(recorded.profile_config && { profileConfig: profileOf(recorded.profile_config) }),
  };
}

function urlOf(product: FakeProduct, standard: UsageMetrics): string | null {
  const event = product.built(standard);
  return event === undefined ? null : COSMOS_ENDPOINT + event.requestTarget();
}

const runs = readVectors('dag_runs.json') as RunVectors;

for (const { name, status, dag_id: dagId, dag, url } of runs.cases) {
  test(`dag_runs.json: ${name}`, (t) => {
    const product = new FakeProduct({ dagHash: productDagHash('cosmos') });
    t.is(product.listeners[`dag_run.${status}`]({ dagRun: { dagId, dag }, msg: 'done' }), undefined);
    t.is(urlOf(product, runs.standard_metrics), url);
    t.is(product.taken.length, url === null ? 0 : 1);
  });
}

const tasks = readVectors('task_instances.json') as TaskVectors;

for (const { name, status, map_index: mapIndex, duration, task, url } of tasks.cases) {
  test(`task_instances.json: ${name}`, (t) => {
    const product = new FakeProduct();
    const taskInstance = { dagId: 'dag', taskId: 'task', mapIndex, duration, task: taskOf(task) };
    t.is(product.listeners[`task_instance.${status}`]({ previousState: 'running', taskInstance }), undefined);
    t.is(urlOf(product, tasks.standard_metrics), url);
    t.is(product.taken.length, url === null ? 0 : 1);
    t.is(product.stats().fieldsDropped, 0);
  });
}

test('a whole number of seconds leaves as the float that it is', (t) => {
  const product = new FakeProduct();
  const task = { module: 'cosmos.operators.local' };
  product.listeners['task_instance.success']({ taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, duration: 7, task } });
  t.regex(product.built()?.requestTarget() ?? '', /&duration=7\.0$/);
});

test('another product has its own prefix, its own keys and its own param', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  const dag = {
    tasks: [{ module: 'acme.operators.local' }, { module: 'cosmos.operators.local' }],
    params: { __acme_telemetry_metadata__: 'own', __cosmos_telemetry_metadata__: "another's" },
  };
  product.listeners['dag_run.failed']({ dagRun: { dagId: 'd', dag } });
  t.deepEqual(product.lastMetrics(), { status: 'failed', task_count: 2, acme_task_count: 1, execution_modes: 'local' });
  t.is(product.taken[0]?.packed, 'own');
  const own = { dagId: 'd', taskId: 't', mapIndex: 0, task: { module: 'acme.operators.docker', isDbtOperator: true } };
  product.listeners['task_instance.failed']({ taskInstance: own });
  t.like(product.lastMetrics(), { is_acme_operator_subclass: false, execution_mode: 'docker', is_mapped_task: true });
  const foreign = { ...own, task: { module: 'cosmos.operators.local' } };
  product.listeners['task_instance.failed']({ taskInstance: foreign });
  t.is(product.taken.length, 2);
});
