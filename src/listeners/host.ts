/** What a host emits, each with one object argument. The names are those of Airflow's listener hooks. */
export interface HostEvents {
  'dag_run.success': { dagRun: DagRun; msg?: string | undefined };
  'dag_run.failed': { dagRun: DagRun; msg?: string | undefined };
  'task_instance.success': { previousState?: string | null | undefined; taskInstance: TaskInstance };
  'task_instance.failed': { previousState?: string | null | undefined; taskInstance: TaskInstance; error?: unknown };
}

/** One run of a DAG. */
export interface DagRun {
  /** Never leaves the machine in clear: at most its hash does. */
  dagId: string;
  /** The host's own hash of the DAG, 8 to 128 characters; anything else gives way to the `dagHash` option. */
  dagHash?: string | null | undefined;
  dag: Dag;
}

/** What a run's DAG is made of. */
export interface Dag {
  /** May hold the packed telemetry metadata, as a string or as a Param object with `value` or `default`. */
  params?: Record<string, unknown> | undefined;
  tasks: readonly Task[];
}

/** One task of one run. */
export interface TaskInstance {
  dagId: string;
  taskId: string;
  /** -1 where the task is not mapped. */
  mapIndex: number;
  /** Seconds. */
  duration?: number | null | undefined;
  task: Task;
}

/** The operator behind a task. */
export interface Task {
  taskId?: string | undefined;
  /** The module of the operator's class, for example `cosmos.operators.local`. */
  module: string;
  /** The operator's class name, for example `DbtRunLocalOperator`. */
  operatorName?: string | undefined;
  /** Whether it extends the product's base operator, wherever its module is. */
  isDbtOperator?: boolean | undefined;
  invocationMode?: string | null | undefined;
  baseCmd?: string | readonly (string | null)[] | null | undefined;
  installDeps?: boolean | null | undefined;
  /** A function, a list of functions and nulls, or nothing. Only whether there is one is ever looked at. */
  callback?: unknown;
  profileConfig?: ProfileConfig | null | undefined;
}

/** How a task reaches its database. */
export interface ProfileConfig {
  profilesYmlFilepath?: string | null | undefined;
  profileMappingClass?: string | null | undefined;
  /** Asked first where it is there; null where it throws. */
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
  addEventListener(name: string, handler: (event: Event) => void): void;
  removeEventListener(name: string, handler: (event: Event) => void): void;
}

/** Anything that can announce lifecycle events. */
export type HostEmitter = OnOffHost | AddRemoveHost | EventTargetHost;

/** Takes one payload of the host. `'invalid'` where it is none. */
export type PayloadListener = (payload: unknown) => 'invalid' | undefined;

/** What each of a host's events is heard by. */
export type PayloadListeners = Readonly<Record<keyof HostEvents, PayloadListener>>;
