/** `cosmos-telemetry/bullmq`: reports the flows of BullMQ. A job with children is a run, every other job is a task. It imports nothing. */
import type { HostMap, HostReport } from '../listeners/map.js';

export type { Dag, DagRun, End, HostEvents, Outcome, ProfileConfig, Task, TaskInstance, When } from '../listeners/host.js';
export type { HostMap, HostReport, Mapped } from '../listeners/map.js';

/**
 * What is read of a job of BullMQ. Its own class `Job` fits.
 *
 * @example
 * const job: BullmqJob = { id: '7', queueName: 'images', attemptsMade: 1, getDependenciesCount: async () => ({}) };
 */
export interface BullmqJob {
  /** Its id, unique in its queue. Not sent. */
  readonly id?: string | undefined;
  /** The name of its queue. Not sent; at most its hash is. */
  readonly queueName: string;
  /** Attempts that have ended, this one included. */
  readonly attemptsMade: number;
  /** When its last attempt began, in milliseconds since 1970. */
  readonly processedOn?: number | undefined;
  /** When it ended, in milliseconds since 1970; undefined while another attempt follows. */
  readonly finishedOn?: number | undefined;
  /** The key of its parent, if it has one. */
  readonly parentKey?: string | undefined;
  /** Counts its children by their state. @throws If it rejects, its event counts as `invalid`. */
  getDependenciesCount(): Promise<Record<string, number | undefined>>;
}

/**
 * Options of `bullmqMap`.
 *
 * @example
 * const options: BullmqMapOptions = { mayHaveChildren: ({ queueName }) => queueName === 'flows' };
 */
export interface BullmqMapOptions<J extends BullmqJob = BullmqJob> {
  /**
   * Whether a job may have children: only such a job is looked up, once, when it starts.
   * @default (job) => job.parentKey === undefined
   */
  mayHaveChildren?: ((job: J) => boolean) | undefined;
  /** The name of what a job runs, as it may leave the machine: the class of an operator, for example. @default none */
  operatorName?: ((job: J) => string | undefined) | undefined;
}

/** How many children of a job ended in which way; `undefined` for a job without any. */
type Children = { readonly total: number; readonly failed: number } | undefined;

/**
 * Translates the events of a `Worker`. Do not give it a `QueueEvents`: each process that listens would report every job, and a job that is
 * removed as it ends cannot be looked up any more.
 *
 * A run is reported where its parent job ends. With BullMQ's default options a parent with a failed child waits for ever and is never
 * reported: choose `failParentOnFailure`, `continueParentOnFailure` or `ignoreDependencyOnFailure` for the children. A failed child that
 * is removed (`removeOnFail`, `remove`, `clean`) is not counted by its parent (seen in BullMQ 6.7).
 *
 * It never throws. What a function of the result throws or rejects with costs the event, which counts as `invalid`.
 *
 * @param options By default every job without a parent may have children, and no name is sent.
 * @example
 * import { EventEmitter } from 'node:events';
 * // Yours is a `Worker` of BullMQ.
 * const worker = new EventEmitter();
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * telemetry.register(worker, { map: bullmqMap() });
 */
export function bullmqMap<J extends BullmqJob = BullmqJob>(options: BullmqMapOptions<J> = {}): HostMap {
  const { mayHaveChildren = (job: J) => job.parentKey === undefined, operatorName } = options;
  const looked = new WeakMap<object, Promise<Children>>();

  /** Asked as the job starts: all children have ended then, and a job that is removed as it ends has none any more. */
  const childrenOf = (job: J): Promise<Children> => {
    let children = looked.get(job);
    if (children === undefined) looked.set(job, (children = mayHaveChildren(job) ? lookUp(job) : Promise.resolve(undefined)));
    return children;
  };
  const ended = async (job: J | undefined, status: 'success' | 'failed'): Promise<HostReport | undefined> => {
    // BullMQ has lost the job: it stalled too often, and was removed.
    if (job === undefined) return undefined;
    const children = await childrenOf(job);
    const end = {
      dagId: job.queueName,
      runId: job.id,
      attempt: job.attemptsMade,
      startedAt: job.processedOn,
      // Undefined if another attempt follows.
      endedAt: job.finishedOn ?? Date.now(),
      willRetry: job.finishedOn === undefined,
    };
    if (children !== undefined) {
      const dag = { tasks: Array.from({ length: children.total }, () => ({ owned: true })) };
      return { event: `dag_run.${status}`, payload: { dagRun: { ...end, failedCount: children.failed, dag } } };
    }
    const task = { owned: true, operatorName: operatorName?.(job) };
    return { event: `task_instance.${status}`, payload: { taskInstance: { ...end, taskId: job.id ?? '', mapIndex: -1, task } } };
  };
  return {
    // What fails here fails again where it is awaited.
    active: (job: J): undefined => void childrenOf(job).catch(() => undefined),
    completed: (job: J) => ended(job, 'success'),
    failed: (job: J | undefined) => ended(job, 'failed'),
  };
}

async function lookUp(job: BullmqJob): Promise<Children> {
  const { processed = 0, unprocessed = 0, ignored = 0, failed = 0 } = await job.getDependenciesCount();
  const total = processed + unprocessed + ignored + failed;
  return total === 0 ? undefined : { total, failed: failed + ignored };
}
