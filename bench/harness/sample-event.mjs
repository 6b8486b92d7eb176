// The event for every adapter: a finished task of product acme, as its listener produces it and as a host emits it.

export const PRODUCT = { name: 'acme', version: '1.0.0' };

/** All fields that a task_instance event may have. */
export const EVENT = {
  status: 'success',
  operator_name: 'DbtRunLocalOperator',
  is_acme_operator_subclass: false,
  invocation_mode: 'dbt_runner',
  execution_mode: 'local',
  profile_strategy: 'mapping',
  profile_mapping_class: 'PostgresUserPasswordProfileMapping',
  database: 'postgres',
  is_mapped_task: false,
  dbt_command: 'run',
  install_deps: true,
  has_callback: false,
  duration: 7.5,
};

/** The fields that our library adds to each event. The other clients get them with the event, so that all send the same. */
export const STANDARD = {
  acme_version: '1.0.0',
  node_version: process.versions.node,
  platform_system: 'Linux',
  platform_machine: 'x86_64',
};

/** A new event for each call, as in a host. */
export const freshEvent = (number) => ({ ...EVENT, duration: number + 0.5 });

const task = {
  module: 'acme.operators.local',
  operatorName: 'DbtRunLocalOperator',
  isDbtOperator: true,
  invocationMode: 'dbt_runner',
  baseCmd: ['run'],
  installDeps: true,
  callback: null,
  profileConfig: { profileMappingClass: 'PostgresUserPasswordProfileMapping', profileType: 'postgres' },
};

/** The payload of a host's task_instance event; our listener turns it into EVENT. */
export const taskInstance = { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, duration: 7.5, task } };

/** The payload of a host's dag_run event. */
export function dagRun(tasks) {
  return { dagRun: { dagId: 'd', dag: { tasks: Array.from({ length: tasks }, () => ({ module: 'acme.operators.local' })) } } };
}
