/*
 * The shapes of the host: the events it emits, the objects in them, and the ways to listen to it.
 */
import type { Loss } from '../base/ledger.js';

/**
 * The events of a host, each with one object argument. The names are those of Airflow's listener hooks. A run is reported once, when it has
 * ended; a task at the end of each attempt.
 *
 * @example
 * const failed: HostEvents['dag_run.failed'] = { dagRun: { dagId: 'nightly', dag: { tasks: [{ owned: true }] } }, msg: 'too late' };
 */
export interface HostEvents {
  /** A run has ended well. `msg` is not read. */
  'dag_run.success': { dagRun: DagRun; msg?: string | undefined };
  /** A run has failed. `msg` is not read. */
  'dag_run.failed': { dagRun: DagRun; msg?: string | undefined };
  /** An attempt of a task has ended well. `previousState` is not read. */
  'task_instance.success': { previousState?: string | null | undefined; taskInstance: TaskInstance };
  /** An attempt of a task has failed. `previousState` and `error` are not read. */
  'task_instance.failed': { previousState?: string | null | undefined; taskInstance: TaskInstance; error?: unknown };
}

/**
 * How a run or a task may end. Product `cosmos` reports success and failure only, as Cosmos does.
 *
 * @example
 * const outcome: Outcome = 'timed_out';
 */
export type Outcome = 'success' | 'failed' | 'skipped' | 'cancelled' | 'timed_out' | 'cached';

/**
 * How long something ran. It is read for products other than `cosmos`, and of a task its `duration` for all. Times are not sent.
 *
 * @example
 * const when: When = { startedAt: new Date(Date.now() - 1500), endedAt: Date.now() };
 */
export interface When {
  /** A date, or milliseconds since 1970. */
  startedAt?: Date | number | null | undefined;
  /** A date, or milliseconds since 1970. */
  endedAt?: Date | number | null | undefined;
  /** Seconds. @default the time between `startedAt` and `endedAt` */
  duration?: number | null | undefined;
}

/**
 * What a product other than `cosmos` reads of the end of a run or of a task.
 *
 * @example
 * const end: End = { runId: 'r1', attempt: 2, willRetry: true, startedAt: Date.now() - 1500, endedAt: Date.now() };
 */
export interface End extends When {
  /**
   * The host's id of the run; not sent. With it, what is reported again in this process counts once: the same event of the same `runId`,
   * `status` and `attempt`, and of a task its `taskId` and `mapIndex`. The others count as `duplicate`. The last 10,000 are known.
   * Give `attempt`, too, where something can be tried again.
   */
  runId?: string | number | null | undefined;
  /** How it ended, if the name of the event does not say it. @default `success` or `failed`, as the event's name ends */
  status?: Outcome | null | undefined;
  /** Which attempt ended; the first is 1. */
  attempt?: number | null | undefined;
  /** Whether another attempt follows. A run with it has not ended and is not reported; each attempt of a task is. @default false */
  willRetry?: boolean | null | undefined;
}

/**
 * One run of a DAG.
 *
 * @example
 * const dagRun: DagRun = { dagId: 'nightly', failedCount: 1, duration: 12.5, dag: { tasks: [{ module: 'acme.operators.local' }] } };
 */
export interface DagRun extends End {
  /** Not sent; at most its hash is. */
  dagId: string;
  /** The host's own hash of the DAG, 8 to 128 characters. @default the result of the `dagHash` option */
  dagHash?: string | null | undefined;
  /** What was run. */
  dag: Dag;
  /** Seconds. Not sent by `cosmos`, nor are the counts. */
  duration?: number | null | undefined;
  /** How many tasks of the run failed. */
  failedCount?: number | null | undefined;
  /** How many tasks of the run were tried more than once. */
  retriedCount?: number | null | undefined;
  /** How many tasks of the run were skipped. */
  skippedCount?: number | null | undefined;
}

/**
 * The DAG of a run.
 *
 * @example
 * const dag: Dag = { tasks: [{ taskId: 'build', module: 'acme.operators.local' }, { taskId: 'mail', module: 'other.mail' }] };
 */
export interface Dag {
  /** May hold the packed telemetry metadata, as a string or as a Param object with it in `value` or `default`. */
  params?: Record<string, unknown> | undefined;
  /** All tasks of the DAG, those of other products too: they are counted. */
  tasks: readonly Task[];
}

/**
 * One task of one run.
 *
 * @example
 * const taskInstance: TaskInstance = { dagId: 'nightly', taskId: 'build', mapIndex: -1, task: { owned: true, operatorName: 'AcmeRun' } };
 */
export interface TaskInstance extends End {
  /** The id of the DAG. Not sent. */
  dagId: string;
  /** The id of the task. Not sent. */
  taskId: string;
  /** -1 if the task is not mapped. */
  mapIndex: number;
  /** The operator behind it. */
  task: Task;
}

/**
 * The operator behind a task.
 *
 * @example
 * const task: Task = { taskId: 'build', module: 'acme.operators.local', operatorName: 'AcmeRun' };
 */
export interface Task {
  /** The id of the task. Not sent. */
  taskId?: string | undefined;
  /**
   * The module of the operator's class: a task is the product's if it starts with the product's name and a dot.
   * @example 'cosmos.operators.local'
   */
  module?: string | undefined;
  /** `true`: the task is the product's, whatever its module. Not read for product `cosmos`. @default false */
  owned?: boolean | undefined;
  /** The operator's class name. @example 'DbtRunLocalOperator' */
  operatorName?: string | undefined;
  /** Whether it extends the product's base operator, in any module. */
  isDbtOperator?: boolean | undefined;
  /** How dbt is run, such as `subprocess`. Sent with the fields about dbt. */
  invocationMode?: string | null | undefined;
  /** The dbt command, such as `['run']`. Its words are sent with the fields about dbt. */
  baseCmd?: string | readonly (string | null)[] | null | undefined;
  /** Whether `dbt deps` runs before. Sent with the fields about dbt. */
  installDeps?: boolean | null | undefined;
  /** A function, a list of functions and nulls, or nothing. Only its presence is used. */
  callback?: unknown;
  /** How it reaches its database. With the fields about dbt its way, its class and the kind of the database are sent. */
  profileConfig?: ProfileConfig | null | undefined;
}

/**
 * How a task reaches its database.
 *
 * @example
 * const profileConfig: ProfileConfig = { profileMappingClass: 'PostgresUserPasswordProfileMapping', profileType: 'postgres' };
 */
export interface ProfileConfig {
  /** The path of a profiles.yml. Only its presence is used. */
  profilesYmlFilepath?: string | null | undefined;
  /** The name of the class that maps a connection to a profile. */
  profileMappingClass?: string | null | undefined;
  /** Called instead of reading `profileType`, if it is a function. If it throws, the type is null. */
  getProfileType?: (() => string | null) | undefined;
  /** The kind of the database, such as `postgres`. */
  profileType?: string | null | undefined;
}

/** What a typed emitter hands to a handler is its own affair: only `any` fits every list of arguments. */
// oxlint-disable-next-line typescript/no-explicit-any
type Handler = (...args: any[]) => void;

/**
 * `on` and `off`, as in node:events, eventemitter3 and mitt.
 *
 * @example
 * import { EventEmitter } from 'node:events';
 * const host: OnOffHost = new EventEmitter();
 */
export interface OnOffHost {
  /** Adds a listener. @throws What it throws, `register` throws. */
  on(name: string, handler: Handler): unknown;
  /** Removes a listener. @throws What it throws is caught and logged as `unregister_failed`. */
  off(name: string, handler: Handler): unknown;
}

/**
 * `addListener` and `removeListener`, as in node:events and its many imitations.
 *
 * @example
 * import { EventEmitter } from 'node:events';
 * const host: AddRemoveHost = new EventEmitter();
 */
export interface AddRemoveHost {
  /** Adds a listener. @throws What it throws, `register` throws. */
  addListener(name: string, handler: Handler): unknown;
  /** Removes a listener. @throws What it throws is caught and logged as `unregister_failed`. */
  removeListener(name: string, handler: Handler): unknown;
}

/**
 * An EventTarget: the payload is the event's `detail`, as in a CustomEvent.
 *
 * @example
 * const host: EventTargetHost = new EventTarget();
 */
export interface EventTargetHost {
  /** Adds a listener. @throws What it throws, `register` throws. */
  addEventListener(name: string, handler: (event: unknown) => void): void;
  /** Removes a listener. @throws What it throws is caught and logged as `unregister_failed`. */
  removeEventListener(name: string, handler: (event: unknown) => void): void;
}

/**
 * Anything that emits lifecycle events.
 *
 * @example
 * import { EventEmitter } from 'node:events';
 * const hosts: HostEmitter[] = [new EventEmitter(), new EventTarget()];
 */
export type HostEmitter = OnOffHost | AddRemoveHost | EventTargetHost;

/** Why an event of a host is not usable: by names, never with a value. */
export type HostProblem = Omit<Loss, 'like'>;

/** Handles one payload of the host. Returns what is wrong with one that is not usable. */
export type PayloadListener = (payload: unknown) => HostProblem | undefined;

/** The listener of each event of a host. */
export type PayloadListeners = Readonly<Record<keyof HostEvents, PayloadListener>>;
