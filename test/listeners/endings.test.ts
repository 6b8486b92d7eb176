import test from 'ava';
import { oneOf } from '../../src/events/fields.js';
import { productEvents } from '../../src/events/product-events.js';
import type { DagRun, TaskInstance } from '../../src/listeners/host.js';
import { FakeProduct } from '../helpers/product.js';
import { proves } from '../helpers/promises.js';
import { workflowProduct } from '../helpers/workflow-product.js';

const NOTE = { description: 'For a test.', reason: 'For a test.' };
const START_MS = Date.UTC(2026, 0, 1);

function task(about: Partial<TaskInstance> & Record<string, unknown> = {}) {
  const own = { module: 'acme.operators.local' };
  return { taskInstance: { dagId: 'nightly', taskId: 'load', mapIndex: -1, task: own, ...about } };
}

function run(about: Partial<DagRun> & Record<string, unknown> = {}) {
  return { dagRun: { dagId: 'nightly', dag: { tasks: [{ module: 'acme.operators.local' }] }, ...about } };
}

function statuses(product: FakeProduct) {
  return product.taken.map(({ definition, metrics }) => `${definition.type} ${String(metrics['status'])}`);
}

test('an outcome of the payload counts more than the name of the event', (t) => {
  const product = workflowProduct();
  for (const status of ['skipped', 'cancelled', 'timed_out', 'cached', 'success', undefined, null] as const) {
    product.listeners['task_instance.failed'](task({ status }));
  }
  product.listeners['dag_run.success'](run({ status: 'cancelled' }));
  t.deepEqual(statuses(product), [
    'task_instance skipped',
    'task_instance cancelled',
    'task_instance timed_out',
    'task_instance cached',
    'task_instance success',
    'task_instance failed',
    'task_instance failed',
    'dag_run cancelled',
  ]);
  t.is(product.stats().fieldsDropped, 0);
});

test('an outcome that is no word of ours is counted, and the name of the event decides', (t) => {
  const product = workflowProduct();
  for (const status of ['running', 7, {}]) product.listeners['task_instance.success'](task({ status: status as never }));
  t.deepEqual(statuses(product), ['task_instance success', 'task_instance success', 'task_instance success']);
  t.is(product.stats().fieldsDropped, 3);
});

test('an outcome that the product does not declare is not reported', (t) => {
  const definitions = new Map(productEvents('acme', 'airflow', []));
  definitions.set('task_instance', { type: 'task_instance', description: 'x', fields: { status: oneOf(['success', 'failed'], NOTE) } });
  const product = new FakeProduct({ product: 'acme', definitions });
  product.listeners['task_instance.failed'](task({ status: 'skipped' }));
  product.listeners['task_instance.failed'](task({ status: 'failed' }));
  t.deepEqual(statuses(product), ['task_instance failed']);
});

const TIMES: readonly [name: string, about: Partial<TaskInstance>, seconds: unknown, dropped: number][] = [
  ['two dates', { startedAt: new Date(START_MS), endedAt: new Date(START_MS + 2500) }, 2.5, 0],
  ['two numbers of milliseconds', { startedAt: START_MS, endedAt: START_MS + 250 }, 0.25, 0],
  ['a duration beside times', { duration: 7, startedAt: START_MS, endedAt: START_MS + 250 }, 7, 0],
  ['a start alone', { startedAt: START_MS }, undefined, 0],
  ['an end alone', { endedAt: START_MS, startedAt: null }, undefined, 0],
  ['an end before the start', { startedAt: START_MS, endedAt: START_MS - 1 }, undefined, 1],
  ['a date that is none', { startedAt: new Date(NaN), endedAt: START_MS }, undefined, 1],
  ['a text', { startedAt: '2026-01-01' as never, endedAt: START_MS }, undefined, 1],
];

for (const [name, about, seconds, dropped] of TIMES) {
  test(`the duration of ${name}`, (t) => {
    const product = workflowProduct();
    product.listeners['task_instance.success'](task(about));
    product.listeners['dag_run.success'](run(about));
    t.deepEqual(
      product.taken.map(({ metrics }) => metrics['duration']),
      [seconds, seconds],
    );
    t.is(product.stats().fieldsDropped, 2 * dropped);
  });
}

test('a run that is tried again has not ended; each attempt of a task has', (t) => {
  const product = workflowProduct();
  product.listeners['dag_run.failed'](run({ willRetry: true }));
  product.listeners['task_instance.failed'](task({ willRetry: true }));
  product.listeners['dag_run.failed'](run({ willRetry: false }));
  t.deepEqual(statuses(product), ['task_instance failed', 'dag_run failed']);
  t.is(product.stats().dropped, 0);
});

test(proves('duplicate-once', 'what is reported twice counts once'), (t) => {
  const product = workflowProduct();
  for (let time = 0; time < 3; time += 1) {
    product.listeners['dag_run.success'](run({ runId: 'r1' }));
    product.listeners['task_instance.success'](task({ runId: 'r1', attempt: 2 }));
  }
  t.deepEqual(statuses(product), ['dag_run success', 'task_instance success']);
  t.like(product.stats(), { published: 6, pending: 2, dropped: 4, reasons: { duplicate: 4 } });
});

const DIFFERENT: readonly Partial<TaskInstance>[] = [
  { runId: 'r1', attempt: 1 },
  { runId: 'r2', attempt: 1 },
  { runId: 'r1', attempt: 2 },
  { runId: 'r1' },
  { runId: 'r1', attempt: 1, mapIndex: 0 },
  { runId: 'r1', attempt: 1, taskId: 'other' },
  { runId: 'r1', attempt: 1, status: 'failed' },
  { runId: 1, attempt: 1 },
  { runId: '1', attempt: 1 },
  // The parts of a key are told apart whatever they contain.
  { runId: 'r1" "load', taskId: 'x', attempt: 1 },
  { runId: 'r1', taskId: 'load" "x', attempt: 1 },
];

test(proves('duplicate-once', 'what differs in run, task, index, attempt or outcome counts'), (t) => {
  const product = workflowProduct();
  for (const about of DIFFERENT) product.listeners['task_instance.success'](task(about));
  product.listeners['dag_run.success'](run({ runId: 'r1', attempt: 1 }));
  product.listeners['dag_run.success'](run({ runId: 'r1', attempt: 2 }));
  t.is(product.taken.length, DIFFERENT.length + 2);
  t.is(product.stats().dropped, 0);
});

test(proves('duplicate-once', 'without ids, or with texts that are none, nothing counts as a duplicate'), (t) => {
  const product = workflowProduct();
  for (const runId of [undefined, null, '', 'x'.repeat(257), {}, 'r1']) {
    for (let time = 0; time < 2; time += 1) product.listeners['task_instance.success'](task({ runId: runId as string, taskId: '' }));
    if (runId === 'r1') continue;
    for (let time = 0; time < 2; time += 1) product.listeners['dag_run.success'](run({ runId: runId as string }));
  }
  t.is(product.taken.length, 22);
  t.is(product.stats().dropped, 0);
});

test(proves('duplicate-once', 'at least the last 10,000 ends are known, and memory is bounded'), (t) => {
  const product = workflowProduct();
  const report = (index: number) => product.listeners['task_instance.success'](task({ runId: index }));
  for (let index = 0; index < 30_001; index += 1) report(index);
  t.is(product.taken.length, 30_001);
  for (let index = 20_001; index < 30_001; index += 1) report(index);
  t.is(product.taken.length, 30_001);
  report(0);
  t.is(product.taken.length, 30_002);
});

test(proves('duplicate-once', 'cosmos reports what Cosmos does, whatever else its host says'), (t) => {
  const product = new FakeProduct();
  const more = { runId: 'r1', status: 'skipped', willRetry: true, startedAt: 0, endedAt: 1000, attempt: 3 } as const;
  const own = { module: 'cosmos.operators.local' };
  const urlOf = (about: object) => {
    product.listeners['task_instance.failed'](task({ ...about, task: own }));
    const first = product.built()?.requestTarget();
    product.listeners['dag_run.failed'](run({ ...about, dag: { tasks: [own] } }));
    return [first, product.built()?.requestTarget()];
  };
  const without = urlOf({});
  t.deepEqual(urlOf(more), without);
  t.deepEqual(urlOf(more), without);
  product.listeners['task_instance.failed'](task({ task: { module: 'other', owned: true } }));
  t.is(product.taken.length, 6);
  t.is(product.stats().published, 6);
});

test('facts that cannot be read cost themselves only', (t) => {
  const product = workflowProduct();
  const bad = { get: () => JSON.parse('{') as unknown, enumerable: true };
  const instance = Object.defineProperties(task().taskInstance, { runId: bad, status: bad, startedAt: bad, attempt: bad, willRetry: bad });
  product.listeners['task_instance.success']({ taskInstance: instance });
  t.deepEqual(statuses(product), ['task_instance success']);
  t.true(product.stats().fieldsDropped > 0);
});
