import { inflateSync } from 'node:zlib';

import test from 'ava';

import { hostilePayloads } from '../../src/testing/index.js';
import type { HostEventName } from '../../src/testing/index.js';

const EVENTS: readonly HostEventName[] = ['dag_run.success', 'dag_run.failed', 'task_instance.success', 'task_instance.failed'];
const PARAM = '__cosmos_telemetry_metadata__';

/** Reads a path like a listener. An error is returned in a list. */
function read(payload: unknown, path: string): unknown {
  let value = payload;
  try {
    for (const key of path.split('.')) value = (value as Record<string, unknown>)[key];
  } catch (error) {
    return [error];
  }
  return value;
}

function make(name: string, event: HostEventName, product = 'cosmos'): unknown {
  const payload = hostilePayloads({ product }).find((candidate) => candidate.name === name);
  if (payload === undefined) throw new Error(`No payload is called ${name}.`);
  return payload.make(event);
}

function packed(name: string): string {
  return read(make(name, 'dag_run.success'), `dagRun.dag.params.${PARAM}`) as string;
}

function tasks(name: string): unknown[] {
  return read(make(`tasks: ${name}`, 'dag_run.success'), 'dagRun.dag.tasks') as unknown[];
}

test('names are unique, events are known, and each payload can be made for each event', (t) => {
  const payloads = hostilePayloads();
  t.true(payloads.length > 1500);
  t.is(new Set(payloads.map(({ name }) => name)).size, payloads.length);
  for (const payload of payloads) {
    t.true(payload.events.length > 0 && payload.events.every((event) => EVENTS.includes(event)), payload.name);
    // A test below makes the biggest.
    if (!payload.name.includes('100,000')) for (const event of EVENTS) t.notThrows(() => payload.make(event), payload.name);
  }
});

test('the valid payloads are those of a host without faults', (t) => {
  for (const name of [
    'valid',
    'valid: deeply frozen',
    'valid: without prototypes',
    'valid: accessors of a class',
    'valid: fields nobody asked for',
  ]) {
    const run = make(name, 'dag_run.success');
    t.is(read(run, 'dagRun.dagId'), 'jaffle_shop', name);
    t.is(read(run, 'dagRun.dag.tasks.length'), 2, name);
    t.is(read(run, 'dagRun.dag.tasks.1.module'), 'cosmos.operators.local', name);
    const metadata = Buffer.from(read(run, `dagRun.dag.params.${PARAM}`) as string, 'base64');
    t.deepEqual(JSON.parse(inflateSync(metadata).toString()), {
      used_automatic_load_mode: true,
      invocation_mode: 'subprocess',
      install_deps: true,
      total_dbt_models: 7,
      selected_dbt_models: 5,
      database: 'postgres',
    });
    const task = make(name, 'task_instance.failed');
    t.is(read(task, 'taskInstance.duration'), 1.25, name);
    t.is(read(task, 'taskInstance.task.isDbtOperator'), true, name);
    t.is((read(task, 'taskInstance.task.profileConfig.getProfileType') as () => unknown)(), 'postgres', name);
    t.true(read(task, 'error') instanceof Error, name);
  }
  t.true(Object.isFrozen(read(make('valid: deeply frozen', 'dag_run.success'), 'dagRun.dag')));
  t.deepEqual(Object.keys(make('valid: accessors of a class', 'dag_run.success') as object), []);
  t.is(Object.getPrototypeOf(read(make('valid: without prototypes', 'dag_run.success'), 'dagRun.dag')), null);
});

test('they can belong to another product', (t) => {
  const run = make('valid', 'dag_run.success', 'acme');
  t.is(read(run, 'dagRun.dag.tasks.0.module'), 'acme.operators.local');
  t.is(typeof read(run, 'dagRun.dag.params.__acme_telemetry_metadata__'), 'string');
  t.is(read(make('metadata: empty string', 'dag_run.success', 'acme'), 'dagRun.dag.params.__acme_telemetry_metadata__'), '');
});

test('the fault is in the field of its name only', (t) => {
  const missing = make('dagRun.dag.tasks: missing', 'dag_run.failed');
  t.false('tasks' in (read(missing, 'dagRun.dag') as object));
  t.is(read(missing, 'dagRun.dagId'), 'jaffle_shop');
  t.is(read(make('taskInstance.task.profileConfig: null', 'task_instance.success'), 'taskInstance.task.profileConfig'), null);
  t.is(typeof read(make('dagRun.dagId: symbol', 'dag_run.success'), 'dagRun.dagId'), 'symbol');
  t.is((read(make('dagRun.dagId: huge string', 'dag_run.success'), 'dagRun.dagId') as string).length, 1024 * 1024);
  t.true(Number.isNaN(read(make('taskInstance.duration: NaN', 'task_instance.success'), 'taskInstance.duration')));
  t.is((read(make('dagRun.dag.tasks: array of holes', 'dag_run.success'), 'dagRun.dag.tasks') as unknown[]).length, 1_000_000);
  t.is(make('payload: undefined', 'dag_run.success'), undefined);
});

test('a getter or a proxy fails when it is read', (t) => {
  const throwing = read(make('dagRun.dag: getter throws', 'dag_run.success'), 'dagRun.dag.tasks') as [Error];
  t.is(throwing[0].message, 'hostile');
  t.deepEqual(read(make('dagRun.dag: getter throws undefined', 'dag_run.success'), 'dagRun.dag.tasks'), [undefined]);
  const fickle = make('taskInstance.taskId: getter changes its mind', 'task_instance.success');
  t.is(read(fickle, 'taskInstance.taskId'), 'stg_customers_run');
  t.is(typeof read(fickle, 'taskInstance.taskId'), 'symbol');
  t.true(read(make('dagRun: getter gives a promise', 'dag_run.success'), 'dagRun') instanceof Promise);

  const proxy = make('payload: proxy that throws', 'dag_run.success') as object;
  t.throws(() => Object.keys(proxy), { message: 'hostile' });
  t.throws(() => 'dagRun' in proxy, { message: 'hostile' });
  t.throws(() => Object.getPrototypeOf(proxy) as unknown, { message: 'hostile' });
  t.throws(() => Array.isArray(make('payload: revoked array proxy', 'dag_run.success')), { instanceOf: TypeError });
  const text = read(make('dagRun.dagId: toString that throws', 'dag_run.success'), 'dagRun.dagId');
  t.throws(() => String(text), { message: 'hostile' });
  const path = 'taskInstance.task.profileConfig.getProfileType';
  const overflow = read(make('getProfileType: overflows the stack', 'task_instance.success'), path) as () => unknown;
  t.throws(overflow, { instanceOf: RangeError });
});

test('an event of the other family gets a payload of the wrong family', (t) => {
  t.is(read(make('dagRun.dagId: symbol', 'task_instance.success'), 'taskInstance'), undefined);
  t.is(typeof read(make('dagRun.dagId: symbol', 'task_instance.success'), 'dagRun'), 'object');
});

test('each payload is new: a change to one does not affect the next', (t) => {
  const first = read(make('valid', 'dag_run.success'), 'dagRun') as { dagId: string };
  first.dagId = 'changed';
  t.is(read(make('valid', 'dag_run.success'), 'dagRun.dagId'), 'jaffle_shop');
});

test('zip bombs are small and valid', (t) => {
  const small = packed('metadata: bomb of 10 MiB in 14 KB');
  t.true(small.length < 16 * 1024, 'small enough that a reader unpacks it');
  const unpacked = inflateSync(Buffer.from(small, 'base64'));
  t.is(unpacked.length, 10 * 1024 * 1024, 'a valid stream with its checksum');
  t.true(unpacked.every((byte) => byte === 0));

  const big = packed('metadata: bomb of 500 MiB');
  t.true(big.length < 750_000);
  t.throws(() => inflateSync(Buffer.from(big, 'base64'), { maxOutputLength: 50 * 1024 * 1024 }), { code: 'ERR_BUFFER_TOO_LARGE' });
  t.throws(() => inflateSync(Buffer.from(packed('metadata: cut off'), 'base64')), { code: 'Z_BUF_ERROR' });
  t.throws(() => inflateSync(Buffer.from(packed('metadata: wrong checksum'), 'base64')), { message: 'incorrect data check' });
});

test('lists of tasks have the length of their name', (t) => {
  t.is(tasks('100,000 of them').length, 100_000);
  t.is(tasks('four billion holes').length, 4_294_967_295);
  const modes = tasks('100,000 execution modes') as { module: string }[];
  t.is(modes[99_999]?.module, 'cosmos.operators.mode99999');
  t.is(tasks('nulls among them')[0], null);
  t.false(0 in tasks('holes among them'));
  t.throws(() => [...tasks('an iterator that throws')], { message: 'hostile' });
});
