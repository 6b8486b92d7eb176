// Valid payloads of host events, and the fields that listeners read.
import { pack } from './hostile-values.js';

/**
 * An event that a host emits.
 *
 * @example
 * const event: HostEventName = 'dag_run.success';
 */
export type HostEventName = 'dag_run.success' | 'dag_run.failed' | 'task_instance.success' | 'task_instance.failed';

/** The two families of events. */
export const DAG_RUN_EVENTS = ['dag_run.success', 'dag_run.failed'] as const satisfies readonly HostEventName[];
export const TASK_INSTANCE_EVENTS = ['task_instance.success', 'task_instance.failed'] as const satisfies readonly HostEventName[];

let packedMetadata: string | undefined;

/** Valid packed metadata. */
export function validPackedMetadata(): string {
  packedMetadata ??= pack({
    used_automatic_load_mode: true,
    invocation_mode: 'subprocess',
    install_deps: true,
    total_dbt_models: 7,
    selected_dbt_models: 5,
    database: 'postgres',
  });
  return packedMetadata;
}

/** Name of the DAG param with a product's packed metadata. */
export function metadataParam(product: string): string {
  return `__${product}_telemetry_metadata__`;
}

/** A new task of the product. */
export function validTask(product: string): Record<string, unknown> {
  return {
    taskId: 'stg_customers_run',
    module: `${product}.operators.local`,
    operatorName: 'DbtRunLocalOperator',
    isDbtOperator: true,
    invocationMode: 'subprocess',
    baseCmd: ['run'],
    installDeps: true,
    callback: null,
    profileConfig: {
      profilesYmlFilepath: null,
      profileMappingClass: 'PostgresUserPasswordProfileMapping',
      getProfileType: () => 'postgres',
      profileType: 'postgres',
    },
  };
}

/** A new valid payload for the listeners of an event. */
export function validPayload(event: HostEventName, product: string): Record<string, unknown> {
  if (event === 'dag_run.success' || event === 'dag_run.failed') {
    const dag = { params: { [metadataParam(product)]: validPackedMetadata() }, tasks: [validTask(product), validTask(product)] };
    const facts = { duration: 93.5, failedCount: 1, retriedCount: 2, skippedCount: 0 };
    return { dagRun: { dagId: 'jaffle_shop', dagHash: null, ...facts, dag }, msg: 'the run has ended' };
  }
  const ids = { dagId: 'jaffle_shop', taskId: 'stg_customers_run', mapIndex: -1 };
  const taskInstance = { ...ids, attempt: 1, duration: 1.25, task: validTask(product) };
  return { previousState: 'running', taskInstance, error: event === 'task_instance.failed' ? new Error('dbt failed') : undefined };
}

/** What says how a run or a task ended. */
const END_PATHS = [['status'], ['runId'], ['attempt'], ['willRetry'], ['startedAt'], ['endedAt'], ['duration']];

/** The paths of all fields that a listener may read. */
export function fieldPaths(event: HostEventName, product: string): readonly (readonly string[])[] {
  const task = [
    [],
    ['taskId'],
    ['module'],
    ['owned'],
    ['operatorName'],
    ['isDbtOperator'],
    ['invocationMode'],
    ['baseCmd'],
    ['installDeps'],
    ['callback'],
    ['profileConfig'],
    ['profileConfig', 'profilesYmlFilepath'],
    ['profileConfig', 'profileMappingClass'],
    ['profileConfig', 'getProfileType'],
    ['profileConfig', 'profileType'],
  ];
  if (event === 'dag_run.success' || event === 'dag_run.failed') {
    const dag = [[], ['params'], ['params', metadataParam(product)], ['tasks'], ['tasks', '0'], ['tasks', '0', 'module']];
    const facts = [['failedCount'], ['retriedCount'], ['skippedCount']];
    const run = [[], ['dagId'], ['dagHash'], ...facts, ...END_PATHS, ...dag.map((path) => ['dag', ...path])];
    return [['msg'], ...run.map((path) => ['dagRun', ...path])];
  }
  const instance = [[], ['dagId'], ['taskId'], ['mapIndex'], ...END_PATHS, ...task.map((path) => ['task', ...path])];
  return [['previousState'], ['error'], ...instance.map((path) => ['taskInstance', ...path])];
}
