import test from 'ava';
import { createTelemetry, defineEvent, count } from '../../src/index.js';
import type { TelemetryOptions } from '../../src/index.js';
import { standardEvents } from '../../src/events/product-events.js';
import { recordingTransport } from '../../src/testing/index.js';
import { FakeProduct } from '../helpers/product.js';
import { proves } from '../helpers/promises.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };

function fieldsOf(product: string, choices: Parameters<typeof standardEvents>[1] = {}) {
  return Object.fromEntries(
    standardEvents(product, choices).map(({ type, fields, metadata }) => [type, [Object.keys(fields), metadata !== undefined]]),
  );
}

const RUN = ['status', 'task_count', 'acme_task_count', 'failed_count', 'retried_count', 'skipped_count', 'duration'];
const TASK = ['status', 'operator_name', 'attempt', 'duration', 'is_mapped_task', 'has_callback'];

test('the standard events of a product are workflow facts, of which nothing is about dbt', (t) => {
  t.deepEqual(fieldsOf('acme'), { dag_run: [RUN, false], task_instance: [TASK, false] });
  t.notRegex(JSON.stringify(standardEvents('acme')), /dbt|profile|database/i);
});

test('`dbt: true` adds the fields about dbt, the metadata and dbt_docs_access', (t) => {
  const { dag_run: run, task_instance: task, dbt_docs_access: docs } = fieldsOf('acme', { dbt: true });
  t.deepEqual(run, [RUN, true]);
  const added = ['is_acme_operator_subclass', 'invocation_mode', 'profile_strategy', 'profile_mapping_class', 'database', 'dbt_command'];
  t.deepEqual(task, [[...TASK, ...added, 'install_deps'], false]);
  t.deepEqual(docs, [['storage_type', 'docs_dir_configured', 'uses_custom_conn', 'has_custom_name'], false]);
});

test('`dagHash` declares dag_hash, and `executionModes` the execution modes', (t) => {
  const { dag_run: run, task_instance: task } = fieldsOf('acme', { dagHash: () => null, executionModes: ['local'] });
  t.deepEqual(run, [['dag_hash', ...RUN, 'execution_modes'], false]);
  t.deepEqual(task, [[...TASK, 'execution_mode'], false]);
});

test('`standardEvents` leaves out what is not listed', (t) => {
  t.deepEqual(Object.keys(fieldsOf('acme', { standardEvents: false, dbt: true })), []);
  t.deepEqual(Object.keys(fieldsOf('acme', { standardEvents: [] })), []);
  t.deepEqual(Object.keys(fieldsOf('acme', { standardEvents: ['task_instance'] })), ['task_instance']);
  t.deepEqual(Object.keys(fieldsOf('cosmos', { standardEvents: ['dag_run'] })), ['dag_run']);
});

const MODULES = ['acme.plugins.acquisition_of_initech', 'acme.operators.acquisition_of_initech.spark', 'acme.operators.local'];

function report(product: FakeProduct): string[] {
  const tasks = MODULES.map((module) => ({ module }));
  product.listeners['dag_run.success']({ dagRun: { dagId: 'd', dag: { tasks } } });
  for (const task of tasks) product.listeners['task_instance.success']({ taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task } });
  return product.taken.map(({ metrics }) => JSON.stringify(metrics));
}

test(proves('module-words', 'no part of the name of a module leaves that the program did not declare as a word'), (t) => {
  for (const dbt of [true, false]) {
    const bare = report(new FakeProduct({ product: 'acme', choices: { dbt } }));
    t.is(bare.length, 4);
    t.notRegex(bare.join(), /initech|plugins|local|execution/);
    const product = new FakeProduct({ product: 'acme', choices: { dbt, executionModes: ['local', 'container'] } });
    t.notRegex(report(product).join(), /initech|plugins/);
    t.deepEqual(
      product.taken.map(({ metrics }) => metrics['execution_modes'] ?? metrics['execution_mode']),
      ['local', null, null, 'local'],
    );
    t.like(product.stats(), { fieldsDropped: 0 });
  }
});

test('a set of words accepts each declared word once, and nothing else', (t) => {
  const { fields } = standardEvents('acme', { executionModes: ['local', 'aws_eks'] })[0] ?? {};
  const modes = fields?.['execution_modes'];
  for (const value of ['', 'local', 'aws_eks__local']) t.true(modes?.accepts(value), value);
  for (const value of ['initech', 'local__initech', 'local__local', '__', 'local__', null, 7])
    t.false(modes?.accepts(value), String(value));
});

test('the facts of a run and of a task are sent, if the host knows them', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  const task = { module: 'acme.jobs', operatorName: 'Job', callback: () => undefined };
  const facts = { failedCount: 1, retriedCount: 2, skippedCount: 0, duration: 60 };
  product.listeners['dag_run.failed']({ dagRun: { dagId: 'd', ...facts, dag: { tasks: [task] } } });
  t.is(
    product.built()?.requestTarget(),
    '/v3/dag_run?status=failed&task_count=1&acme_task_count=1&failed_count=1&retried_count=2&skipped_count=0&duration=60.0',
  );
  product.listeners['dag_run.success']({ dagRun: { dagId: 'd', failedCount: null, dag: { tasks: [task] } } });
  t.is(product.built()?.requestTarget(), '/v3/dag_run?status=success&task_count=1&acme_task_count=1');
  product.listeners['task_instance.success']({ taskInstance: { dagId: 'd', taskId: 't', mapIndex: 0, attempt: 3, duration: 2, task } });
  t.is(
    product.built()?.requestTarget(),
    '/v3/task_instance?status=success&operator_name=Job&attempt=3&duration=2.0&is_mapped_task=True&has_callback=True',
  );
  t.like(product.stats(), { fieldsDropped: 0 });
});

test('cosmos does not read what it does not send', (t) => {
  const product = new FakeProduct();
  const task = { module: 'cosmos.operators.local' };
  const hidden = (name: string) => ({ get: () => t.fail(name), enumerable: true });
  const dagRun = Object.defineProperties(
    { dagId: 'd', dag: { tasks: [task] } },
    { duration: hidden('duration'), failedCount: hidden('count') },
  );
  product.listeners['dag_run.success']({ dagRun });
  const taskInstance = Object.defineProperty({ dagId: 'd', taskId: 't', mapIndex: -1, task }, 'attempt', hidden('attempt'));
  product.listeners['task_instance.success']({ taskInstance });
  t.is(product.taken.length, 2);
});

test('without dbt, nothing of a task that is about dbt is read, and no metadata of a DAG', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  const hidden = { get: () => t.fail(), enumerable: true };
  const task = { module: 'acme.jobs' };
  Object.defineProperties(task, { invocationMode: hidden, profileConfig: hidden, baseCmd: hidden, installDeps: hidden });
  product.listeners['task_instance.success']({ taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task } });
  product.listeners['dag_run.success']({ dagRun: { dagId: 'd', dag: Object.defineProperty({ tasks: [task] }, 'params', hidden) } });
  t.is(product.taken.length, 2);
});

test('an event that is left out does not exist: not in the types, on the bus or at the hooks', async (t) => {
  const transport = recordingTransport();
  const telemetry = createTelemetry({
    product: { name: 'acme', version: '1.0.0' },
    standardEvents: ['dag_run'],
    events: [defineEvent('own', { n: count(NOTE) })],
    transport,
    env: {},
  });
  // @ts-expect-error left out
  t.false(telemetry.publish('task_instance', { status: 'success', is_mapped_task: false, has_callback: false }));
  // @ts-expect-error left out
  t.throws(() => telemetry.bus.on('task_instance', () => undefined), { message: /declared event type/ });
  // @ts-expect-error only with `dbt: true`
  t.false(telemetry.publish('dbt_docs_access', {}));
  // @ts-expect-error only with `executionModes`
  telemetry.publish('dag_run', { status: 'cached', task_count: 1, acme_task_count: 1, execution_modes: 'local' });
  telemetry.publish('own', { n: 1 });
  const { published, fieldsDropped, reasons } = await telemetry.close();
  t.deepEqual([published, fieldsDropped, reasons], [4, 1, { invalid: 2 }]);
  t.regex(transport.events[0]?.requestTarget ?? '', /&status=cached&task_count=1&acme_task_count=1$/);

  const none = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, standardEvents: false, transport, env: {} });
  // @ts-expect-error there are no events at all
  t.false(none.publish('dag_run', { status: 'success', task_count: 1, acme_task_count: 1 }));
  const product = new FakeProduct({ product: 'acme', choices: { standardEvents: ['task_instance'] } });
  t.is(product.listeners['dag_run.success'](undefined), undefined, 'nothing is read, so nothing is invalid');
  t.is(report(product).length, 3);
  t.like(product.stats(), { dropped: 0, published: 3 });
});

const REFUSED: [options: object, message: string][] = [
  [{ dbt: 'yes' }, 'Expected `dbt` to be one of true, false, got "yes".'],
  [{ standardEvents: true }, 'Expected `standardEvents` to be false or a list of event types, got true.'],
  [
    { standardEvents: ['dag_run', 'flow_run'] },
    'Expected `standardEvents[1]` to be one of "dag_run", "task_instance", "dbt_docs_access", got "flow_run".',
  ],
  [
    { standardEvents: ['dbt_docs_access'] },
    'Expected `standardEvents[0]` to be an event of the product, got "dbt_docs_access" without `dbt: true`.',
  ],
  [{ executionModes: 'local' }, 'Expected `executionModes` to be a list of words, got "local".'],
  ...['a b', 'a__b', '_a', '', 7].map((word): [object, string] => [
    { executionModes: [word] },
    `Expected \`executionModes[0]\` to be a word of letters, digits, - and single _, got ${JSON.stringify(word)}.`,
  ]),
  [
    { executionModes: ['x'.repeat(200), 'y'.repeat(60)] },
    'Expected `executionModes` to have at most 256 characters, joined by __, got 262.',
  ],
  [{ product: { name: 'cosmos', version: '1' }, dbt: false }, 'Expected `dbt` to be left out for product cosmos, got false.'],
  [
    { product: { name: 'cosmos', version: '1' }, executionModes: [] },
    'Expected `executionModes` to be left out for product cosmos, got an array.',
  ],
  [{ product: { name: 'cosmos', version: '1' }, common: {} }, 'Expected `common` to be left out for product cosmos, got an object.'],
];

for (const [options, message] of REFUSED) {
  test(`a wrong choice throws at construction: ${JSON.stringify(options).slice(0, 80)}`, (t) => {
    const all = { product: { name: 'acme', version: '1.0.0' }, transport: recordingTransport(), env: {}, ...options };
    t.throws(() => createTelemetry(all as TelemetryOptions), { instanceOf: TypeError, message });
  });
}
