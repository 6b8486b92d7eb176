// A small orchestrator that runs dbt's example project, jaffle_shop, and emits lifecycle events through node:events.
import { EventEmitter } from 'node:events';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Dag, DrainReport, HostEvents, Task } from 'cosmos-telemetry';

/** Facts about the dbt project of a Cosmos DAG. Until the run ends they are packed in a DAG param. */
export const PROJECT_METADATA = {
  used_automatic_load_mode: true,
  invocation_mode: 'dbt_runner',
  install_deps: true,
  uses_node_converter: false,
  test_behavior: 'after_all',
  source_behavior: 'none',
  actual_load_mode: 'dbt_manifest',
  total_dbt_models: 5,
  selected_dbt_models: 5,
  profile_strategy: 'mapping',
  profile_mapping_class: 'PostgresUserPasswordProfileMapping',
  database: 'postgres',
};

/** Nine dbt tasks, one of them of a user's own class, and a tenth task that is not reported. */
export function jaffleShop(): Required<Dag> {
  return {
    params: {},
    tasks: [
      ...['raw_customers', 'raw_orders', 'raw_payments'].map((seed) => dbtTask(seed, 'DbtSeedLocalOperator', 'seed')),
      ...['stg_customers', 'stg_orders', 'stg_payments', 'customers'].map((model) => dbtTask(model, 'DbtRunLocalOperator', 'run')),
      { ...dbtTask('orders', 'RunOrdersWithAlert', 'run'), module: 'jaffle.operators', callback: () => undefined },
      dbtTask('jaffle_shop_test', 'DbtTestLocalOperator', 'test'),
      { taskId: 'mail_the_team', module: 'airflow.providers.smtp.operators.smtp', operatorName: 'EmailOperator' },
    ],
  };
}

function dbtTask(taskId: string, operatorName: string, command: string): Task {
  return {
    taskId,
    operatorName,
    module: 'cosmos.operators.local',
    isDbtOperator: true,
    invocationMode: 'dbt_runner',
    baseCmd: [command],
    profileConfig: { profileMappingClass: 'PostgresUserPasswordProfileMapping', profileType: 'postgres' },
  };
}

/** Runs the tasks of a DAG in sequence. It does not know telemetry; it measures how long its listeners take. */
export class Orchestrator extends EventEmitter {
  /** Duration of each emit in microseconds, all listeners included. */
  readonly hookUs: number[] = [];

  async run(dagId: string, dag: Dag, taskMs: number): Promise<void> {
    for (const [index, task] of dag.tasks.entries()) {
      const startedAt = performance.now();
      // An empty task takes one turn of the event loop, so that network events are handled too.
      await (taskMs > 0 ? setTimeout(taskMs * (1 + (index % 3))) : setImmediate());
      const duration = Math.round(performance.now() - startedAt) / 1000;
      const taskInstance = { dagId, taskId: task.taskId ?? '', mapIndex: -1, duration, task };
      this.#announce('task_instance.success', { previousState: 'running', taskInstance });
    }
    this.#announce('dag_run.success', { dagRun: { dagId, dag } });
  }

  #announce<N extends keyof HostEvents>(name: N, payload: HostEvents[N]): void {
    const startedAt = performance.now();
    this.emit(name, payload);
    this.hookUs.push((performance.now() - startedAt) * 1000);
  }
}

/** Duration of an emit in microseconds. */
export interface HookTimes {
  slowestUs: number;
  p99Us: number;
  medianUs: number;
}

export function hookTimes(hookUs: readonly number[]): HookTimes {
  const sorted = hookUs.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return { slowestUs: at(1), p99Us: at(0.99), medianUs: at(0.5) };
}

/** Message from a process of act 2 to its parent. The first one means that everything is published and the process begins to end. */
export interface Progress {
  hooks: HookTimes;
  events: number;
  /** Events with a final outcome. */
  settled: number;
  report?: DrainReport;
}

export function tell(progress: Progress): void {
  process.send?.(progress);
}
