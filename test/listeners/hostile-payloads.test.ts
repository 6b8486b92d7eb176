import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { metadataFields } from '../../src/events/dag-run.js';
import type { HostEvents } from '../../src/listeners/host.js';
import { FakeProduct } from '../helpers/product.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const TASK = { module: 'cosmos.operators.local', operatorName: 'Op', isDbtOperator: true };
const DAG = { tasks: [TASK] };
const RUN = { dagRun: { dagId: 'd', dag: DAG } };
const INSTANCE = { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: TASK } };

const HOOKS = ['dag_run.success', 'dag_run.failed', 'task_instance.success', 'task_instance.failed'] as const;

function goodPayload(hook: keyof HostEvents): object {
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

/** Each property of it is itself again, for ever, and a function, and whatever it is taken for. */
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

/** Values for any place of a payload. */
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
    // The host sees to its own promises; that ours are seen to is tested elsewhere.
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

/** Puts a value into one place of a good payload. */
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

/** Nothing thrown; at most one event, taken or counted as invalid; nothing ill-typed leaves; the next good event arrives. */
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
  handlers.get(hook)?.(goodPayload(hook));
  t.is(product.taken.length, pending + 1);
  t.notRegex(product.lines.join('\n'), /hunter2/);
}

for (const hook of HOOKS) {
  for (const [placeName, place] of Object.entries(hook.startsWith('dag_run') ? RUN_PLACES : TASK_PLACES)) {
    test(`${hook} survives anything as ${placeName}`, (t) => {
      for (const make of Object.values(VALUES)) survives(t, hook, place(make()));
    });
  }

  test(`${hook} survives payloads of which every property throws, one after the other`, (t) => {
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
      survives(t, hook, poison(goodPayload(hook)));
    }
  });

  test(`${hook} survives whatever fast-check makes up`, (t) => {
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

test.serial('promises that a host gives in place of values end no process', async (t) => {
  const product = new FakeProduct({ dagHash: later as () => never });
  const task = { ...TASK, profileConfig: { getProfileType: later } };
  const unhandled = await unhandledRejections(() => {
    product.listeners['dag_run.success'](RUN);
    product.listeners['task_instance.success']({ taskInstance: { mapIndex: -1, task } });
  });
  t.deepEqual(unhandled, []);
  t.is(product.taken.length, 2);
});

test('a hundred thousand tasks take no more than a blink of the host', (t) => {
  const product = new FakeProduct();
  const same = Array.from({ length: 100_000 }, () => ({ module: 'cosmos.operators.local' }));
  const different = Array.from({ length: 100_000 }, (_, index) => ({ module: `cosmos.operators.mode${index}` }));
  for (const tasks of [same, different]) {
    const { user: before } = process.cpuUsage();
    product.listeners['dag_run.success']({ dagRun: { dagId: 'd', dag: { tasks } } });
    const cpuMs = (process.cpuUsage().user - before) / 1000;
    // A tenth of it is usual; the bound leaves room for other threads of the test run, whose time is counted too.
    t.true(cpuMs < 500, `${cpuMs} ms`);
  }
  t.is(product.taken.length, 2);
});
