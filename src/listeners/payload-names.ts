/*
 * The names in the first payloads of a host. A misspelt one is not read, and nobody would see it. The host waits for its hook, so the names
 * of a few payloads are collected after it, and without running code of the host.
 */
import { types } from '../base/foreign-values.js';
import type { FoundNames } from '../events/mistake-words.js';
import { isObject } from './host-reader.js';
import type { Dag, DagRun, End, HostEvents, PayloadListener, Task, TaskInstance, When } from './host.js';
import { REPORT_RUN } from './run.js';
import type { RunReport, RunTask } from './run.js';

/** Collects the names and compares them, if it can after the host's code has returned. It never throws. */
export type CompareNames = (collect: () => readonly FoundNames[]) => void;

/** An object of a payload. In its path, `[]` is the first item of a list. */
type Part = Omit<FoundNames, 'names'>;

/** All names of a type: the compiler refuses the object if one is missing. */
type NamesOf<T> = Readonly<Record<keyof T & string, true>>;

const WHEN: NamesOf<When> = { startedAt: true, endedAt: true, duration: true };
const END: NamesOf<End> = { ...WHEN, runId: true, status: true, attempt: true, willRetry: true };
const TASK: NamesOf<Task> = {
  taskId: true,
  module: true,
  owned: true,
  operatorName: true,
  isDbtOperator: true,
  invocationMode: true,
  baseCmd: true,
  installDeps: true,
  callback: true,
  profileConfig: true,
};
const DAG_RUN: NamesOf<DagRun> = {
  ...END,
  failedCount: true,
  retriedCount: true,
  skippedCount: true,
  dagId: true,
  dagHash: true,
  dag: true,
};
const DAG: NamesOf<Dag> = { tasks: true, params: true };
const TASK_INSTANCE: NamesOf<TaskInstance> = { ...END, dagId: true, taskId: true, mapIndex: true, task: true };
const RUN_PAYLOAD: NamesOf<HostEvents['dag_run.failed']> = { dagRun: true, msg: true };
const TASK_PAYLOAD: NamesOf<HostEvents['task_instance.failed']> = { taskInstance: true, previousState: true, error: true };
const REPORT: NamesOf<RunReport> = {
  ...WHEN,
  status: true,
  runId: true,
  dagId: true,
  dagHash: true,
  willRetry: true,
  tasks: true,
};
const REPORT_TASK: NamesOf<RunTask> = { ...TASK, ...WHEN, status: true, attempt: true, mapIndex: true };

/** The payload of a run. */
export const RUN_PARTS: readonly Part[] = [
  { type: 'dag_run', path: '', read: RUN_PAYLOAD },
  { type: 'dag_run', path: 'dagRun', read: DAG_RUN },
  { type: 'dag_run', path: 'dagRun.dag', read: DAG },
  { type: 'dag_run', path: 'dagRun.dag.tasks[]', read: TASK },
];

/** The payload of a task. */
export const TASK_PARTS: readonly Part[] = [
  { type: 'task_instance', path: '', read: TASK_PAYLOAD },
  { type: 'task_instance', path: 'taskInstance', read: TASK_INSTANCE },
  { type: 'task_instance', path: 'taskInstance.task', read: TASK },
];

/** A run with all its tasks. */
export const REPORT_PARTS: readonly Part[] = [
  { type: 'dag_run', path: '', read: REPORT, of: REPORT_RUN },
  { type: 'task_instance', path: 'tasks[]', read: REPORT_TASK, of: REPORT_RUN },
];

/** So many payloads of each host event are looked at. */
const MAX_PAYLOADS = 8;

/** An object with more names is not compared. */
const MAX_NAMES = 256;

/**
 * The listener, with a look at its first payloads. The look is no part of the listeners themselves: those are as long as a function may be
 * that V8 inlines.
 */
export function withNamesCompared(listener: PayloadListener, parts: readonly Part[], compare: CompareNames): PayloadListener {
  let left = MAX_PAYLOADS;

  function collect(payload: unknown): FoundNames[] {
    const found = parts.map((part) => ({ ...part, names: ownNames(ownValue(payload, part.path)) }));
    // An object with very many names takes long to look at, and the next one would, too.
    if (found.some(({ names }) => names.length > MAX_NAMES)) left = 0;
    return found.filter(({ names, read }) => names.length <= MAX_NAMES && names.some((name) => !Object.hasOwn(read, name)));
  }

  return (payload) => {
    if (left > 0) {
      left -= 1;
      compare(() => collect(payload));
    }
    return listener(payload);
  };
}

/** The value at a path of own properties; undefined where code of the host would have to run for it: a getter, a proxy. */
function ownValue(source: unknown, path: string): unknown {
  let value = source;
  for (const key of path === '' ? [] : path.replace('[]', '.0').split('.')) {
    if (!isObject(value) || types.isProxy(value)) return undefined;
    value = Object.getOwnPropertyDescriptor(value, key)?.value;
  }
  return value;
}

/** The own names of a plain object. */
function ownNames(source: unknown): string[] {
  if (!isObject(source) || types.isProxy(source) || Array.isArray(source) || ArrayBuffer.isView(source)) return [];
  return Object.keys(source);
}
