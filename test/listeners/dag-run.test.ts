import test from 'ava';
import type { FakeProductOptions } from '../helpers/product.js';
import { FakeProduct } from '../helpers/product.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const TASKS = [{ module: 'cosmos.operators.local' }];
const HASH = '0123456789abcdef';

function finish(dagRun: unknown, options: FakeProductOptions = {}) {
  const product = new FakeProduct(options);
  const outcome = product.listeners['dag_run.success']({ dagRun });
  return { product, outcome, metrics: product.lastMetrics(), packed: product.taken[0]?.packed };
}

function throws(): never {
  throw new Error('hunter2');
}

test('a run says its status, and the same of everything else', (t) => {
  const product = new FakeProduct({ dagHash: () => HASH });
  const payload = { dagRun: { dagId: 'd', dag: { tasks: TASKS } } };
  product.listeners['dag_run.success'](payload);
  product.listeners['dag_run.failed'](payload);
  const common = { task_count: 1, cosmos_task_count: 1, execution_modes: 'local' };
  t.deepEqual(
    product.taken.map(({ metrics }) => metrics),
    [
      { dag_hash: HASH, status: 'success', ...common },
      { dag_hash: HASH, status: 'failed', ...common },
    ],
  );
  t.deepEqual(Object.keys(product.lastMetrics() ?? {}), ['dag_hash', 'status', 'task_count', 'cosmos_task_count', 'execution_modes']);
});

test('nothing is published for a DAG with no own task, and nothing else of it is looked at', (t) => {
  const seen: (string | symbol)[] = [];
  const watch = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (object, key) => {
        seen.push(key);
        return Reflect.get(object, key) as unknown;
      },
    });
  const dag = watch({ tasks: [{ module: 'airflow.operators.bash' }], params: {} });
  const { product, outcome } = finish(watch({ dagId: 'd', dagHash: HASH, dag }), { dagHash: () => t.fail() });
  t.is(outcome, undefined);
  t.deepEqual(seen, ['dag', 'tasks']);
  t.like(product.stats(), { published: 0, pending: 0, dropped: 0 });
});

test('the id of the DAG stays on the machine', (t) => {
  const { product } = finish({ dagId: 'payroll_2026', dag: { tasks: TASKS } }, { dagHash: () => null });
  t.notRegex(JSON.stringify(product.taken), /payroll/);
});

test("the host's own hash goes before the default, which is not even asked then", (t) => {
  const { metrics } = finish({ dagId: 'd', dagHash: HASH, dag: { tasks: TASKS } }, { dagHash: () => t.fail() });
  t.is(metrics?.['dag_hash'], HASH);
});

const NO_HASHES = [undefined, null, '', 'short', 'has space', 'a/b/c/d/e/f', 'x'.repeat(129), 7, {}, [HASH], Symbol(HASH)];

for (const [index, dagHash] of NO_HASHES.entries()) {
  test(`a hash that is none gives way to the default: ${index}`, (t) => {
    const asked: string[] = [];
    const ask = (dagId: string) => {
      asked.push(dagId);
      return HASH;
    };
    const { product, metrics } = finish({ dagId: 'd', dagHash, dag: { tasks: TASKS } }, { dagHash: ask });
    t.is(metrics?.['dag_hash'], HASH);
    t.deepEqual(asked, ['d']);
    t.is(product.stats().fieldsDropped, 0);
  });
}

test('where there is no hash the run is reported without one', (t) => {
  const { product, metrics } = finish({ dagId: 'd', dag: { tasks: TASKS } }, { dagHash: () => null });
  t.deepEqual(Object.keys(metrics ?? {}), ['status', 'task_count', 'cosmos_task_count', 'execution_modes']);
  t.is(product.stats().fieldsDropped, 0);
  for (const dagId of [undefined, null, 7, {}]) {
    t.false('dag_hash' in (finish({ dagId, dag: { tasks: TASKS } }, { dagHash: () => t.fail() }).metrics ?? {}));
  }
});

test.serial('a function for hashes that throws, or gives what is no hash, costs the hash and is counted', async (t) => {
  const functions: unknown[] = [throws, () => 'short', () => undefined, () => 7, () => ({}), () => Promise.resolve(HASH)];
  functions.push(() => Promise.reject(new Error('hunter2')));
  for (const dagHash of functions) {
    const unhandled = await unhandledRejections(() => {
      const { product, outcome, metrics } = finish({ dagId: 'd', dag: { tasks: TASKS } }, { dagHash: dagHash as () => null });
      t.is(outcome, undefined);
      t.false('dag_hash' in (metrics ?? {}));
      t.is(product.stats().fieldsDropped, 1);
    });
    t.deepEqual(unhandled, []);
  }
});

const PARAMS: readonly [name: string, param: unknown, packed: string | undefined, unreadable: number][] = [
  ['a text', 'packed', 'packed', 0],
  ['an empty text', '', '', 0],
  ['a Param with a value', { value: 'packed' }, 'packed', 0],
  ['a Param with a value and a default', { value: 'packed', default: 'other' }, 'packed', 0],
  ['a Param with a default', { default: 'packed' }, 'packed', 0],
  ['a Param whose value is nothing', { value: null, default: 'packed' }, 'packed', 0],
  ['a Param whose value is no text', { value: 7, default: 'packed' }, 'packed', 0],
  ['a Param whose value throws', Object.defineProperty({ default: 'packed' }, 'value', { get: throws }), 'packed', 0],
  ['a Param with nothing', {}, undefined, 0],
  ['nothing', undefined, undefined, 0],
  ['null', null, undefined, 0],
  ['a number', 7, undefined, 1],
  ['a flag', false, undefined, 1],
  ['a Param with objects only', { value: {}, default: [] }, undefined, 1],
  ['a text that is too long', 'x'.repeat(16 * 1024 + 1), undefined, 1],
];

for (const [name, param, expected, unreadable] of PARAMS) {
  test(`metadata in ${name}`, (t) => {
    const params = { __cosmos_telemetry_metadata__: param, other: 'x' };
    const { product, packed } = finish({ dagId: 'd', dag: { tasks: TASKS, params } });
    t.is(packed, expected);
    t.is(product.taken.length, 1);
    t.is(product.stats().metadataUnreadable, unreadable);
  });
}

test('params that are none cost the metadata, never the event', (t) => {
  for (const params of [undefined, null, 7, 'text', [], new Map([['__cosmos_telemetry_metadata__', 'packed']])]) {
    const { product, packed } = finish({ dagId: 'd', dag: { tasks: TASKS, params } });
    t.is(packed, undefined);
    t.is(product.taken.length, 1);
  }
});

test('the snapshot does not change with the objects of the host', (t) => {
  const tasks = [...TASKS];
  const params: Record<string, unknown> = { __cosmos_telemetry_metadata__: 'packed' };
  const dagRun = { dagId: 'd', dagHash: HASH, dag: { tasks, params } };
  const { product } = finish(dagRun);
  dagRun.dagHash = 'fedcba9876543210';
  tasks.push({ module: 'cosmos.operators.docker' });
  params['__cosmos_telemetry_metadata__'] = 'other';
  t.deepEqual(product.taken[0], {
    definition: product.taken[0]?.definition as never,
    metrics: { dag_hash: HASH, status: 'success', task_count: 1, cosmos_task_count: 1, execution_modes: 'local' },
    packed: 'packed',
  });
});

test('modes that are more than may be sent are left out, and counted in each event', (t) => {
  const tasks = Array.from({ length: 100 }, (_, index) => ({ module: `cosmos.operators.mode${index}` }));
  const product = new FakeProduct();
  const payload = { dagRun: { dagId: 'd', dag: { tasks } } };
  product.listeners['dag_run.success'](payload);
  product.listeners['dag_run.success'](payload);
  t.deepEqual(product.lastMetrics(), { status: 'success', task_count: 100, cosmos_task_count: 100 });
  t.is(product.stats().fieldsDropped, 2);
});
