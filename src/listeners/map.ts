/*
 * Translates what a host emits into the events of `HostEvents`, by functions that its adapter gives.
 */
import { readOption } from '../base/check-options.js';
import { describe } from '../base/describe.js';
import { ignoreRejection, isThenable } from '../base/foreign-values.js';
import { isObject } from './host-reader.js';
import type { HostEvents, HostProblem, PayloadListeners } from './host.js';
import type { Lookups } from './lookups.js';

/**
 * One event of a host, in the words of this package.
 * @example
 * const report: HostReport = { event: 'dag_run.success', payload: { dagRun: { dagId: 'nightly', dag: { tasks: [{ owned: true }] } } } };
 */
export type HostReport = { readonly [K in keyof HostEvents]: { readonly event: K; readonly payload: HostEvents[K] } }[keyof HostEvents];

/**
 * What a function of a `HostMap` returns: a report, nothing, or a promise of either.
 *
 * @example
 * const taskInstance: TaskInstance = { dagId: 'jobs', taskId: 'resize', mapIndex: -1, task: { owned: true } };
 * const mapped = (isOwn: boolean): Mapped => (isOwn ? { event: 'task_instance.success', payload: { taskInstance } } : undefined);
 */
export type Mapped = HostReport | null | undefined | PromiseLike<HostReport | null | undefined>;

/**
 * For each event of a host, by the host's own name, a function from the arguments that the host emits to a report. It returns nothing for
 * what is not to be reported. One that returns a promise may look something up; meanwhile its event counts as published and pending, and
 * `drain()` and `close()` wait for it. One that throws, rejects or returns something else costs its event, as `invalid`; one that has not
 * answered when `close()` ends, as `deadline`. An EventTarget emits the Event itself.
 *
 * Written where it is used, in `register`, a map needs no types: the host's say what the arguments are.
 * @example
 * import { EventEmitter } from 'node:events';
 * const taskOf = (taskId: string): TaskInstance => ({ dagId: 'jobs', taskId, mapIndex: -1, task: { owned: true } });
 * const map: HostMap = {
 *   completed: (id: string) => ({ event: 'task_instance.success', payload: { taskInstance: taskOf(id) } }),
 * };
 * const queue = new EventEmitter();
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * telemetry.register(queue, { map });
 * queue.emit('completed', 'resize');
 * console.log(telemetry.stats().published); // 1
 */
// oxlint-disable-next-line typescript/no-explicit-any -- a function may say what it takes
export type HostMap<M extends string = string> = Readonly<Record<M, (...args: any[]) => Mapped>>;

type Translate = (...args: readonly unknown[]) => unknown;

/** @throws TypeError for a map without functions. */
export function checkedMap(map: HostMap): [name: string, translate: Translate][] {
  const names = Object.keys(map);
  if (names.length === 0) throw new TypeError('Expected `map` to have a function for at least one event, got an object without keys.');
  return names.map((name) => {
    const option = `map['${name.slice(0, 64)}']`;
    const translate = readOption(map, name, option);
    if (typeof translate === 'function') return [name, translate];
    throw new TypeError(`Expected \`${option}\` to be a function, got ${describe(translate)}.`);
  });
}

/** Calls the function, and hands its report to a listener: at once, or when its promise is settled. */
export function translated(
  map: object,
  translate: Translate,
  args: readonly unknown[],
  use: { lookups: Lookups; take: (report: unknown) => void; failed: () => void },
): HostProblem | undefined {
  let result: unknown;
  try {
    result = Reflect.apply(translate, map, args);
  } catch {
    return { from: 'host', name: '', why: 'threw' };
  }
  try {
    if (isThenable(result)) use.lookups.begin(result, use.take, use.failed);
    else use.take(result);
  } catch {
    return NO_REPORT;
  }
  return undefined;
}

const NO_REPORT: HostProblem = { from: 'host', name: '', why: 'not_object' };

/** Gives a report to the listener of its event. */
export function listenTo(report: unknown, listeners: PayloadListeners): HostProblem | undefined {
  if (report === undefined || report === null) return undefined;
  if (!isObject(report)) return NO_REPORT;
  let event: unknown;
  let payload: unknown;
  try {
    event = ignoreRejection((report as { event?: unknown }).event);
    payload = ignoreRejection((report as { payload?: unknown }).payload);
  } catch {
    return NO_REPORT;
  }
  if (typeof event !== 'string') return NO_REPORT;
  if (!Object.hasOwn(listeners, event)) return { from: 'host', name: event, why: 'undeclared' };
  return listeners[event as keyof HostEvents](payload);
}
