import test from 'ava';
import { Ledger } from '../../src/base/ledger.js';
import { DagFactsCache } from '../../src/listeners/dag-run.js';
import { HostReader } from '../../src/listeners/host-reader.js';
import { FakeProduct } from '../helpers/product.js';
import type { FakeProductOptions } from '../helpers/product.js';
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

test('the two statuses of a run differ in their status alone', (t) => {
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

test('nothing is published for a DAG without an own task, and nothing else of it is read', (t) => {
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

test('the id of the DAG is not sent', (t) => {
  const { product } = finish({ dagId: 'payroll_2026', dag: { tasks: TASKS } }, { dagHash: () => null });
  t.notRegex(JSON.stringify(product.taken), /payroll/);
});

test("the host's own hash is used, and the default is not called", (t) => {
  const { metrics } = finish({ dagId: 'd', dagHash: HASH, dag: { tasks: TASKS } }, { dagHash: () => t.fail() });
  t.is(metrics?.['dag_hash'], HASH);
});

const NO_HASHES = [undefined, null, '', 'short', 'has space', 'a/b/c/d/e/f', 'x'.repeat(129), 7, {}, [HASH], Symbol(HASH)];

for (const [index, dagHash] of NO_HASHES.entries()) {
  test(`an invalid hash is replaced by the default: ${index}`, (t) => {
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

test('without a hash the run is reported without one', (t) => {
  const { product, metrics } = finish({ dagId: 'd', dag: { tasks: TASKS } }, { dagHash: () => null });
  t.deepEqual(Object.keys(metrics ?? {}), ['status', 'task_count', 'cosmos_task_count', 'execution_modes']);
  t.is(product.stats().fieldsDropped, 0);
  for (const dagId of [undefined, null, 7, {}]) {
    t.false('dag_hash' in (finish({ dagId, dag: { tasks: TASKS } }, { dagHash: () => t.fail() }).metrics ?? {}));
  }
});

test.serial('a dagHash function that throws or gives no hash costs the hash, and is counted', async (t) => {
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

test('invalid params cost the metadata, not the event', (t) => {
  for (const params of [undefined, null, 7, 'text', [], new Map([['__cosmos_telemetry_metadata__', 'packed']])]) {
    const { product, packed } = finish({ dagId: 'd', dag: { tasks: TASKS, params } });
    t.is(packed, undefined);
    t.is(product.taken.length, 1);
  }
});

test('the metrics of a run do not change with the objects of the host', (t) => {
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

test('execution modes that are too long are left out, and counted for each event', (t) => {
  const tasks = Array.from({ length: 100 }, (_, index) => ({ module: `cosmos.operators.mode${index}` }));
  const product = new FakeProduct();
  const payload = { dagRun: { dagId: 'd', dag: { tasks } } };
  product.listeners['dag_run.success'](payload);
  product.listeners['dag_run.success'](payload);
  t.deepEqual(product.lastMetrics(), { status: 'success', task_count: 100, cosmos_task_count: 100 });
  t.is(product.stats().fieldsDropped, 2);
});

function setUp(product = 'cosmos') {
  const ledger = new Ledger();
  return { ledger, cache: new DagFactsCache(product, new HostReader(ledger)) };
}

function tasksOf(...modules: unknown[]): { module: unknown }[] {
  return modules.map((module) => ({ module }));
}

test('counts all tasks and own tasks, and collects the third parts of own modules', (t) => {
  const { cache } = setUp();
  const modules = [
    'cosmos.operators.local',
    'airflow.operators.bash',
    'cosmos.operators.docker',
    'cosmos.operators.local',
    'cosmosx.operators.gcp',
    'cosmos',
  ];
  t.deepEqual(cache.of(tasksOf(...modules)), { taskCount: 6, ownTaskCount: 3, executionModes: 'docker__local' });
});

test('a module with fewer than three parts adds nothing, one with more adds its third', (t) => {
  const { cache } = setUp();
  t.deepEqual(cache.of(tasksOf('cosmos.foo', 'cosmos.', 'cosmos.operators.')), { taskCount: 3, ownTaskCount: 3, executionModes: '' });
  t.is(cache.of(tasksOf('cosmos.operators.local.deep.er', 'cosmos.x.y'))?.executionModes, 'local__y');
});

test('an empty DAG has no own task', (t) => {
  t.deepEqual(setUp().cache.of([]), { taskCount: 0, ownTaskCount: 0, executionModes: '' });
});

/** A list of tasks that counts the reads of their modules. */
function watched(length: number) {
  const counter = { reads: 0 };
  const get = (target: object, key: string | symbol) => {
    if (key === 'module') counter.reads += 1;
    return Reflect.get(target, key) as unknown;
  };
  const list = Array.from({ length }, () => new Proxy({ module: 'cosmos.operators.local' }, { get }));
  return { counter, list };
}

test('reads each task once in a thousand runs of one DAG', (t) => {
  const { cache } = setUp();
  const { counter, list } = watched(10);
  for (let run = 0; run < 1000; run += 1) t.is(cache.of(list)?.ownTaskCount, 10);
  t.is(counter.reads, 10);
});

test('reads again if tasks were added or removed, or if the list is another one', (t) => {
  const { cache } = setUp();
  const { counter, list } = watched(3);
  cache.of(list);
  list.push(...watched(1).list);
  t.is(cache.of(list)?.taskCount, 4);
  list.length = 2;
  t.deepEqual(cache.of(list), { taskCount: 2, ownTaskCount: 2, executionModes: 'local' });
  t.is(counter.reads, 3 + 3 + 2);
  t.is(cache.of([...list])?.taskCount, 2);
  t.is(counter.reads, 3 + 3 + 2 + 2);
});

test('keeps the DAGs of two products apart', (t) => {
  const list = tasksOf('cosmos.operators.local', 'acme.operators.docker', 'acme.operators.docker');
  t.is(setUp('cosmos').cache.of(list)?.ownTaskCount, 1);
  t.is(setUp('acme').cache.of(list)?.ownTaskCount, 2);
});

test('a value that is no task or cannot be read is a task that is not own', (t) => {
  const { cache, ledger } = setUp();
  const broken = Object.defineProperty({}, 'module', { get: throws });
  const list = [
    null,
    undefined,
    7,
    'cosmos.operators.local',
    {},
    { module: 7 },
    { module: ['cosmos.a.b'] },
    broken,
    ...tasksOf('cosmos.operators.local'),
  ];
  t.deepEqual(cache.of(list), { taskCount: 9, ownTaskCount: 1, executionModes: 'local' });
  t.is(ledger.fieldsDropped, 1);
});

test('a value that is no list, or too long a list, has no facts', (t) => {
  const { cache } = setUp();
  const lists: unknown[] = [
    undefined,
    null,
    7,
    'tasks',
    {},
    { length: 3 },
    new Set(tasksOf('cosmos.operators.local')),
    Promise.resolve([]),
  ];
  // oxlint-disable-next-line unicorn/no-new-array -- a sparse array is what is meant
  lists.push(new Array(4e9), new Array(1_000_001), new Uint8Array(10));
  for (const length of [NaN, Infinity, '3', { valueOf: throws }]) {
    lists.push(new Proxy([], { get: (_, key) => (key === 'length' ? length : { module: 'cosmos.operators.local' }) }));
  }
  for (const [index, list] of lists.entries()) t.is(cache.of(list), undefined, `list ${index}`);
});

test('an iterator of the host is never used', (t) => {
  const { cache } = setUp();
  const list = tasksOf('cosmos.operators.local');
  Object.defineProperty(list, Symbol.iterator, { value: throws });
  t.is(cache.of(list)?.ownTaskCount, 1);
});

test('a hundred thousand tasks are counted', (t) => {
  const { cache } = setUp();
  const list = Array.from({ length: 100_000 }, () => ({ module: 'cosmos.operators.local' }));
  t.deepEqual(cache.of(list), { taskCount: 100_000, ownTaskCount: 100_000, executionModes: 'local' });
});

test('execution modes are undefined if their text is longer than a field may be', (t) => {
  const { cache } = setUp();
  const list = Array.from({ length: 100_000 }, (_, index) => ({ module: `cosmos.operators.mode${index}` }));
  t.deepEqual(cache.of(list), { taskCount: 100_000, ownTaskCount: 100_000, executionModes: undefined });
  t.is(cache.of(tasksOf(`cosmos.operators.${'x'.repeat(256)}`))?.executionModes, 'x'.repeat(256));
  t.is(cache.of(tasksOf(`cosmos.operators.${'x'.repeat(257)}`))?.executionModes, undefined);
  const halves = ['x'.repeat(127), 'y'.repeat(127)];
  t.is(cache.of(tasksOf(...halves.map((half) => `cosmos.operators.${half}`)))?.executionModes, halves.join('__'));
  t.is(cache.of(tasksOf(...halves.map((half) => `cosmos.operators.${half}z`)))?.executionModes, undefined);
});

test('many modules with few modes are collected, also long ones', (t) => {
  const { cache } = setUp();
  const many = Array.from({ length: 5000 }, (_, index) => ({
    module: `cosmos.operators.${index % 2 === 0 ? 'local' : 'docker'}.m${index}`,
  }));
  t.is(cache.of(many)?.executionModes, 'docker__local');
  t.is(cache.of(tasksOf(`cosmos.operators.local.${'x'.repeat(10_000)}`, 'cosmos.operators.docker'))?.executionModes, 'docker__local');
});

test('a module of 20 million dots costs no more than its first three parts', (t) => {
  const { cache } = setUp();
  const module = `cosmos.operators.local${'.'.repeat(20_000_000)}`;
  const list = tasksOf(...Array.from({ length: 200 }, () => module));
  t.deepEqual(cache.of(list), { taskCount: 200, ownTaskCount: 200, executionModes: 'local' });
});

test.serial('a promise is no task, and its rejection does not end the process', async (t) => {
  const { cache } = setUp();
  const list = Object.defineProperty(tasksOf('cosmos.operators.local'), 1, { get: () => Promise.reject(new Error('hunter2')) });
  const unhandled = await unhandledRejections(() => t.is(cache.of(list)?.ownTaskCount, 1));
  t.deepEqual(unhandled, []);
});
