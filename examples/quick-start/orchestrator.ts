// A small orchestrator that runs Acme's nightly flow and emits lifecycle events through node:events. It does not know telemetry; it measures
// how long its listeners take.
import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { HostEvents, Task } from 'cosmos-telemetry';

export const FLOW = 'nightly';

const spark = (taskId: string): Task => ({ taskId, module: 'acme.operators.spark', operatorName: 'SparkJob' });
const sql = (taskId: string): Task => ({ taskId, module: 'acme.operators.sql', operatorName: 'SqlTask' });

/** Nine tasks of Acme, and a tenth one that is not reported. */
export const TASKS: readonly Task[] = [
  ...['extract_customers', 'extract_orders', 'extract_payments'].map(spark),
  ...['customers', 'orders', 'payments', 'revenue', 'forecast', 'checks'].map(sql),
  { taskId: 'mail_the_team', module: 'chat.operators.mail', operatorName: 'SendMail' },
];

/** Events that a run of the flow emits, and those of them that are Acme's. */
export const EMITTED_PER_RUN = TASKS.length + 1;
export const EVENTS_PER_RUN = TASKS.length;

export class Orchestrator extends EventEmitter {
  /** Duration of each emit in microseconds, all listeners included. */
  readonly hookUs: number[] = [];

  /** Runs the flow. A task does nothing but take one turn of the event loop, so that network events are handled too. */
  async run(runs: number): Promise<void> {
    for (let run = 0; run < runs; run += 1) {
      for (const task of TASKS) {
        await setImmediate();
        this.announceTask(task);
      }
      this.#announce('dag_run.success', { dagRun: { dagId: FLOW, duration: 63, dag: { tasks: TASKS } } });
    }
  }

  announceTask(task: Task): void {
    const taskInstance = { dagId: FLOW, taskId: task.taskId ?? '', mapIndex: -1, attempt: 1, duration: 7, task };
    this.#announce('task_instance.success', { taskInstance });
  }

  #announce<N extends keyof HostEvents>(name: N, payload: HostEvents[N]): void {
    const startedAt = performance.now();
    this.emit(name, payload);
    this.hookUs.push((performance.now() - startedAt) * 1000);
  }
}
