import { EventEmitter as NodeEmitter } from 'node:events';
import test from 'ava';
import { EventEmitter } from 'eventemitter3';
import { COSMOS_ENDPOINT } from '../../src/base/constants.js';
import { productDagHash } from '../../src/events/product-events.js';
import type { Dag, HostEmitter, HostEvents, ProfileConfig, Task } from '../../src/listeners/host.js';
import type { EventNames } from '../../src/listeners/register.js';
import type { UsageMetrics } from '../../src/wire/python.js';
import { mitt } from '../helpers/mitt.js';
import { FakeProduct } from '../helpers/product.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';
import { readVectors } from '../helpers/vectors.js';

const RUN = { dagRun: { dagId: 'd', dag: { tasks: [{ module: 'cosmos.operators.local' }] } } };
const TASK = { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: { module: 'cosmos.operators.local' } } };

const PAYLOADS: HostEvents = { 'dag_run.success': RUN, 'dag_run.failed': RUN, 'task_instance.success': TASK, 'task_instance.failed': TASK };
const NAMES = Object.keys(PAYLOADS) as (keyof HostEvents)[];

interface Host {
  host: HostEmitter;
  emit: (name: string, payload?: unknown) => void;
}

/** A host with the older pair of methods only. */
class OldHost {
  readonly #inner = new NodeEmitter();
  addListener(name: string, handler: (payload: unknown) => void): void {
    this.#inner.on(name, handler);
  }
  removeListener(name: string, handler: (payload: unknown) => void): void {
    this.#inner.off(name, handler);
  }
  emit(name: string, payload: unknown): void {
    this.#inner.emit(name, payload);
  }
}

function emitting(host: HostEmitter & { emit(name: string, payload: unknown): unknown }): Host {
  return { host, emit: (name, payload) => host.emit(name, payload) };
}

function eventTarget(): Host {
  const host = new EventTarget();
  return { host, emit: (name, detail) => host.dispatchEvent(new CustomEvent(name, { detail })) };
}

const HOSTS: Readonly<Record<string, () => Host>> = {
  'node:events': () => emitting(new NodeEmitter()),
  eventemitter3: () => emitting(new EventEmitter()),
  mitt: () => emitting(mitt()),
  'addListener and removeListener': () => emitting(new OldHost()),
  EventTarget: eventTarget,
};

function emitAll(host: Host, names: EventNames = {}): void {
  for (const name of NAMES) host.emit(names[name] ?? name, PAYLOADS[name]);
}

for (const [name, make] of Object.entries(HOSTS)) {
  test(`${name}: listens to the four events until it is unregistered`, (t) => {
    const product = new FakeProduct();
    const host = make();
    const undo = product.registry.register(host.host);
    emitAll(host);
    t.deepEqual(
      product.taken.map(({ definition, metrics }) => [definition.type, metrics['status']]),
      [
        ['dag_run', 'success'],
        ['dag_run', 'failed'],
        ['task_instance', 'success'],
        ['task_instance', 'failed'],
      ],
    );
    undo();
    emitAll(host);
    t.is(product.taken.length, 4);
    t.notThrows(undo);
  });

  test(`${name}: listens under other event names`, (t) => {
    const product = new FakeProduct();
    const host = make();
    const events: EventNames = { 'dag_run.success': 'run:ok', 'task_instance.failed': 'task:failed' };
    product.registry.register(host.host, events);
    host.emit('dag_run.success', RUN);
    t.is(product.taken.length, 0);
    emitAll(host, events);
    t.is(product.taken.length, 4);
  });

  test(`${name}: a host is registered once, also if it is registered again`, (t) => {
    const product = new FakeProduct();
    const host = make();
    const undo = product.registry.register(host.host);
    t.is(product.registry.register(host.host), undo);
    t.is(product.registry.register(host.host, { 'dag_run.success': 'run:ok' }), undo);
    host.emit('dag_run.success', RUN);
    t.is(product.taken.length, 1);
    undo();
    const undoSecond = product.registry.register(host.host);
    host.emit('dag_run.success', RUN);
    t.is(product.taken.length, 2);
    undoSecond();
    host.emit('dag_run.success', RUN);
    t.is(product.taken.length, 2);
  });

  test(`${name}: an event without a payload does not throw, and is counted as invalid`, (t) => {
    const product = new FakeProduct();
    const host = make();
    product.registry.register(host.host);
    for (const event of NAMES) t.notThrows(() => host.emit(event));
    t.like(product.stats(), { published: 4, dropped: 4, pending: 0, reasons: { invalid: 4 } });
    t.is(product.lines.length, 1);
  });
}

test('an event without a detail is counted as invalid', (t) => {
  const product = new FakeProduct();
  const host = new EventTarget();
  product.registry.register(host);
  host.dispatchEvent(new Event('dag_run.success'));
  t.like(product.stats(), { published: 1, dropped: 1, reasons: { invalid: 1 } });
});

test('an old function to unregister leaves a newer registration alone', (t) => {
  const product = new FakeProduct();
  const host = emitting(new NodeEmitter());
  const undoFirst = product.registry.register(host.host);
  undoFirst();
  const undoSecond = product.registry.register(host.host);
  undoFirst();
  t.is(product.registry.register(host.host), undoSecond);
  host.emit('dag_run.success', RUN);
  t.is(product.taken.length, 1);
  product.registry.close();
  host.emit('dag_run.success', RUN);
  t.is(product.taken.length, 1);
});

test('several hosts are registered and unregistered independently', (t) => {
  const product = new FakeProduct();
  const hosts = Object.values(HOSTS).map((make) => make());
  const undos = hosts.map(({ host }) => product.registry.register(host));
  for (const host of hosts) emitAll(host);
  t.is(product.taken.length, 4 * hosts.length);
  undos[0]?.();
  for (const host of hosts) emitAll(host);
  t.is(product.taken.length, 4 * hosts.length + 4 * (hosts.length - 1));
});

test('close() unregisters all hosts and accepts no new one', (t) => {
  const product = new FakeProduct();
  const hosts = [new NodeEmitter(), new NodeEmitter()] as const;
  const undo = product.registry.register(hosts[0]);
  product.registry.register(hosts[1]);
  product.registry.close();
  for (const host of hosts) t.deepEqual(host.eventNames(), []);
  t.notThrows(undo);
  const late = new NodeEmitter();
  const undoNothing = product.registry.register(late);
  t.deepEqual(late.eventNames(), []);
  t.notThrows(undoNothing);
  t.notThrows(() => {
    product.registry.close();
  });
});

test('nothing is registered after an opt-out', (t) => {
  const host = { on: () => t.fail(), off: () => t.fail() };
  const product = new FakeProduct({ open: false });
  const undo = product.registry.register(host);
  t.notThrows(undo);
  const late = new FakeProduct();
  late.isOptedOut = true;
  const undoLate = late.registry.register(host);
  t.notThrows(undoLate);
});

test('after an opt-out no payload is read', (t) => {
  const product = new FakeProduct();
  const host = new NodeEmitter();
  product.registry.register(host);
  product.isOptedOut = true;
  product.gate.check();
  host.emit('dag_run.success', new Proxy({}, { get: () => t.fail() }));
  host.emit('dag_run.success', undefined);
  t.like(product.stats(), { published: 0, pending: 0, dropped: 0, fieldsDropped: 0 });
});

test('a registration that throws half-way is rolled back, and throws the error of the host', (t) => {
  const product = new FakeProduct();
  const host = new NodeEmitter();
  const on = host.on.bind(host);
  let left = 2;
  const error = new Error('full');
  host.on = (name, handler) => {
    // Adds first, as a host may that throws afterwards.
    on(name, handler);
    if (left === 0) throw error;
    left -= 1;
    return host;
  };
  t.is(
    t.throws(() => product.registry.register(host)),
    error,
  );
  t.deepEqual(host.eventNames(), []);
  left = 99;
  product.registry.register(host);
  host.emit('dag_run.success', RUN);
  t.is(product.taken.length, 1);
});

test('a host that throws when it is unregistered does no harm, and later events are counted', (t) => {
  const product = new FakeProduct();
  const host = new NodeEmitter();
  host.off = () => {
    throw new Error('hunter2');
  };
  const undo = product.registry.register(host);
  t.notThrows(undo);
  t.notRegex(product.lines.join('\n'), /hunter2/);
  t.is(product.lines.length, 1);
  product.bus.close();
  host.emit('dag_run.success', RUN);
  t.like(product.stats(), { published: 1, dropped: 1, reasons: { closed: 1 } });
});

test('a host that registers or closes while it is registered is registered once, or not at all', (t) => {
  const product = new FakeProduct();
  const host = new NodeEmitter();
  host.on('newListener', () => {
    product.registry.register(host);
  });
  product.registry.register(host);
  t.is(host.listenerCount('dag_run.success'), 1);
  const closing = new NodeEmitter();
  closing.on('newListener', () => {
    product.registry.close();
  });
  product.registry.register(closing);
  t.is(closing.listenerCount('dag_run.success') + closing.listenerCount('task_instance.failed'), 0);
});

test('an unusable host or invalid event names throw a TypeError', (t) => {
  const { registry } = new FakeProduct();
  const half = { on: () => undefined };
  for (const host of [undefined, null, 7, 'host', {}, half, { on: 1, off: 1 }, { addEventListener: () => undefined }]) {
    t.throws(() => registry.register(host as HostEmitter), { instanceOf: TypeError, message: /`host`/ });
  }
  const host = new NodeEmitter();
  const names: unknown[] = [
    null,
    7,
    'names',
    { 'dag_run.skipped': 'x' },
    { toString: 'x' },
    { 'dag_run.success': '' },
    { 'dag_run.success': 7 },
  ];
  names.push({ 'dag_run.success': 'done', 'dag_run.failed': 'done' }, { 'dag_run.success': 'dag_run.failed' });
  for (const events of names) {
    t.throws(() => registry.register(host, events as EventNames), { instanceOf: TypeError, message: /`events/ });
  }
  t.deepEqual(host.eventNames(), []);
  registry.register(host, { 'dag_run.success': 'dag_run.failed', 'dag_run.failed': 'dag_run.success' });
  t.is(host.eventNames().length, 4);
});

test('a function with the methods is a host, too', (t) => {
  const inner = new NodeEmitter();
  const host = Object.assign(() => undefined, { on: inner.on.bind(inner), off: inner.off.bind(inner) });
  const product = new FakeProduct();
  const undo = product.registry.register(host);
  inner.emit('dag_run.success', RUN);
  t.is(product.taken.length, 1);
  undo();
  t.deepEqual(inner.eventNames(), []);
});

test.serial('a detail that is a rejected promise is no payload, and does not end the process', async (t) => {
  const product = new FakeProduct();
  const host = new EventTarget();
  product.registry.register(host);
  const event = Object.defineProperty(new Event('dag_run.success'), 'detail', { get: () => Promise.reject(new Error('hunter2')) });
  const unhandled = await unhandledRejections(() => host.dispatchEvent(event));
  t.deepEqual(unhandled, []);
  t.like(product.stats(), { published: 1, dropped: 1, reasons: { invalid: 1 } });
});

/** Every case recorded from Cosmos, from the host event to the request. */

interface RunVectors {
  standard_metrics: UsageMetrics;
  cases: { name: string; status: 'success' | 'failed'; dag_id: string; dag: Dag; url: string | null }[];
}

interface RecordedProfile {
  profiles_yml_filepath?: string;
  profile_mapping_class?: string;
  profile_type: string | null;
}

interface TaskVectors {
  standard_metrics: UsageMetrics;
  cases: {
    name: string;
    status: 'success' | 'failed';
    map_index: number;
    duration: number | null;
    task: {
      module: string;
      operator_name: string;
      is_dbt_operator: boolean;
      invocation_mode?: string;
      base_cmd?: string | (string | null)[] | null;
      install_deps?: boolean | null;
      callback?: 'function' | (null | 'function')[];
      profile_config?: RecordedProfile;
    };
    url: string | null;
  }[];
}

function callbackOf(recorded: 'function' | null | (null | 'function')[]): unknown {
  if (Array.isArray(recorded)) return recorded.map((one) => callbackOf(one));
  return recorded === 'function' ? () => undefined : recorded;
}

function profileOf({ profiles_yml_filepath, profile_mapping_class, profile_type: type }: RecordedProfile): ProfileConfig {
  return {
    ...(profiles_yml_filepath !== undefined && { profilesYmlFilepath: profiles_yml_filepath }),
    ...(profile_mapping_class !== undefined && { profileMappingClass: profile_mapping_class }),
    getProfileType: () => {
      if (type === null) throw new Error('no such profile');
      return type;
    },
  };
}

function taskOf(recorded: TaskVectors['cases'][number]['task']): Task {
  return {
    module: recorded.module,
    operatorName: recorded.operator_name,
    isDbtOperator: recorded.is_dbt_operator,
    ...(recorded.invocation_mode !== undefined && { invocationMode: recorded.invocation_mode }),
    ...(recorded.base_cmd !== undefined && { baseCmd: recorded.base_cmd }),
    ...(recorded.install_deps !== undefined && { installDeps: recorded.install_deps }),
    ...(recorded.callback !== undefined && { callback: callbackOf(recorded.callback) }),
    ...(recorded.profile_config && { profileConfig: profileOf(recorded.profile_config) }),
  };
}

function urlOf(product: FakeProduct, standard: UsageMetrics): string | null {
  const event = product.built(standard);
  return event === undefined ? null : COSMOS_ENDPOINT + event.requestTarget();
}

const runs = readVectors('dag_runs.json') as RunVectors;

for (const { name, status, dag_id: dagId, dag, url } of runs.cases) {
  test(`dag_runs.json: ${name}`, (t) => {
    const product = new FakeProduct({ dagHash: productDagHash('cosmos') });
    t.is(product.listeners[`dag_run.${status}`]({ dagRun: { dagId, dag }, msg: 'done' }), undefined);
    t.is(urlOf(product, runs.standard_metrics), url);
    t.is(product.taken.length, url === null ? 0 : 1);
  });
}

const tasks = readVectors('task_instances.json') as TaskVectors;

for (const { name, status, map_index: mapIndex, duration, task, url } of tasks.cases) {
  test(`task_instances.json: ${name}`, (t) => {
    const product = new FakeProduct();
    const taskInstance = { dagId: 'dag', taskId: 'task', mapIndex, duration, task: taskOf(task) };
    t.is(product.listeners[`task_instance.${status}`]({ previousState: 'running', taskInstance }), undefined);
    t.is(urlOf(product, tasks.standard_metrics), url);
    t.is(product.taken.length, url === null ? 0 : 1);
    t.is(product.stats().fieldsDropped, 0);
  });
}

test('a whole number of seconds is sent as a float', (t) => {
  const product = new FakeProduct();
  const task = { module: 'cosmos.operators.local' };
  product.listeners['task_instance.success']({ taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, duration: 7, task } });
  t.regex(product.built()?.requestTarget() ?? '', /&duration=7\.0$/);
});

test('another product has its own prefix, keys and param', (t) => {
  const product = new FakeProduct({ product: 'acme', choices: { dbt: true, executionModes: ['local', 'docker'] } });
  const dag = {
    tasks: [{ module: 'acme.operators.local' }, { module: 'cosmos.operators.local' }],
    params: { __acme_telemetry_metadata__: 'own', __cosmos_telemetry_metadata__: "another's" },
  };
  product.listeners['dag_run.failed']({ dagRun: { dagId: 'd', dag } });
  t.deepEqual(product.lastMetrics(), { status: 'failed', task_count: 2, acme_task_count: 1, execution_modes: 'local' });
  t.is(product.taken[0]?.packed, 'own');
  const own = { dagId: 'd', taskId: 't', mapIndex: 0, task: { module: 'acme.operators.docker', isDbtOperator: true } };
  product.listeners['task_instance.failed']({ taskInstance: own });
  t.like(product.lastMetrics(), { is_acme_operator_subclass: false, execution_mode: 'docker', is_mapped_task: true });
  const foreign = { ...own, task: { module: 'cosmos.operators.local' } };
  product.listeners['task_instance.failed']({ taskInstance: foreign });
  t.is(product.taken.length, 2);
});

test('a second registration with another map, and one after close(), are said in the log', async (t) => {
  const lines: string[] = [];
  const rig = telemetryRig({ logger: { warn: (line: string) => void lines.push(line), debug: () => undefined } });
  const host = new EventEmitter();
  const map = { done: () => undefined };
  const undo = rig.telemetry.register(host, { map });
  t.is(rig.telemetry.register(host, { map }), undo);
  t.deepEqual(lines, []);
  t.is(rig.telemetry.register(host, { map: { other: () => undefined } }), undo);
  t.deepEqual(host.eventNames(), ['done']);
  await rig.telemetry.close();
  rig.telemetry.register(host, { map });
  t.deepEqual(lines, [
    '[telemetry] registered_before: a host is registered with another `map`, which stays: unregister it first',
    '[telemetry] registered_late: register() has no effect after close()',
  ]);
});
