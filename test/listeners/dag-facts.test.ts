import test from 'ava';
import { Ledger } from '../../src/base/ledger.js';
import { DagFactsCache } from '../../src/listeners/dag-run.js';
import { HostReader } from '../../src/listeners/host-reader.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

function setUp(product = 'cosmos') {
  const ledger = new Ledger();
  return { ledger, cache: new DagFactsCache(product, new HostReader(ledger)) };
}

function tasks(...modules: unknown[]): { module: unknown }[] {
  return modules.map((module) => ({ module }));
}

function throws(): never {
  throw new Error('hunter2');
}

test('counts all tasks and the own ones, and collects the third parts of own modules', (t) => {
  const { cache } = setUp();
  const modules = [
    'cosmos.operators.local',
    'airflow.operators.bash',
    'cosmos.operators.docker',
    'cosmos.operators.local',
    'cosmosx.operators.gcp',
    'cosmos',
  ];
  t.deepEqual(cache.of(tasks(...modules)), { taskCount: 6, ownTaskCount: 3, executionModes: 'docker__local' });
});

test('a module with fewer parts adds nothing, one with more adds its third', (t) => {
  const { cache } = setUp();
  t.deepEqual(cache.of(tasks('cosmos.foo', 'cosmos.', 'cosmos.operators.')), { taskCount: 3, ownTaskCount: 3, executionModes: '' });
  t.is(cache.of(tasks('cosmos.operators.local.deep.er', 'cosmos.x.y'))?.executionModes, 'local__y');
});

test('no task is own in an empty DAG', (t) => {
  t.deepEqual(setUp().cache.of([]), { taskCount: 0, ownTaskCount: 0, executionModes: '' });
});

/** A list of tasks that counts how often its tasks are asked for their module. */
function watched(length: number) {
  const counter = { reads: 0 };
  const get = (target: object, key: string | symbol) => {
    if (key === 'module') counter.reads += 1;
    return Reflect.get(target, key) as unknown;
  };
  const list = Array.from({ length }, () => new Proxy({ module: 'cosmos.operators.local' }, { get }));
  return { counter, list };
}

test('looks at each task once in a thousand runs of one DAG', (t) => {
  const { cache } = setUp();
  const { counter, list } = watched(10);
  for (let run = 0; run < 1000; run += 1) t.is(cache.of(list)?.ownTaskCount, 10);
  t.is(counter.reads, 10);
});

test('looks again when tasks were added or taken away, or when it is another list', (t) => {
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

test('does not mix up the DAGs of two products', (t) => {
  const list = tasks('cosmos.operators.local', 'acme.operators.docker', 'acme.operators.docker');
  t.is(setUp('cosmos').cache.of(list)?.ownTaskCount, 1);
  t.is(setUp('acme').cache.of(list)?.ownTaskCount, 2);
});

test('what is no task, or cannot be asked, is a task that is not own', (t) => {
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
    ...tasks('cosmos.operators.local'),
  ];
  t.deepEqual(cache.of(list), { taskCount: 9, ownTaskCount: 1, executionModes: 'local' });
  t.is(ledger.fieldsDropped, 1);
});

test('what is no list of a size that a DAG can have has no facts', (t) => {
  const { cache } = setUp();
  const lists: unknown[] = [undefined, null, 7, 'tasks', {}, { length: 3 }, new Set(tasks('cosmos.operators.local')), Promise.resolve([])];
  // oxlint-disable-next-line unicorn/no-new-array -- a sparse array is what is meant
  lists.push(new Array(4e9), new Array(1_000_001), new Uint8Array(10));
  for (const length of [NaN, Infinity, '3', { valueOf: throws }]) {
    lists.push(new Proxy([], { get: (_, key) => (key === 'length' ? length : { module: 'cosmos.operators.local' }) }));
  }
  for (const [index, list] of lists.entries()) t.is(cache.of(list), undefined, `list ${index}`);
});

test('an endless iterator is never asked', (t) => {
  const { cache } = setUp();
  const list = tasks('cosmos.operators.local');
  Object.defineProperty(list, Symbol.iterator, { value: throws });
  t.is(cache.of(list)?.ownTaskCount, 1);
});

test('a hundred thousand tasks are counted', (t) => {
  const { cache } = setUp();
  const list = Array.from({ length: 100_000 }, () => ({ module: 'cosmos.operators.local' }));
  t.deepEqual(cache.of(list), { taskCount: 100_000, ownTaskCount: 100_000, executionModes: 'local' });
});

test('a set of modes that is longer than may be sent is not kept', (t) => {
  const { cache } = setUp();
  const list = Array.from({ length: 100_000 }, (_, index) => ({ module: `cosmos.operators.mode${index}` }));
  t.deepEqual(cache.of(list), { taskCount: 100_000, ownTaskCount: 100_000, executionModes: undefined });
  t.is(cache.of(tasks(`cosmos.operators.${'x'.repeat(256)}`))?.executionModes, 'x'.repeat(256));
  t.is(cache.of(tasks(`cosmos.operators.${'x'.repeat(257)}`))?.executionModes, undefined);
  const halves = ['x'.repeat(127), 'y'.repeat(127)];
  t.is(cache.of(tasks(...halves.map((half) => `cosmos.operators.${half}`)))?.executionModes, halves.join('__'));
  t.is(cache.of(tasks(...halves.map((half) => `cosmos.operators.${half}z`)))?.executionModes, undefined);
});

test('many modules of few modes are collected, and long ones too', (t) => {
  const { cache } = setUp();
  const many = Array.from({ length: 5000 }, (_, index) => ({
    module: `cosmos.operators.${index % 2 === 0 ? 'local' : 'docker'}.m${index}`,
  }));
  t.is(cache.of(many)?.executionModes, 'docker__local');
  t.is(cache.of(tasks(`cosmos.operators.local.${'x'.repeat(10_000)}`, 'cosmos.operators.docker'))?.executionModes, 'docker__local');
});

test('a module of a million dots costs no more than its first three parts', (t) => {
  const { cache } = setUp();
  const module = `cosmos.operators.local${'.'.repeat(20_000_000)}`;
  const list = tasks(...Array.from({ length: 200 }, () => module));
  t.deepEqual(cache.of(list), { taskCount: 200, ownTaskCount: 200, executionModes: 'local' });
});

test.serial('a task that is a promise is none, and its rejection ends no process', async (t) => {
  const { cache } = setUp();
  const list = Object.defineProperty(tasks('cosmos.operators.local'), 1, { get: () => Promise.reject(new Error('hunter2')) });
  const unhandled = await unhandledRejections(() => t.is(cache.of(list)?.ownTaskCount, 1));
  t.deepEqual(unhandled, []);
});
