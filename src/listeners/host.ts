/*
 * The shapes of the host: the events it emits, the objects in them, and the ways to listen to it.
 */

/** The events of a host, each with one object argument. The names are those of Airflow's listener hooks. */
export interface HostEvents {
  'dag_run.success': { dagRun: DagRun; msg?: string | undefined };
  'dag_run.failed': { dagRun: DagRun; msg?: string | undefined };
  'task_instance.success': { previousState?: string | null | undefined; taskInstance: TaskInstance };
  'task_instance.failed': { previousState?: string | null | undefined; taskInstance: TaskInstance; error?: unknown };
}

/** One run of a DAG. */
export interface DagRun {
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
export interface TaskInstance {
  dagId: string;
  taskId: string;
  /** -1 if the task is not mapped. */
  mapIndex: number;
  /** Seconds. */
  duration?: number | null | undefined;
  /** Which attempt ended; the first is 1. Not sent by `cosmos`. */
  attempt?: number | null | undefined;
  task: Task;
}

/** The operator behind a task. */
export interface Task {
  taskId?: string | undefined;
  /** The module of the operator's class. @example 'cosmos.operators.local' */
  module: string;
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
