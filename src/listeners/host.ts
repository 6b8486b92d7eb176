/*
 * The shapes of the host: the events it emits, the objects in them, and the ways to listen to it.
 */

/**
 * The events of a host, each with one object argument. The names are those of Airflow's listener hooks. A run is reported once, when it has
 * ended; a task at the end of each attempt.
 */
export interface HostEvents {
  'dag_run.success': { dagRun: DagRun; msg?: string | undefined };
  'dag_run.failed': { dagRun: DagRun; msg?: string | undefined };
  'task_instance.success': { previousState?: string | null | undefined; taskInstance: TaskInstance };
  'task_instance.failed': { previousState?: string | null | undefined; taskInstance: TaskInstance; error?: unknown };
}

/** How a run or a task may end. Product `cosmos` reports success and failure only, as Cosmos does. */
export type Outcome = 'success' | 'failed' | 'skipped' | 'cancelled' | 'timed_out' | 'cached';

/** How long something ran. It is read for products other than `cosmos`, and of a task its `duration` for all. Times are not sent. */
export interface When {
  /** A date, or milliseconds since 1970. */
  startedAt?: Date | number | null | undefined;
  /** A date, or milliseconds since 1970. */
  endedAt?: Date | number | null | undefined;
  /** Seconds. @default the time between `startedAt` and `endedAt` */
  duration?: number | null | undefined;
}

/** What a product other than `cosmos` reads of the end of a run or of a task. */
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

/** One run of a DAG. */
export interface DagRun extends End {
  /** Not sent; at most its hash is. */
  dagId: string;
  /** The host's own hash of the DAG, 8 to 128 characters. @default the result of the `dagHash` option */
  dagHash?: string | null | undefined;
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

/** The DAG of a run. */
export interface Dag {
  /** May hold the packed telemetry metadata, as a string or as a Param object with it in `value` or `default`. */
  params?: Record<string, unknown> | undefined;
  tasks: readonly Task[];
}

/** One task of one run. */
export interface TaskInstance extends End {
  dagId: string;
  taskId: string;
  /** -1 if the task is not mapped. */
  mapIndex: number;
  task: Task;
}

/** The operator behind a task. */
export interface Task {
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
  invocationMode?: string | null | undefined;
  baseCmd?: string | readonly (string | null)[] | null | undefined;
  installDeps?: boolean | null | undefined;
  /** A function, a list of functions and nulls, or nothing. Only its presence is used. */
  callback?: unknown;
  profileConfig?: ProfileConfig | null | undefined;
}

/** How a task reaches its database. */
export interface ProfileConfig {
  profilesYmlFilepath?: string | null | undefined;
  profileMappingClass?: string | null | undefined;
  /** Called instead of reading `profileType`, if it is a function. If it throws, the type is null. */
  getProfileType?: (() => string | null) | undefined;
  profileType?: string | null | undefined;
}

type Handler = (payload: unknown) => void;

/** `on` and `off`, as in node:events, eventemitter3 and mitt. */
export interface OnOffHost {
  on(name: string, handler: Handler): unknown;
  off(name: string, handler: Handler): unknown;
}

/** `addListener` and `removeListener`, as in node:events and its many imitations. */
export interface AddRemoveHost {
  addListener(name: string, handler: Handler): unknown;
  removeListener(name: string, handler: Handler): unknown;
}

/** An EventTarget: the payload is the event's `detail`, as in a CustomEvent. */
export interface EventTargetHost {
  addEventListener(name: string, handler: (event: unknown) => void): void;
  removeEventListener(name: string, handler: (event: unknown) => void): void;
}

/** Anything that emits lifecycle events. */
export type HostEmitter = OnOffHost | AddRemoveHost | EventTargetHost;

/** Handles one payload of the host. Returns `'invalid'` if it is not usable. */
export type PayloadListener = (payload: unknown) => 'invalid' | undefined;

/** The listener of each event of a host. */
export type PayloadListeners = Readonly<Record<keyof HostEvents, PayloadListener>>;
