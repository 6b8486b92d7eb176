import test from 'ava';
import { FakeProduct } from '../helpers/product.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const OWN = { module: 'cosmos.operators.local', operatorName: 'DbtRunLocalOperator', isDbtOperator: true };

/** The metrics of a plain own dbt task. */
const PLAIN = {
  status: 'success',
  operator_name: 'DbtRunLocalOperator',
  is_cosmos_operator_subclass: false,
  invocation_mode: null,
  execution_mode: 'local',
  profile_strategy: null,
  profile_mapping_class: null,
  database: null,
  is_mapped_task: false,
  has_callback: false,
};

function finish(task: unknown, instance: object = {}) {
  const product = new FakeProduct();
  const outcome = product.listeners['task_instance.success']({
    taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task, ...instance },
  });
  return { product, outcome, metrics: product.lastMetrics(), dropped: product.stats().fieldsDropped };
}

function throws(): never {
  throw new Error('hunter2');
}

function rejects(): Promise<never> {
  return Promise.reject(new Error('hunter2'));
}

function throwing(key: string, rest: object = {}): object {
  return Object.defineProperty({ ...rest }, key, { get: throws, enumerable: true });
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

test('a plain own task', (t) => {
  const { product, metrics } = finish(OWN);
  t.deepEqual(metrics, PLAIN);
  t.is(product.taken[0]?.packed, undefined);
  product.listeners['task_instance.failed']({ taskInstance: { mapIndex: -1, task: OWN }, error: new Error('hunter2') });
  t.deepEqual(product.lastMetrics(), { ...PLAIN, status: 'failed' });
});

test('a full own task, in the order of the wire', (t) => {
  const profileConfig = { profileMappingClass: 'Mine', profileType: 'duckdb' };
  const task = {
    ...OWN,
    invocationMode: 'subprocess',
    baseCmd: ['run', '--full-refresh'],
    installDeps: false,
    callback: throws,
    profileConfig,
  };
  const { metrics } = finish(task, { mapIndex: 3, duration: 1.5 });
  t.deepEqual(Object.entries(metrics ?? {}), [
    ['status', 'success'],
    ['operator_name', 'DbtRunLocalOperator'],
    ['is_cosmos_operator_subclass', false],
    ['invocation_mode', 'subprocess'],
    ['execution_mode', 'local'],
    ['profile_strategy', 'mapping'],
    ['profile_mapping_class', 'Mine'],
    ['database', 'duckdb'],
    ['is_mapped_task', true],
    ['dbt_command', 'run --full-refresh'],
    ['install_deps', false],
    ['has_callback', true],
    ['duration', 1.5],
  ]);
});

test("nothing is published for a task that is not the product's, and nothing else of it is read", (t) => {
  const seen: (string | symbol)[] = [];
  const watch = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (object, key) => {
        seen.push(key);
        return Reflect.get(object, key) as unknown;
      },
    });
  const { product, outcome } = finish(watch({ ...OWN, module: 'airflow.operators.bash', isDbtOperator: false }));
  t.is(outcome, undefined);
  t.deepEqual(seen, ['module', 'isDbtOperator']);
  t.like(product.stats(), { published: 0, pending: 0, dropped: 0, fieldsDropped: 0 });
  for (const isDbtOperator of [undefined, null, 1, 'true', {}]) {
    t.is(finish({ module: 'cosmosx.operators.local', isDbtOperator }).product.stats().published, 0);
  }
});

test('ids, errors and the operator itself are not sent', (t) => {
  const instance = { dagId: 'payroll', taskId: 'secret_task', error: new Error('payroll'), user: 'payroll' };
  const { product } = finish({ ...OWN, taskId: 'payroll', sql: 'payroll' }, instance);
  t.deepEqual(product.lastMetrics(), PLAIN);
});

const MODULES: readonly [module: unknown, isDbtOperator: boolean, expected: object][] = [
  ['cosmos.operators.docker', false, { is_cosmos_operator_subclass: false, execution_mode: 'docker' }],
  ['cosmos.operators.local.deep', true, { is_cosmos_operator_subclass: false, execution_mode: 'local' }],
  ['cosmos.foo.bar', true, { is_cosmos_operator_subclass: false, execution_mode: null }],
  ['cosmos.operators', true, { is_cosmos_operator_subclass: false, execution_mode: null }],
  ['my.cosmos.operators.local', true, { is_cosmos_operator_subclass: true, execution_mode: null }],
  ['cosmos', true, { is_cosmos_operator_subclass: true, execution_mode: null }],
  ['', true, { is_cosmos_operator_subclass: true, execution_mode: null }],
  [undefined, true, { is_cosmos_operator_subclass: true, execution_mode: null }],
  [7, true, { is_cosmos_operator_subclass: true, execution_mode: null }],
];

for (const [module, isDbtOperator, expected] of MODULES) {
  test(`module ${String(module)}${isDbtOperator ? ' of a dbt operator' : ''}`, (t) => {
    t.like(finish({ module, isDbtOperator }).metrics, expected);
  });
}

test('an execution mode that is too long is left out and counted', (t) => {
  const { metrics, dropped } = finish({ ...OWN, module: `cosmos.operators.${'x'.repeat(257)}` });
  t.false('execution_mode' in (metrics ?? {}));
  t.is(dropped, 1);
  t.is(finish({ ...OWN, module: `cosmos.operators.local${'.'.repeat(20_000_000)}` }).metrics?.['execution_mode'], 'local');
});

const PROFILES: readonly [name: string, profileConfig: unknown, expected: unknown[], dropped: number][] = [
  ['no profile', undefined, [null, null, null], 0],
  ['null', null, [null, null, null], 0],
  ['a text', 'profile', [null, null, null], 0],
  ['an empty object', {}, ['mapping', null, null], 0],
  ['a file', { profilesYmlFilepath: 'p.yml', profileMappingClass: 'Mine', profileType: 'x' }, ['yaml_file', null, 'x'], 0],
  ['an empty path, which is given', { profilesYmlFilepath: '' }, ['yaml_file', null, null], 0],
  ['a file that is null', { profilesYmlFilepath: null, profileMappingClass: 'Mine' }, ['mapping', 'Mine', null], 0],
  ['a function for the type', { getProfileType: () => 'y', profileType: 'x' }, ['mapping', null, 'y'], 0],
  ['a function that says null', { getProfileType: () => null, profileType: 'x' }, ['mapping', null, null], 0],
  ['a function that throws', { getProfileType: throws, profileType: 'x' }, ['mapping', null, null], 0],
  ['a function that gives an object', { getProfileType: () => ({}) }, ['mapping', null, undefined], 1],
  ['a type that throws', throwing('profileType'), ['mapping', null, undefined], 1],
  ['a class that throws', throwing('profileMappingClass', { profileType: 'x' }), ['mapping', undefined, 'x'], 1],
  [
    'a path that throws',
    throwing('profilesYmlFilepath', { profileMappingClass: 'Mine', profileType: 'x' }),
    [undefined, undefined, 'x'],
    1,
  ],
  ['texts that are too long', { profileMappingClass: 'x'.repeat(257), profileType: 'x'.repeat(257) }, ['mapping', undefined, undefined], 2],
];

for (const [name, profileConfig, expected, lost] of PROFILES) {
  test(`profile: ${name}`, (t) => {
    const { metrics, dropped } = finish({ ...OWN, profileConfig });
    t.deepEqual([metrics?.['profile_strategy'], metrics?.['profile_mapping_class'], metrics?.['database']], expected);
    t.is(dropped, lost);
  });
}

test('the function for the type is called on its profile, and only for own tasks', (t) => {
  const profileConfig = {
    kind: 'postgres',
    getProfileType() {
      return this.kind;
    },
  };
  t.is(finish({ ...OWN, profileConfig }).metrics?.['database'], 'postgres');
  finish({ module: 'airflow.operators.bash', profileConfig: { getProfileType: () => t.fail() } });
});

test.serial('a function for the type that rejects does not end the process', async (t) => {
  const unhandled = await unhandledRejections(() => {
    const { metrics, dropped } = finish({ ...OWN, profileConfig: { getProfileType: rejects } });
    t.false('database' in (metrics ?? {}));
    t.is(dropped, 1);
  });
  t.deepEqual(unhandled, []);
});

const COMMANDS: readonly [name: string, baseCmd: unknown, expected: string | undefined, dropped: number][] = [
  ['nothing', undefined, undefined, 0],
  ['null', null, undefined, 0],
  ['an empty text', '', undefined, 0],
  ['an empty list', [], undefined, 0],
  ['nulls only', [null, null], undefined, 0],
  ['a text', 'deps', 'deps', 0],
  ['a list', ['run', '--full-refresh'], 'run --full-refresh', 0],
  ['nulls between', [null, 'source', null, 'freshness', undefined], 'source freshness', 0],
  ['64 parts', Array.from({ length: 64 }, () => 'x'), Array.from({ length: 64 }, () => 'x').join(' '), 0],
  ['65 parts', Array.from({ length: 65 }, () => 'x'), undefined, 1],
  // oxlint-disable-next-line unicorn/no-new-array -- a sparse array is what is meant
  ['four billion holes', new Array(4e9), undefined, 1],
  ['a number', 7, '7', 0],
  ['a list with a number', ['run', 7], undefined, 1],
  ['an object', { toString: throws }, undefined, 1],
  ['a text that is too long', 'x'.repeat(257), undefined, 1],
  ['a part that is too long', ['run', 'x'.repeat(257)], undefined, 1],
  ['parts that are too long together', ['x'.repeat(200), 'x'.repeat(200)], undefined, 1],
  ['a part that throws', throwing('0'), undefined, 1],
  ['a list whose part throws', Object.defineProperty(['run'], 1, { get: throws }), undefined, 2],
  ['a revoked proxy', revoked([]), undefined, 1],
  ['a promise', Promise.resolve('run'), undefined, 1],
];

for (const [name, baseCmd, expected, lost] of COMMANDS) {
  test(`command: ${name}`, (t) => {
    const { product, metrics, dropped } = finish({ ...OWN, baseCmd });
    t.is(product.taken.length, 1);
    t.is(metrics?.['dbt_command'], name === 'a number' ? 7 : expected);
    t.is(dropped, lost);
  });
}

test('only dbt operators have a command, dependencies and a callback', (t) => {
  const { metrics } = finish({ ...OWN, isDbtOperator: false, baseCmd: ['run'], installDeps: true, callback: throws });
  t.deepEqual(metrics, PLAIN);
});

const CALLBACKS: readonly [name: string, callback: unknown, expected: boolean][] = [
  ['nothing', undefined, false],
  ['null', null, false],
  ['an empty list', [], false],
  ['nulls only', [null, undefined], false],
  ['a function', throws, true],
  ['a list with a function', [null, throws], true],
  ['an object that is called', {}, true],
  ['a list whose member throws', Object.defineProperty([null], 1, { get: throws }), false],
  // oxlint-disable-next-line unicorn/no-new-array -- a sparse array is what is meant
  ['four billion holes', new Array(4e9), false],
];

for (const [name, callback, expected] of CALLBACKS) {
  test(`callback: ${name}`, (t) => {
    t.is(finish({ ...OWN, callback }).metrics?.['has_callback'], expected);
  });
}

test('the callback itself is never called', (t) => {
  t.is(finish({ ...OWN, callback: [() => t.fail()] }).metrics?.['has_callback'], true);
});

test('a task is mapped if its index is 0 or more', (t) => {
  for (const mapIndex of [0, -0, 5]) t.true(finish(OWN, { mapIndex }).metrics?.['is_mapped_task']);
  for (const mapIndex of [-1, NaN, '1', undefined, null, {}]) t.false(finish(OWN, { mapIndex }).metrics?.['is_mapped_task']);
});

test('a value of the wrong type costs its field, and is counted', (t) => {
  const bad = { operatorName: {}, invocationMode: [], installDeps: throws };
  const { metrics, dropped } = finish({ ...OWN, ...bad }, { duration: 7n });
  const { operator_name: _, invocation_mode: __, ...rest } = PLAIN;
  t.deepEqual(metrics, rest);
  t.is(dropped, 4);
});

test('the metrics of a task do not change with the objects of the host', (t) => {
  const task = { ...OWN, baseCmd: ['run'], profileConfig: { profileType: 'postgres' } };
  const { metrics } = finish(task);
  const before = structuredClone(metrics);
  Object.assign(task, { operatorName: 'Other', invocationMode: 'subprocess' });
  task.baseCmd.push('--full-refresh');
  task.profileConfig.profileType = 'other';
  t.deepEqual(metrics, before);
  t.is(metrics?.['dbt_command'], 'run');
});

/** An object that records which of its properties are read. */
function noting(values: Record<string, unknown>): { object: object; asked: string[] } {
  const asked: string[] = [];
  const object = Object.fromEntries(Object.keys(values).map((name) => [name, undefined]));
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(object, name, {
      get: () => {
        asked.push(name);
        return value;
      },
    });
  }
  return { object, asked };
}

test('of a task that is not own, only the module and the flag are read, and nothing of its instance', (t) => {
  const { object: task, asked } = noting({
    module: 'airflow.operators.bash',
    isDbtOperator: false,
    operatorName: 'B',
    profileConfig: {},
    callback: [],
  });
  const instance = noting({ task, mapIndex: 1, duration: 2 });
  const product = new FakeProduct();
  t.is(product.listeners['task_instance.success']({ taskInstance: instance.object }), undefined);
  t.deepEqual(asked, ['module', 'isDbtOperator']);
  t.deepEqual(instance.asked, ['task']);
});

test('the command of an own task that is no dbt operator is not read', (t) => {
  const { object, asked } = noting({
    module: 'cosmos.operators.local',
    isDbtOperator: false,
    baseCmd: ['run'],
    installDeps: true,
    callback: [throws],
  });
  const { metrics, dropped } = finish(object);
  t.is(metrics?.['has_callback'], false);
  t.is(dropped, 0);
  t.deepEqual(asked, ['module', 'isDbtOperator']);
});

test('a property of a profile that another one replaces is not read', (t) => {
  const profile = noting({
    profilesYmlFilepath: '/p.yml',
    profileMappingClass: 'M',
    getProfileType: () => 'postgres',
    profileType: 'mysql',
  });
  const { metrics } = finish({ ...OWN, profileConfig: profile.object });
  t.like(metrics, { profile_strategy: 'yaml_file', profile_mapping_class: null, database: 'postgres' });
  t.deepEqual(profile.asked, ['profilesYmlFilepath', 'getProfileType']);
  const failing = {
    profilesYmlFilepath: '/p.yml',
    get profileMappingClass() {
      return throws();
    },
    getProfileType: () => 'postgres',
  };
  t.is(finish({ ...OWN, profileConfig: failing }).dropped, 0, 'a property that throws but is not read costs nothing');
});

test('the type of a profile is read even if its file cannot be', (t) => {
  const profile = throwing('profilesYmlFilepath', { profileMappingClass: 'M', profileType: 'postgres' });
  const { metrics, dropped } = finish({ ...OWN, profileConfig: profile });
  t.is(metrics?.['database'], 'postgres');
  t.false('profile_strategy' in (metrics ?? {}) && metrics?.['profile_strategy'] !== undefined);
  t.is(dropped, 1);
});
