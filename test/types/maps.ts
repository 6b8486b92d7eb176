/*
 * A user's program with the `map` of `register`: what the compiler infers from a host's type, and what it refuses.
 * `scripts/check-types.mjs` compiles it.
 */
import type { HostMap, HostReport, Mapped, Task, TaskInstance, Telemetry } from 'cosmos-telemetry';
import { EventEmitter } from 'eventemitter3';
import type { Emitter } from 'mitt';

interface Job {
  readonly id: string;
  readonly flow: string;
}

/** The events of a host. */
interface Events {
  completed: [job: Job, seconds: number];
  failed: [job: Job | undefined, error: Error];
  drained: [];
}

class Queue extends EventEmitter<Events> {}

/** An emitter with one overload for each event. */
interface Overloaded {
  on(name: 'completed', handler: (job: Job, seconds: number) => void): this;
  on(name: 'progress', handler: (percent: number) => void): this;
  on(name: 'drained', handler: () => void): this;
  off(name: string, handler: (payload: never) => void): this;
}

/** An emitter with the names of a map, whose handlers are like each other, as those of BullMQ are. */
interface Mapping {
  on<K extends keyof Handlers>(name: K, handler: Handlers[K]): this;
  off<K extends keyof Handlers>(name: K, handler: Handlers[K]): this;
  addListener(name: string | symbol, handler: (...args: never[]) => void): this;
  removeListener(name: string | symbol, handler: (...args: never[]) => void): this;
  eventNames(): (string | symbol)[];
}

interface Handlers {
  active: (job: Job, previous: string) => void;
  completed: (job: Job, seconds: number, previous: string) => void;
  drained: () => void;
}

/** A target whose type knows its events. */
interface Target {
  addEventListener<K extends keyof Details>(name: K, handler: (event: Details[K]) => void): void;
  removeEventListener<K extends keyof Details>(name: K, handler: (event: Details[K]) => void): void;
}

interface Details {
  completed: { readonly type: 'completed'; readonly detail: Job };
  drained: { readonly type: 'drained' };
}

const task: Task = { owned: true, operatorName: 'SqlTask' };
const taskOf = (job: Job, duration: number): TaskInstance => ({ dagId: job.flow, taskId: job.id, mapIndex: -1, duration, task });
const misspelt = { owned: true, operatr: 'SqlTask' };
const success = 'task_instance.success';
const done = (job: Job, duration: number): HostReport => ({ event: success, payload: { taskInstance: taskOf(job, duration) } });

/** Reports this or that. */
const either = (job: Job) =>
  job.id === ''
    ? ({ event: 'dag_run.success', payload: { dagRun: { dagId: job.flow, dag: { tasks: [task] } } } } as const)
    : ({ event: 'task_instance.success', payload: { taskInstance: taskOf(job, 1) } } as const);

/** The arguments have the types that the host emits; literals need no annotation, whether sync or async. */
export function inferred(telemetry: Telemetry, queue: Queue, overloaded: Overloaded, mapping: Mapping, target: Target): void {
  const emitter = new EventEmitter<Events>();
  telemetry.register(emitter, {
    map: {
      completed: (job, duration) => ({ event: 'task_instance.success', payload: { taskInstance: taskOf(job, duration) } }),
      failed: async (job, error) => {
        if (job === undefined || error.message === '') return undefined;
        const { id: taskId, flow: dagId } = await Promise.resolve(job);
        return { event: 'task_instance.failed', payload: { taskInstance: { dagId, taskId, mapIndex: -1, task: { owned: true } } } };
      },
      drained: () => null,
    },
  });
  telemetry.register(queue, { map: { completed: (job, seconds) => done(job, seconds) } });
  telemetry.register(overloaded, { map: { completed: (job, seconds) => done(job, seconds), progress: (percent) => void (percent * 2) } });
  telemetry.register(mapping, { map: { completed: (job, seconds, previous) => (previous === '' ? null : done(job, seconds)) } });
  telemetry.register(mapping, { map: { active: (job, previous) => (previous === job.id ? null : undefined) } });
  telemetry.register(target, { map: { completed: ({ detail }) => done(detail, 0) } });
  telemetry.register(queue, { map: { completed: either, failed: (job) => (job ? either(job) : null) } });
  telemetry.register(queue, {
    map: {
      completed: (job) =>
        job.id === ''
          ? { event: 'dag_run.success', payload: { dagRun: { dagId: job.flow, dag: { tasks: [task] } } } }
          : { event: 'task_instance.success', payload: { taskInstance: { dagId: job.flow, taskId: job.id, mapIndex: -1, task } } },
    },
  });
}

/** What the host never emits, and what it does not emit so, does not compile. */
export function refused(telemetry: Telemetry, queue: Queue, overloaded: Overloaded, mapping: Mapping, target: Target): void {
  // @ts-expect-error a number has no such property
  telemetry.register(queue, { map: { completed: (_job, seconds) => void seconds.length } });
  // @ts-expect-error a string is no number
  telemetry.register(queue, { map: { completed: (job: Job, _seconds: string) => done(job, 1) } });
  // @ts-expect-error the job may be undefined
  telemetry.register(queue, { map: { failed: (job: Job) => done(job, 1) } });
  // @ts-expect-error misspelt, as the only name
  telemetry.register(queue, { map: { complete: () => undefined } });
  // @ts-expect-error misspelt, beside a right one
  telemetry.register(queue, { map: { completed: (job, seconds) => done(job, seconds), drain: () => undefined } });
  // @ts-expect-error a percentage is no job
  telemetry.register(overloaded, { map: { progress: (job: Job) => done(job, 1) } });
  // @ts-expect-error no overload has that name
  telemetry.register(overloaded, { map: { done: () => undefined } });
  // @ts-expect-error the second argument is a number
  telemetry.register(mapping, { map: { completed: (job: Job, _seconds: string) => done(job, 1) } });
  // @ts-expect-error `register` uses `on`, which has no such name; `addListener` would take any
  telemetry.register(mapping, { map: { complete: () => undefined } });
  // @ts-expect-error that event has no detail
  telemetry.register(target, { map: { drained: ({ detail }) => done(detail, 0) } });
  // @ts-expect-error no report
  telemetry.register(queue, { map: { completed: () => true } });
  // @ts-expect-error no report either
  telemetry.register(queue, { map: { completed: async () => ({ event: 'dag_run.done', payload: {} }) } });
  // @ts-expect-error the payload of a run
  telemetry.register(queue, { map: { completed: () => ({ event: success, payload: { dagRun: { dagId: '', dag: { tasks: [] } } } }) } });
}

/** A key that is not read does not compile, wherever it comes from, unless a function says that it returns `Mapped`. */
export function unknownKeys(telemetry: Telemetry, queue: Queue, untyped: EventEmitter): void {
  const ids = { dagId: 'nightly', taskId: 'extract', mapIndex: -1 };
  const dag = { tasks: [misspelt] };
  // @ts-expect-error in the report
  telemetry.register(queue, { map: { completed: (job) => ({ event: success, payload: { taskInstance: taskOf(job, 1) }, at: 1 }) } });
  // @ts-expect-error in the payload
  telemetry.register(queue, { map: { completed: (job) => ({ event: success, payload: { taskInstance: taskOf(job, 1), at: 1 } }) } });
  // @ts-expect-error in the task instance
  telemetry.register(queue, { map: { drained: () => ({ event: success, payload: { taskInstance: { ...ids, task, operatr: 1 } } }) } });
  // @ts-expect-error in the task, from a variable
  telemetry.register(queue, { map: { drained: () => ({ event: success, payload: { taskInstance: { ...ids, task: misspelt } } }) } });
  // @ts-expect-error in a list of tasks
  telemetry.register(queue, { map: { drained: () => ({ event: 'dag_run.failed', payload: { dagRun: { dagId: '', dag } } }) } });
  // @ts-expect-error in a promise
  telemetry.register(queue, { map: { drained: async () => ({ event: success, payload: { taskInstance: { ...ids, task: misspelt } } }) } });
  // @ts-expect-error of type `any`, at a host without types
  telemetry.register(untyped, { map: { done: (job) => ({ event: success, payload: { taskInstance: { ...ids, task, at: job.at } } }) } });
  // @ts-expect-error in a literal, `Mapped` or not
  const literal = (): Mapped => ({ event: success, payload: { taskInstance: { ...ids, task: { owned: true, operatr: 'SqlTask' } } } });
  telemetry.register(queue, { map: { drained: literal } });
  telemetry.register(queue, {
    map: { drained: (): Mapped => ({ event: success, payload: { taskInstance: { ...ids, task: misspelt } } }) },
  });
}

/** A host that says nothing of its events emits whatever a function takes. */
export function untypedHosts(telemetry: Telemetry, any: Emitter<Record<string, unknown>>, small: Emitter<{ done: Job; n: number }>): void {
  const untyped = new EventEmitter();
  telemetry.register(untyped, { map: { done: (job, seconds) => done(job, seconds), skipped: (job: Job) => done(job, 0) } });
  telemetry.register(any, { map: { done: (job) => done(job, 1), skipped: (job: Job) => done(job, 0) } });
  const map: HostMap = { done: (job, seconds) => done(job, seconds) };
  telemetry.register(untyped, { map });
  // Of mitt only the names are known: its handlers cannot be told apart.
  telemetry.register(small, { map: { done: (job: Job) => done(job, 0) } });
  // @ts-expect-error so an argument needs its type
  telemetry.register(small, { map: { done: (job) => done(job, 0) } });
  // @ts-expect-error and a name is checked
  telemetry.register(small, { map: { ended: (job: Job) => done(job, 0) } });
}
