import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { Ledger } from '../../src/base/ledger.js';
import { metadataFields } from '../../src/events/dag-run.js';
import { HostReader, isObject, UNREADABLE } from '../../src/listeners/host-reader.js';
import type { HostEvents } from '../../src/listeners/host.js';
import { FakeProduct } from '../helpers/product.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const TASK = { module: 'cosmos.operators.local', operatorName: 'Op', isDbtOperator: true };
const DAG = { tasks: [TASK] };
const RUN = { dagRun: { dagId: 'd', dag: DAG } };
const INSTANCE = { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: TASK } };

const HOOKS = ['dag_run.success', 'dag_run.failed', 'task_instance.success', 'task_instance.failed'] as const;

function validPayload(hook: keyof HostEvents): object {
  return hook.startsWith('dag_run') ? RUN : INSTANCE;
}

function throws(): never {
  throw new Error('hunter2');
}

const ALL_THROW: ProxyHandler<object> = {
  get: throws,
  has: throws,
  ownKeys: throws,
  getPrototypeOf: throws,
  getOwnPropertyDescriptor: throws,
  isExtensible: throws,
  apply: throws,
}; // prettier-ignore

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** A function, each property of which is itself. */
function endless(): object {
  const self: object = new Proxy(throws, { get: (_, key) => (typeof key === 'symbol' ? undefined : self) });
  return self;
}

// oxlint-disable-next-line unicorn/no-new-array -- a sparse array is what is meant
const HOLES: unknown[] = new Array(4e9);
const LONG = 'x'.repeat(5_000_000);

function later(): Promise<never> {
  return Promise.reject(new Error('hunter2'));
}

function* forever(): Generator<object> {
  for (;;) yield TASK;
}

/** Values for each place in a payload. */
const VALUES: Readonly<Record<string, () => unknown>> = {
  nothing: () => undefined,
  null: () => null,
  'a number': () => NaN,
  'a huge text': () => LONG,
  'a huge module': () => `cosmos.operators.${LONG}`,
  'a lone surrogate': () => '\uD83D',
  'a symbol': () => Symbol('s'),
  'a bigint': () => 10n ** 1000n,
  'a function': () => throws,
  'an empty list': () => [],
  'four billion holes': () => HOLES,
  'a list of everything': () => [undefined, null, NaN, {}, [], throws, revoked({}), Symbol('s')],
  'an endless iterator': () => Object.assign(Object.create({ [Symbol.iterator]: forever }) as object, { length: Infinity }),
  'a generator': () => forever(),
  'a rejected promise': () => {
    const promise = Promise.reject(new Error('hunter2'));
    // The host handles its own promises. Ours are tested elsewhere.
    promise.catch(() => undefined);
    return promise;
  },
  'a proxy that throws': () => new Proxy({}, ALL_THROW),
  'a list that throws': () => new Proxy([TASK], ALL_THROW),
  'a revoked proxy': () => revoked({}),
  'a revoked list': () => revoked([]),
  'something endless': endless,
  'a circle': () => {
    const circle: Record<string, unknown> = {};
    for (const key of ['dagRun', 'dag', 'tasks', 'taskInstance', 'task', 'params', 'module', 'profileConfig']) circle[key] = circle;
    return circle;
  },
  'no prototype': () => Object.create(null),
  'values that must not be converted': () => ({ toString: throws, valueOf: throws, toJSON: throws, [Symbol.toPrimitive]: throws }),
};

/** Puts a value into one place of a valid payload. */
type Place = (value: unknown) => unknown;

const PARAM = '__cosmos_telemetry_metadata__';

const ANYWHERE: Record<string, Place> = { payload: (value) => value };
const RUN_PLACES: Record<string, Place> = {
  ...ANYWHERE,
  dagRun: (dagRun) => ({ dagRun }),
  dag: (dag) => ({ dagRun: { dagId: 'd', dag } }),
  dagId: (dagId) => ({ dagRun: { dagId, dag: DAG } }),
  dagHash: (dagHash) => ({ dagRun: { dagId: 'd', dagHash, dag: DAG } }),
  tasks: (tasks) => ({ dagRun: { dagId: 'd', dag: { tasks } } }),
  'a task': (task) => ({ dagRun: { dagId: 'd', dag: { tasks: [task, TASK] } } }),
  "a task's module": (module) => ({ dagRun: { dagId: 'd', dag: { tasks: [{ module }, TASK] } } }),
  params: (params) => ({ dagRun: { dagId: 'd', dag: { ...DAG, params } } }),
  'the param': (param) => ({ dagRun: { dagId: 'd', dag: { ...DAG, params: { [PARAM]: param } } } }),
  "the param's value": (value) => ({ dagRun: { dagId: 'd', dag: { ...DAG, params: { [PARAM]: { value } } } } }),
};
const TASK_PLACES: Record<string, Place> = { ...ANYWHERE, taskInstance: (taskInstance) => ({ taskInstance }) };
for (const key of ['task', 'mapIndex', 'duration', 'dagId', 'taskId']) {
  TASK_PLACES[key] = (value) => ({ taskInstance: { ...INSTANCE.taskInstance, [key]: value } });
}
for (const key of ['module', 'operatorName', 'isDbtOperator', 'invocationMode', 'baseCmd', 'installDeps', 'callback', 'profileConfig']) {
  TASK_PLACES[`task.${key}`] = (value) => ({ taskInstance: { ...INSTANCE.taskInstance, task: { ...TASK, [key]: value } } });
}
for (const key of ['profilesYmlFilepath', 'profileMappingClass', 'profileType', 'getProfileType']) {
  const place = TASK_PLACES['task.profileConfig'] as Place;
  TASK_PLACES[`profileConfig.${key}`] = (value) => place({ [key]: value });
}

/** Checks that nothing is thrown, there is at most one event, no field of it is ill-typed, and the next valid event arrives. */
function survives(t: ExecutionContext, hook: keyof HostEvents, payload: unknown): void {
  const product = new FakeProduct({ dagHash: (dagId) => `hash_of_${dagId.length}` });
  const handlers = new Map<string, (payload: unknown) => void>();
  product.registry.register({ on: (name, handler) => handlers.set(name, handler), off: (name) => handlers.delete(name) });
  t.notThrows(() => handlers.get(hook)?.(payload));
  const { published, dropped, pending, reasons } = product.stats();
  t.true(published <= 1);
  t.is(published, dropped + pending);
  t.deepEqual(reasons, dropped === 1 ? { invalid: 1 } : {});
  const event = product.built();
  for (const [name, value] of Object.entries(event?.metrics ?? {})) {
    const field = { ...metadataFields, ...product.taken[0]?.definition.fields }[name];
    t.true(field?.accepts(value), `${name} left`);
  }
  t.true((event?.requestTarget() ?? '').length < 2000);
  for (const value of Object.values(product.lastMetrics() ?? {})) t.true(typeof value !== 'string' || value.length <= 256);
  handlers.get(hook)?.(validPayload(hook));
  t.is(product.taken.length, pending + 1);
  t.notRegex(product.lines.join('\n'), /hunter2/);
}

for (const hook of HOOKS) {
  for (const [placeName, place] of Object.entries(hook.startsWith('dag_run') ? RUN_PLACES : TASK_PLACES)) {
    test(`${hook} survives anything as ${placeName}`, (t) => {
      for (const make of Object.values(VALUES)) survives(t, hook, place(make()));
    });
  }

  test(`${hook} survives a payload whose properties throw from some depth on`, (t) => {
    for (let depth = 0; depth < 4; depth += 1) {
      let reads = 0;
      const poison = (target: object): object =>
        new Proxy(target, {
          get: (object, key) => {
            reads += 1;
            if (reads > depth) throws();
            const value = Reflect.get(object, key) as unknown;
            return typeof value === 'object' && value !== null && !Array.isArray(value) ? poison(value) : value;
          },
        });
      survives(t, hook, poison(validPayload(hook)));
    }
  });

  test(`${hook} survives any value of fast-check`, (t) => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
    });
    const places = Object.values(hook.startsWith('dag_run') ? RUN_PLACES : TASK_PLACES);
    fc.assert(
      fc.property(anything, fc.constantFrom(...places), (value, place) => {
        survives(t, hook, place(value));
      }),
      { numRuns: 500 },
    );
  });
}

test.serial('promises in place of values do not end the process', async (t) => {
  const product = new FakeProduct({ dagHash: later as () => never });
  const task = { ...TASK, profileConfig: { getProfileType: later } };
  const unhandled = await unhandledRejections(() => {
    product.listeners['dag_run.success'](RUN);
    product.listeners['task_instance.success']({ taskInstance: { mapIndex: -1, task } });
  });
  t.deepEqual(unhandled, []);
  t.is(product.taken.length, 2);
});

test('a DAG of a hundred thousand tasks takes less than 500 ms', (t) => {
  const product = new FakeProduct();
  const same = Array.from({ length: 100_000 }, () => ({ module: 'cosmos.operators.local' }));
  const different = Array.from({ length: 100_000 }, (_, index) => ({ module: `cosmos.operators.mode${index}` }));
  for (const tasks of [same, different]) {
    const { user: before } = process.cpuUsage();
    product.listeners['dag_run.success']({ dagRun: { dagId: 'd', dag: { tasks } } });
    const cpuMs = (process.cpuUsage().user - before) / 1000;
    // A tenth is usual. The bound leaves room for other threads of the test run, whose time is included.
    t.true(cpuMs < 500, `${cpuMs} ms`);
  }
  t.is(product.taken.length, 2);
});

function setUp() {
  const ledger = new Ledger();
  return { ledger, reader: new HostReader(ledger) };
}

test('read() gives a property as it is, also an inherited one or one of a getter', (t) => {
  const { ledger, reader } = setUp();
  const inner = {};
  t.is(reader.read({ a: inner }, 'a'), inner);
  t.is(
    reader.read(
      {
        get a() {
          return 7;
        },
      },
      'a',
    ),
    7,
  ); // prettier-ignore
  t.is(reader.read(Object.create({ a: 8 }) as object, 'a'), 8);
  t.is(reader.read({}, 'a'), undefined);
  t.is(ledger.fieldsDropped, 0);
});

test('a property that throws is unreadable and counted', (t) => {
  const { ledger, reader } = setUp();
  const sources = [Object.defineProperty({}, 'a', { get: throws }), new Proxy({}, { get: throws }), revoked({})];
  for (const source of sources) t.is(reader.read(source, 'a'), UNREADABLE);
  for (const source of sources) t.is(reader.object(source, 'a'), undefined);
  for (const source of sources) t.is(reader.plainValue(reader.read(source, 'a'), 'a'), UNREADABLE);
  t.is(ledger.fieldsDropped, 9);
});

test('object() gives objects only', (t) => {
  const { reader } = setUp();
  const inner = {};
  t.is(reader.object({ a: inner }, 'a'), inner);
  for (const value of [undefined, null, 7, 'a', true, Symbol('a'), throws]) t.is(reader.object({ a: value }, 'a'), undefined);
});

test('plainValue() keeps plain values, up to the longest text that a field can hold', (t) => {
  const { ledger, reader } = setUp();
  for (const value of ['', 'a', 'x'.repeat(256), 0, -1, NaN, Infinity, true, false, null, undefined]) {
    t.is(reader.plainValue(value, 'x'), value);
    t.is(reader.plainValue(reader.read({ a: value }, 'a'), 'a'), value);
  }
  t.is(ledger.fieldsDropped, 0);
});

test('plainValue() gives UNREADABLE for anything else, and counts it once', (t) => {
  const { ledger, reader } = setUp();
  const values = ['x'.repeat(257), {}, [], throws, Symbol('a'), 1n, new Date(0), Object('a'), revoked({}), Promise.resolve('a')];
  for (const value of values) t.is(reader.plainValue(value, 'x'), UNREADABLE);
  t.is(ledger.fieldsDropped, values.length);
  t.is(reader.plainValue(UNREADABLE, 'x'), UNREADABLE);
  t.is(ledger.fieldsDropped, values.length);
});

test('list() gives lists only, and none for a revoked proxy', (t) => {
  const { reader } = setUp();
  const list = [1];
  t.is(reader.list(list), list);
  for (const value of [undefined, null, 7, 'a', {}, { length: 1 }, new Set([1]), revoked({}), revoked([])])
    t.is(reader.list(value), undefined);
});

test('isObject() is true for values that may have properties', (t) => {
  for (const value of [{}, [], new Date(0), revoked({})]) t.true(isObject(value));
  for (const value of [undefined, null, 7, 'a', true, 1n, Symbol('a'), throws]) t.false(isObject(value));
});
