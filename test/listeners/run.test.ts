import test from 'ava';
// Loaded before the tests, since a first import takes longer than some turns of the loop.
import '../../src/events/mistake-words.js';
import type { HostReport } from '../../src/listeners/map.js';
import { runListener } from '../../src/listeners/run.js';
import type { RunReport } from '../../src/listeners/run.js';
import { HostReader } from '../../src/listeners/host-reader.js';
import { hostileGetters, hostileValues } from '../../src/testing/hostile-values.js';
import { FakeProduct, settled } from '../helpers/product.js';
import { proves } from '../helpers/promises.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';
import { workflowProduct } from '../helpers/workflow-product.js';

const START_MS = Date.UTC(2026, 0, 1);

const RUN: RunReport = {
  runId: 'r1',
  status: 'failed',
  startedAt: new Date(START_MS),
  endedAt: new Date(START_MS + 9000),
  tasks: [
    { taskId: 'build', owned: true, operatorName: 'Build', status: 'cached', attempt: 1, duration: 0 },
    { taskId: 'test', owned: true, operatorName: 'Test', status: 'failed', attempt: 2, startedAt: START_MS, endedAt: START_MS + 1500 },
    { taskId: 'lint', owned: true, operatorName: 'Lint', status: 'skipped', mapIndex: 3 },
    { taskId: 'push', module: 'other', status: 'success' },
  ],
};

function taken(product: FakeProduct) {
  return product.taken.map(({ definition, metrics }) => [
    definition.type,
    metrics['status'],
    metrics['operator_name'],
    metrics['duration'],
    metrics['is_mapped_task'],
  ]);
}

test('a run with all its tasks is one event of the run, and one of each task of the product', (t) => {
  const product = workflowProduct();
  product.registry.reportRun(RUN);
  t.deepEqual(taken(product), [
    ['dag_run', 'failed', undefined, 9, undefined],
    ['task_instance', 'cached', 'Build', 0, false],
    ['task_instance', 'failed', 'Test', 1.5, false],
    ['task_instance', 'skipped', 'Lint', undefined, true],
  ]);
  t.like(product.taken[0]?.metrics, { task_count: 4, acme_task_count: 3 });
  t.is(product.stats().fieldsDropped, 0);
});

test('the run has the counts of its tasks', (t) => {
  const product = workflowProduct();
  const reports: HostReport['payload'][] = [];
  const keep = (payload: unknown) => void reports.push(payload as HostReport['payload']);
  const listeners = { 'dag_run.success': keep, 'dag_run.failed': keep, 'task_instance.success': keep, 'task_instance.failed': keep };
  const refuse = () => t.fail();
  runListener(listeners, { reader: new HostReader(product.ledger), refuse, sends: () => true })(RUN);
  t.like(reports[0], { dagRun: { failedCount: 1, retriedCount: 1, skippedCount: 1, runId: 'r1' } });
  t.like(reports[2], { taskInstance: { taskId: 'test', runId: 'r1', attempt: 2, mapIndex: -1 } });
});

test('a run that is reported again counts once, with its tasks', (t) => {
  const product = workflowProduct();
  product.registry.reportRun(RUN);
  product.registry.reportRun(RUN);
  t.is(product.taken.length, 4);
  t.like(product.stats(), { published: 8, pending: 4, dropped: 4, reasons: { duplicate: 4 } });
});

test('a run that another attempt follows is not reported, as with a payload; its tasks are', (t) => {
  const product = workflowProduct();
  const payload = { status: 'failed', willRetry: true, dag: { tasks: RUN.tasks } };
  product.listeners['dag_run.failed']({ dagRun: payload });
  t.is(product.taken.length, 0);
  product.registry.reportRun({ ...RUN, willRetry: true });
  t.deepEqual(taken(product), [
    ['task_instance', 'cached', 'Build', 0, false],
    ['task_instance', 'failed', 'Test', 1.5, false],
    ['task_instance', 'skipped', 'Lint', undefined, true],
  ]);
  product.registry.reportRun({ ...RUN, willRetry: false, tasks: [{ owned: true, status: 'success' }] });
  t.like(product.taken[3], { definition: { type: 'dag_run' } }, 'its last attempt is no duplicate');
  for (const willRetry of [null, 1, 'true'] as never[]) product.registry.reportRun({ ...RUN, runId: null, willRetry });
  t.is(product.taken.filter(({ definition }) => definition.type === 'dag_run').length, 4, 'nothing but `true` says so');
});

test('tasks without an id are no duplicates of each other', (t) => {
  const product = workflowProduct();
  const own = { owned: true, status: 'success' } as const;
  product.registry.reportRun({ runId: 'r2', status: 'success', tasks: [own, { ...own }] });
  t.is(product.taken.length, 3);
});

test('a run without a task of the product is not reported, and is not counted', (t) => {
  const product = workflowProduct();
  product.registry.reportRun({ status: 'success', tasks: [{ module: 'other', status: 'success' }] });
  t.is(product.stats().published, 0);
});

test('cosmos reports success and failure alone', (t) => {
  const product = new FakeProduct();
  const own = { module: 'cosmos.operators.local' };
  const tasks = (['success', 'failed', 'skipped', 'cached', 'cancelled', 'timed_out'] as const).map((status) => ({ ...own, status }));
  for (const status of ['success', 'cancelled'] as const) product.registry.reportRun({ runId: 'r1', status, tasks });
  t.deepEqual(
    product.taken.map(({ definition, metrics }) => [definition.type, metrics['status']]),
    [
      ['dag_run', 'success'],
      ['task_instance', 'success'],
      ['task_instance', 'failed'],
      ['task_instance', 'success'],
      ['task_instance', 'failed'],
    ],
  );
});

const BAD: Readonly<Record<string, () => unknown>> = {
  nothing: () => undefined,
  'a text': () => 'run',
  'no tasks': () => ({ status: 'success' }),
  'tasks that are no list': () => ({ status: 'success', tasks: {} }),
  'four billion tasks': () => ({ status: 'success', tasks: Object.assign([], { length: 2 ** 32 - 1 }) }),
  'no status': () => ({ tasks: [] }),
  'an unknown status': () => ({ status: 'done', tasks: [] }),
  'tasks that throw': () => ({
    status: 'success',
    get tasks() {
      return JSON.parse('{') as unknown;
    },
  }),
  'a revoked proxy': () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
};

for (const [name, bad] of Object.entries(BAD)) {
  test(`a report with ${name} is invalid and does not throw`, (t) => {
    const product = workflowProduct();
    t.notThrows(() => product.registry.reportRun(bad() as RunReport));
    t.like(product.stats(), { published: 1, dropped: 1, reasons: { invalid: 1 } });
  });
}

test('a task that cannot be used costs itself only', (t) => {
  const product = workflowProduct();
  const own = { owned: true, status: 'success' } as const;
  const bad = Object.defineProperty({ ...own }, 'duration', { get: () => JSON.parse('{') as unknown });
  const tasks = [null, 7, { ...own, status: 'done' }, bad, own];
  product.registry.reportRun({ status: 'success', tasks: tasks as never });
  t.deepEqual(
    product.taken.map(({ definition }) => definition.type),
    ['dag_run', 'task_instance', 'task_instance'],
  );
  t.like(product.stats(), { published: 4, dropped: 1, reasons: { invalid: 1 } });
});

test('reportRun() is a method of the client', (t) => {
  const rig = telemetryRig();
  rig.telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'failed' }] });
  t.is(rig.telemetry.stats().published, 2);
  const out = telemetryRig({ env: { DO_NOT_TRACK: '1' } });
  out.telemetry.reportRun(new Proxy({}, { get: () => t.fail() }) as RunReport);
  t.is(out.telemetry.stats().published, 0);
});

const RUN_FIELDS = ['runId', 'dagId', 'dagHash', 'status', 'startedAt', 'endedAt', 'duration', 'tasks'];
const TASK_FIELDS = ['taskId', 'module', 'owned', 'operatorName', 'status', 'attempt', 'mapIndex', 'startedAt', 'endedAt', 'duration'];

function rejects(): Promise<never> {
  return Promise.reject(new Error('hunter2'));
}

test.serial(proves('hook-payload', 'whatever a report contains, nothing is thrown, and the next run is reported'), async (t) => {
  const product = workflowProduct();
  const report = (run: object) => {
    t.notThrows(() => product.registry.reportRun(run as RunReport));
  };
  const unhandled = await unhandledRejections(async () => {
    for (const { make } of hostileValues()) {
      report(make() as object);
      for (const field of RUN_FIELDS) report({ ...RUN, runId: null, [field]: make() });
      for (const field of TASK_FIELDS) report({ ...RUN, runId: null, tasks: [{ ...RUN.tasks[0], [field]: make() }] });
    }
    for (const { makeGetter } of [...hostileGetters(), { makeGetter: () => rejects }]) {
      for (const field of RUN_FIELDS) report(Object.defineProperty({ ...RUN }, field, { get: makeGetter(RUN.tasks) }));
      for (const field of TASK_FIELDS) {
        report({ ...RUN, tasks: [Object.defineProperty({ ...RUN.tasks[0] }, field, { get: makeGetter('build') })] });
      }
    }
    await settled();
  });
  t.deepEqual(unhandled, []);
  t.true(addsUp(product.stats()));
  t.true(product.stats().pending > 1000);
  const before = product.taken.length;
  product.registry.reportRun({ ...RUN, runId: 'the next one' });
  t.is(product.taken.length, before + 4);
});

test('a task without a known status is said, as well as counted', async (t) => {
  const lines: string[] = [];
  const rig = telemetryRig({ logger: { debug: () => undefined, warn: (line) => lines.push(line) } });
  const tasks = [{ taskId: 'a', owned: true, status: 'done' as never }];
  rig.telemetry.reportRun({ status: 'success', tasks });
  await rig.clock.advance(0);
  t.deepEqual(lines, [
    '[telemetry] payload_incomplete: a run given to reportRun(): a task has no known `status`, so nothing is sent for it',
  ]);
  t.like(rig.telemetry.stats(), { published: 2, dropped: 1, reasons: { invalid: 1 } });
});
