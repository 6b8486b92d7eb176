import test from 'ava';
import type { Task } from '../../src/listeners/host.js';
import { FakeProduct } from '../helpers/product.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';

function task(own: Task) {
  return { taskInstance: { dagId: 'nightly', taskId: 'load', mapIndex: -1, task: own } };
}

function run(...tasks: Task[]) {
  return { dagRun: { dagId: 'nightly', dag: { tasks } } };
}

test('a task that says `owned: true` is reported, and counts for its run', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  product.listeners['task_instance.success'](task({ operatorName: 'SqlTask', owned: true }));
  t.like(product.lastMetrics(), { operator_name: 'SqlTask', is_mapped_task: false });
  product.listeners['dag_run.success'](run({ owned: true }, { owned: false }, { module: 'acme.operators.local' }));
  t.like(product.lastMetrics(), { task_count: 3, acme_task_count: 2 });
});

test('nothing but `true` owns a task', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  for (const owned of [1, 'true', {}, null, undefined, Promise.resolve(true)]) {
    product.listeners['task_instance.success'](task({ owned: owned as true }));
  }
  t.is(product.taken.length, 0);
});

function owns({ operatorName }: Task): boolean {
  return operatorName?.startsWith('Acme') === true;
}

test('a predicate of the program says which tasks are its own', (t) => {
  for (const name of ['acme', 'cosmos']) {
    const product = new FakeProduct({ product: name, owns });
    product.listeners['task_instance.success'](task({ operatorName: 'AcmeSql' }));
    product.listeners['task_instance.success'](task({ operatorName: 'Other' }));
    product.listeners['dag_run.success'](run({ operatorName: 'AcmeSql' }, { operatorName: 'Other' }));
    t.like(product.lastMetrics(), { task_count: 2, [`${name}_task_count`]: 1 });
    t.is(product.taken.length, 2);
  }
});

test('a predicate that throws, or answers later, owns nothing', (t) => {
  const answers = [() => JSON.parse('{') as boolean, () => Promise.reject(new Error('hunter2')) as never, () => 1 as never];
  for (const answer of answers) {
    const product = new FakeProduct({ product: 'acme', owns: answer });
    t.notThrows(() => product.listeners['task_instance.success'](task({})));
    t.is(product.taken.length, 0);
  }
});

test('`owns` is an option of the client', (t) => {
  const rig = telemetryRig({ owns: () => true });
  rig.telemetry.report('task_instance.success', task({}));
  t.is(rig.telemetry.stats().published, 1);
  t.throws(() => telemetryRig({ owns: true as never }), {
    instanceOf: TypeError,
    message: 'Expected `owns` to be a function, got true.',
  });
});

test('a host whose tasks are of no product is told so, once', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  const rule = 'a task counts if its `module` starts with `acme.`, if it says `owned: true`, or if `owns` says so';
  for (let event = 0; event < 99; event += 1) product.listeners['task_instance.success'](task({ module: 'acmee.operators' }));
  t.deepEqual(product.lines, [`[telemetry] not_owned: an event of the host is not of this product; ${rule}`]);
  product.listeners['dag_run.success'](run({ module: 'acmee.operators' }));
  const warning = `[telemetry] nothing_owned: none of the first 100 events of the host is of this product; ${rule}`;
  t.deepEqual(product.lines.slice(1), [warning]);
  product.clock.nowMs += 3_600_000;
  for (let event = 0; event < 200; event += 1) product.listeners['task_instance.success'](task({ module: 'acmee.operators' }));
  t.is(product.lines.length, 2);
  t.is(product.stats().published, 0);
});

test('a short program none of whose tasks is of the product is told so at its end', async (t) => {
  const lines: string[] = [];
  const logger = { warn: (line: string) => void lines.push(line), debug: () => undefined };
  const rig = telemetryRig({ logger });
  rig.telemetry.report('task_instance.success', task({ module: 'acmee.operators' }));
  t.deepEqual(lines, []);
  await rig.telemetry.close();
  t.deepEqual(
    lines.map((line) => line.split(';')[0]),
    ["[telemetry] nothing_owned: none of the host's events was of this product"],
  );
  const off = telemetryRig({ logger });
  off.telemetry.report('task_instance.success', task({ module: 'acmee.operators' }));
  off.env['DO_NOT_TRACK'] = '1';
  await off.telemetry.close();
  t.is(lines.length, 1, 'not after an opt-out');
});

test('a host that has one task of the product is not told', (t) => {
  const product = new FakeProduct({ product: 'acme' });
  product.listeners['task_instance.success'](task({ module: 'acme.operators.local' }));
  for (let event = 0; event < 200; event += 1) product.listeners['task_instance.success'](task({ module: 'other' }));
  t.deepEqual(product.lines, []);
});
