import { EventEmitter as NodeEmitter } from 'node:events';
import test from 'ava';
import { EventEmitter } from 'eventemitter3';
import type { HostEmitter, HostEvents } from '../../src/listeners/host.js';
import type { EventNames } from '../../src/listeners/register.js';
import { mitt } from '../helpers/mitt.js';
import { FakeProduct } from '../helpers/product.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const RUN = { dagRun: { dagId: 'd', dag: { tasks: [{ module: 'cosmos.operators.local' }] } } };
const TASK = { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: { module: 'cosmos.operators.local' } } };

const PAYLOADS: HostEvents = { 'dag_run.success': RUN, 'dag_run.failed': RUN, 'task_instance.success': TASK, 'task_instance.failed': TASK };
const NAMES = Object.keys(PAYLOADS) as (keyof HostEvents)[];

interface Host {
  host: HostEmitter;
  emit: (name: string, payload?: unknown) => void;
}

/** A host that has only the older pair of methods. */
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
  test(`${name}: listens to the four events, until it is undone`, (t) => {
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

  test(`${name}: under other names`, (t) => {
    const product = new FakeProduct();
    const host = make();
    const events: EventNames = { 'dag_run.success': 'run:ok', 'task_instance.failed': 'task:failed' };
    product.registry.register(host.host, events);
    host.emit('dag_run.success', RUN);
    t.is(product.taken.length, 0);
    emitAll(host, events);
    t.is(product.taken.length, 4);
  });

  test(`${name}: once for each host, whatever is asked again`, (t) => {
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

  test(`${name}: an event without a payload is counted as invalid and does not throw`, (t) => {
    const product = new FakeProduct();
    const host = make();
    product.registry.register(host.host);
    for (const event of NAMES) t.notThrows(() => host.emit(event));
    t.like(product.stats(), { published: 4, dropped: 4, pending: 0, reasons: { invalid: 4 } });
    t.is(product.lines.length, 1);
  });
}

test('an EventTarget whose event has no detail is no exception', (t) => {
  const product = new FakeProduct();
  const host = new EventTarget();
  product.registry.register(host);
  host.dispatchEvent(new Event('dag_run.success'));
  t.like(product.stats(), { published: 1, dropped: 1, reasons: { invalid: 1 } });
});

test('an old way back that is taken again leaves a newer registration alone', (t) => {
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

test('several hosts are listened to and left each on its own', (t) => {
  const product = new FakeProduct();
  const hosts = Object.values(HOSTS).map((make) => make());
  const undos = hosts.map(({ host }) => product.registry.register(host));
  for (const host of hosts) emitAll(host);
  t.is(product.taken.length, 4 * hosts.length);
  undos[0]?.();
  for (const host of hosts) emitAll(host);
  t.is(product.taken.length, 4 * hosts.length + 4 * (hosts.length - 1));
});

test('close() leaves all hosts, takes no new one, and makes the way back a no-op', (t) => {
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

test('opted out, nothing is registered at all', (t) => {
  const host = { on: () => t.fail(), off: () => t.fail() };
  const product = new FakeProduct({ open: false });
  const undo = product.registry.register(host);
  t.notThrows(undo);
  const late = new FakeProduct();
  late.isOptedOut = true;
  const undoLate = late.registry.register(host);
  t.notThrows(undoLate);
});

test('an opt-out that appears while running is seen before a payload is looked at', (t) => {
  const product = new FakeProduct();
  const host = new NodeEmitter();
  product.registry.register(host);
  product.isOptedOut = true;
  product.gate.check();
  host.emit('dag_run.success', new Proxy({}, { get: () => t.fail() }));
  host.emit('dag_run.success', undefined);
  t.like(product.stats(), { published: 0, pending: 0, dropped: 0, fieldsDropped: 0 });
});

test('a host that throws half-way is rolled back, and gets its own error', (t) => {
  const product = new FakeProduct();
  const host = new NodeEmitter();
  const on = host.on.bind(host);
  let left = 2;
  const error = new Error('full');
  host.on = (name, handler) => {
    // Added all the same, as a host may that throws afterwards.
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

test('a host that does not let go harms nobody, and what it still emits is accounted for', (t) => {
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

test('a host that registers or closes again from within is registered once, or not at all', (t) => {
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

test('what cannot be listened to, or names that are none, are mistakes of the caller', (t) => {
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

test('a function that has the methods is a host too', (t) => {
  const inner = new NodeEmitter();
  const host = Object.assign(() => undefined, { on: inner.on.bind(inner), off: inner.off.bind(inner) });
  const product = new FakeProduct();
  const undo = product.registry.register(host);
  inner.emit('dag_run.success', RUN);
  t.is(product.taken.length, 1);
  undo();
  t.deepEqual(inner.eventNames(), []);
});

test.serial('the detail of an event may be a promise that its getter makes: no payload, and no rejection for the process', async (t) => {
  const product = new FakeProduct();
  const host = new EventTarget();
  product.registry.register(host);
  const event = Object.defineProperty(new Event('dag_run.success'), 'detail', { get: () => Promise.reject(new Error('hunter2')) });
  const unhandled = await unhandledRejections(() => host.dispatchEvent(event));
  t.deepEqual(unhandled, []);
  t.like(product.stats(), { published: 1, dropped: 1, reasons: { invalid: 1 } });
});
