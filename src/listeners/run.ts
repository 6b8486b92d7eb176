/*
 * A run and all its tasks in one report, for a host that knows them at the end: taken apart into the events that other hosts emit.
 */
import { MAX_TASKS } from './dag-run.js';
import { isOutcome } from './endings.js';
import { isObject, missing } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { HostProblem, Outcome, PayloadListener, PayloadListeners, Task, When } from './host.js';

/**
 * One task of a `RunReport`.
 *
 * @example
 * const task: RunTask = { taskId: 'build', owned: true, status: 'cached', duration: 1.5 };
 */
export interface RunTask extends Task, When {
  /** How it ended, in its last attempt. */
  status: Outcome;
  /** Which attempt that was; the first is 1. @default unknown */
  attempt?: number | null | undefined;
  /** The index of a mapped task. @default -1, not mapped */
  mapIndex?: number | null | undefined;
}

/**
 * A run that has ended, with all its tasks. Ids and times are not sent.
 *
 * @example
 * const run: RunReport = { runId: 'r1', status: 'failed', tasks: [{ taskId: 'build', owned: true, status: 'timed_out' }] };
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * telemetry.reportRun(run);
 * console.log(telemetry.stats().published); // 2
 */
export interface RunReport extends When {
  /** How it ended. */
  status: Outcome;
  /** The host's id of this run: with it, a run that is reported again counts as `duplicate`, and so do its tasks that have a `taskId`. */
  runId?: string | number | null | undefined;
  /** What was run. Not sent; at most its hash is. @default unknown */
  dagId?: string | undefined;
  /** The host's own hash of it, 8 to 128 characters. @default the result of the `dagHash` option */
  dagHash?: string | null | undefined;
  /** Whether another attempt of the run follows. Then the run has not ended and is not reported; its tasks are. @default false */
  willRetry?: boolean | null | undefined;
  /** All tasks of the run, those of other products too: they are counted. */
  tasks: readonly RunTask[];
}

/** What the listener for run reports needs. */
interface RunListenerOptions {
  reader: HostReader;
  /** Counts a task that cannot be used. */
  refuse: (problem: HostProblem) => void;
  /** Whether the event may say so; Cosmos, for one, sends nothing about a skipped task. */
  sends: (event: 'dag_run' | 'task_instance', status: Outcome) => boolean;
}

/** Takes a `RunReport`: one event for the run, and one for each task of the product. */
export function runListener(listeners: PayloadListeners, { reader, refuse, sends }: RunListenerOptions): PayloadListener {
  return (run) => {
    if (!isObject(run)) return missing('dag_run', 'payload');
    const tasks = reader.list(reader.read(run, 'tasks'));
    // Read once: a proxy may give another length each time.
    const length: unknown = tasks?.length;
    if (tasks === undefined || typeof length !== 'number' || !(length <= MAX_TASKS)) return missing('dag_run', 'tasks');
    const { status, ...values } = reader.readAll(run, { ...RUN });
    if (!isOutcome(status)) return missing('dag_run', 'status');
    const { dagId, runId } = values;
    const counts = { failedCount: 0, retriedCount: 0, skippedCount: 0 };
    const instances: Instance[] = [];
    for (let index = 0; index < length; index += 1) {
      const task = reader.item(tasks, index);
      if (!isObject(task)) continue;
      const ended = reader.readAll(task, { ...TASK });
      if (ended.status === 'failed' || ended.status === 'timed_out') counts.failedCount += 1;
      if (ended.status === 'skipped') counts.skippedCount += 1;
      if (typeof ended.attempt === 'number' && ended.attempt > 1) counts.retriedCount += 1;
      instances.push({ ...ended, mapIndex: ended.mapIndex ?? -1, dagId, runId, task });
    }
    const dagRun = { status, ...values, ...counts, dag: { tasks } };
    // The run first: it tells whether there is a task of the product at all.
    const outcome = sends('dag_run', status) ? listeners[`dag_run.${nameOf(status)}`]({ dagRun }) : undefined;
    if (outcome !== undefined) return outcome;
    for (const taskInstance of instances) {
      // Reading its status may have failed, or it is no word of ours: what it was instead is unknown.
      if (!isOutcome(taskInstance.status)) refuse(missing('task_instance', 'tasks[].status'));
      else if (sends('task_instance', taskInstance.status)) listeners[`task_instance.${nameOf(taskInstance.status)}`]({ taskInstance });
    }
    return undefined;
  };
}

/** What a problem is told of. */
export const REPORT_RUN = 'reportRun()';

/** A task instance as a host emits it. */
interface Instance {
  status: unknown;
  [name: string]: unknown;
}

/** What is read of a run and of each task. */
const WHEN = {
  status: undefined as unknown,
  startedAt: undefined as unknown,
  endedAt: undefined as unknown,
  duration: undefined as unknown,
};
const RUN = {
  ...WHEN,
  dagId: undefined as unknown,
  dagHash: undefined as unknown,
  runId: undefined as unknown,
  willRetry: undefined as unknown,
};
const TASK = { ...WHEN, taskId: undefined as unknown, mapIndex: undefined as unknown, attempt: undefined as unknown };

/** The event that carries an outcome; its payload says which. */
function nameOf(status: Outcome): 'success' | 'failed' {
  return status === 'success' ? 'success' : 'failed';
}
