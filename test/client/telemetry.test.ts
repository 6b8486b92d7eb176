import { createHook } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import test from 'ava';
import { compressTelemetryMetadata, count, createTelemetry, defineEvent, TELEMETRY_METADATA_PARAM } from '../../src/index.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { thisMachine } from '../../src/base/machine.js';
import type { Transport } from '../../src/index.js';
import { startCollector } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { telemetryRig, virtualMachine } from '../helpers/telemetry-rig.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

const product = { name: 'acme', version: '1.0.0' } as const;
const field = count({ description: 'How many.', reason: 'To test.' });

/** Takes any object, as from JavaScript, because most options here are wrong on purpose. */
function create(options: object): unknown {
  return createTelemetryWith({ product, endpoint: 'https://collector.test', env: {}, ...options }, virtualMachine(new VirtualClock()));
}

const nowhere: Transport['send'] = () => Promise.resolve({ kind: 'aborted' });

for (const [options, message] of [
  [{ endpoint: undefined }, 'Expected `endpoint` to be a URL, got undefined: there is no default, and no `transport` was given.'],
  [{ product: undefined }, 'Expected `product` to be an object, got undefined.'],
  [{ product: 'acme' }, 'Expected `product` to be an object, got "acme".'],
  [{ product: { name: 'Acme', version: '1' } }, 'Expected `product.name` to match ^[a-z][a-z0-9_]{0,31}$, got "Acme".'],
  [{ product: { name: 'a/../b', version: '1' } }, 'Expected `product.name` to match ^[a-z][a-z0-9_]{0,31}$, got "a/../b".'],
  [{ product: { name: 'acme' } }, 'Expected `product.version` to be a version, got undefined.'],
  [{ product: { name: 'acme', version: 'one two' } }, 'Expected `version` to be a version, got "one two".'],
  [{ product: { ...product, vendor: 'x' } }, 'Expected `product` to have known keys only, got `vendor` with "x".'],
  [{ host: { name: 'Air Flow' } }, 'Expected `host.name` to match ^[a-z][a-z0-9_]{0,31}$, got "Air Flow".'],
  [{ host: { version: 2 } }, 'Expected `version` to be a version, got 2.'],
  [{ host: { name: 'acme', version: '2' } }, 'Expected product and host to have different names, got "acme" twice.'],
  [{ retry: 3 }, 'Expected `options` to have known keys only, got `retry` with 3.'],
  [{ enabled: true }, 'Expected `enabled` to be false or left out (it can only opt out), got true.'],
  [{ consent: 'yes' }, 'Expected `consent` to be one of "opt-out", "opt-in", got "yes".'],
  [{ maxPendingEvents: 0 }, 'Expected `maxPendingEvents` to be a whole number from 1 to 10000000, got 0.'],
  [{ concurrency: 1.5 }, 'Expected `concurrency` to be a whole number from 1 to 256, got 1.5.'],
  [{ drainConcurrency: '24' }, 'Expected `drainConcurrency` to be a whole number from 1 to 256, got "24".'],
  [{ connectTimeoutMs: NaN }, 'Expected `connectTimeoutMs` to be a number of milliseconds from 1 to 3600000, got NaN.'],
  [{ attemptTimeoutMs: -1 }, 'Expected `attemptTimeoutMs` to be a number of milliseconds from 1 to 3600000, got -1.'],
  [{ exitDeadlineMs: Infinity }, 'Expected `exitDeadlineMs` to be a number of milliseconds from 0 to 3600000, got Infinity.'],
  [{ retries: null }, 'Expected `retries` to be a whole number from 0 to 100, got null.'],
  [
    { allowedRedirectHosts: 'a.test' },
    'Expected `allowedRedirectHosts` to be a list of host names without scheme, port or wildcard, got "a.test".',
  ],
  [{ proxy: true }, 'Expected `proxy` to be a URL or false, got true.'],
  [{ drainOnExit: 'no' }, 'Expected `drainOnExit` to be one of true, false, got "no".'],
  [{ logger: {} }, 'Expected `logger` to be an object with `debug()` and `warn()`, got an object.'],
  [{ dagHash: 'md5' }, 'Expected `dagHash` to be a function, got "md5".'],
  [{ transport: () => 1 }, 'Expected `transport` to be an object with `send()`, got a function.'],
  [{ transport: new ScriptedTransport({ maxBatchSize: 0 }) }, 'Expected `maxBatchSize` to be a whole number from 1 to 10000000, got 0.'],
  [{ transport: { send: nowhere, lingerMs: -1 } }, 'Expected `lingerMs` to be a number of milliseconds from 0 to 3600000, got -1.'],
  [{ transport: { send: nowhere, maxBatchBytes: 0 } }, 'Expected `maxBatchBytes` to be a whole number from 1 to 9007199254740991, got 0.'],
  [{ transport: { send: nowhere, bytesOf: 7 } }, 'Expected `bytesOf` to be a function, got 7.'],
  [{ env: 'x' }, 'Expected `env` to be an object, got "x".'],
  [{ events: {} }, 'Expected `events` to be a list of event definitions, got an object.'],
  [{ events: [defineEvent('dag_run', { a: field })] }, 'Expected `events` not to have the name of a standard event, got "dag_run".'],
  [{ events: [{ type: 'x/y', fields: {} }] }, 'Expected event type to match ^[a-z][a-z0-9_]{0,31}$, got "x/y".'],
  [
    { events: [defineEvent('mine', { acme_version: field })] },
    'Expected `events` not to declare standard metrics, got field "acme_version" of event "mine".',
  ],
] as const) {
  test(`a wrong option throws at construction: ${message}`, (t) => {
    t.throws(() => create(options), { instanceOf: TypeError, message });
  });
}

for (const endpoint of [
  'ftp://collector.test',
  'not a url',
  '',
  'https://me:hunter2@collector.test',
  'https://collector.test/?key=hunter2',
  'https://collector.test/#x',
  7,
]) {
  test(`a wrong endpoint throws, and the message shows no secret: ${String(endpoint).replace('hunter2', '...')}`, (t) => {
    const error = t.throws(() => create({ endpoint }), { instanceOf: TypeError });
    t.regex(error.message, /`?endpoint`?/);
    t.notRegex(error.message, /hunter2/);
  });
}

test('an undefined option counts as left out', (t) => {
  t.notThrows(() => create({ concurrency: undefined, logger: undefined, proxy: undefined, events: undefined, host: undefined }));
});

test('register() throws for an unknown option', (t) => {
  const { telemetry } = telemetryRig();
  t.throws(() => telemetry.register(new EventEmitter(), { event: {} } as object), {
    instanceOf: TypeError,
    message: 'Expected `options` to have known keys only, got `event` with an object.',
  });
});

for (const [name, options] of [
  ['DO_NOT_TRACK', { env: { DO_NOT_TRACK: '1' } }],
  ['SCARF_NO_ANALYTICS', { env: { SCARF_NO_ANALYTICS: 'true' } }],
  ["the product's own switch", { env: { ACME_TELEMETRY: 'off' } }],
  ['an option', { enabled: false }],
  ['a missing consent', { consent: 'opt-in' }],
] as const) {
  test(`opted out by ${name}: nothing is registered, accepted, counted, scheduled or sent`, async (t) => {
    const { telemetry, transport, clock } = telemetryRig(options);
    const host = new EventEmitter();
    const undo = telemetry.register(host);
    t.deepEqual(host.eventNames(), []);
    t.false(telemetry.enabled);
    t.false(telemetry.publish('tick', {}));
    t.false(telemetry.bus.publish('tick', {}));
    t.notThrows(undo);
    await clock.advance(10_000);
    const nothing = {
      published: 0,
      sent: 0,
      handedOver: 0,
      failed: 0,
      dropped: 0,
      pending: 0,
      reasons: {},
      fieldsDropped: 0,
      metadataUnreadable: 0,
    };
    t.deepEqual(telemetry.stats(), nothing);
    t.like(await telemetry.drain(), nothing);
    t.like(await telemetry.close(), nothing);
    t.deepEqual([clock.pendingTimers, clock.pendingDeferred, transport.sends.length], [0, 0, 0]);
  });
}

test("opt-in waits for the person's own yes, and ends when it is taken back", async (t) => {
  const { telemetry, publish, env, clock } = telemetryRig({ consent: 'opt-in', env: { ACME_TELEMETRY: 'on' } });
  t.true(telemetry.enabled);
  await publish(1);
  delete env['ACME_TELEMETRY'];
  t.false(telemetry.enabled);
  await clock.advance(0);
  t.like(telemetry.stats(), { published: 1, pending: 0, reasons: { aborted: 1 } });
});

test('an opt-out while running removes the host listeners', (t) => {
  const { telemetry, env } = telemetryRig();
  const host = new EventEmitter();
  telemetry.register(host);
  t.is(host.eventNames().length, 4);
  env['DO_NOT_TRACK'] = 'yes';
  t.false(telemetry.enabled);
  t.deepEqual(host.eventNames(), []);
  telemetry.register(host);
  t.deepEqual(host.eventNames(), []);
});

test('close removes the host listeners, and a host that is registered later gets none', async (t) => {
  const { telemetry } = telemetryRig();
  const host = new EventEmitter();
  telemetry.register(host);
  await telemetry.close();
  t.deepEqual(host.eventNames(), []);
  telemetry.register(host);
  t.deepEqual(host.eventNames(), []);
});

test("the product's name replaces cosmos in all names, and its metadata has a param of its own", async (t) => {
  const { telemetry, transport, clock } = telemetryRig();
  const host = new EventEmitter();
  telemetry.register(host);
  const params = { [TELEMETRY_METADATA_PARAM]: 'eJyrVkpJLElMSixOVbJSKsgvLkkvSi1WqgUAdC8JaQ==' };
  const tasks = [{ module: 'acme.operators.local' }, { module: 'cosmos.operators.local' }];
  host.emit('dag_run.success', { dagRun: { dagId: 'orders', dag: { params, tasks } } });
  host.emit('task_instance.failed', {
    taskInstance: { dagId: 'orders', taskId: 't', mapIndex: -1, task: { module: 'x.y', isDbtOperator: true, operatorName: 'Mine' } },
  });
  await clock.advance(0);
  t.deepEqual(
    transport.sends.map(({ events }) => events[0]?.requestTarget()),
    [
      '/v3/dag_run?acme_version=1.0.0&node_version=20.19.0&platform_system=Linux&platform_machine=x86_64&status=success&task_count=2&acme_task_count=1',
      '/v3/task_instance?acme_version=1.0.0&node_version=20.19.0&platform_system=Linux&platform_machine=x86_64&status=failed&operator_name=Mine&is_mapped_task=False&has_callback=False',
    ],
  );
});

test('a DAG id is hashed for cosmos, and for another product only by its own function', async (t) => {
  const hashes: unknown[] = [];
  for (const options of [
    { product: { name: 'cosmos', version: '1.12.0' } },
    {},
    { dagHash: (dagId: string) => `salted-${dagId}` },
    { dagHash: () => 'no good hash!' },
  ]) {
    const { telemetry, transport, clock } = telemetryRig(options);
    const host = new EventEmitter();
    telemetry.register(host);
    const module = `${'product' in options ? 'cosmos' : 'acme'}.operators.local`;
    host.emit('dag_run.success', { dagRun: { dagId: 'basic_cosmos_dag', dag: { tasks: [{ module }] } } });
    await clock.advance(0);
    hashes.push(transport.sends[0]?.events[0]?.metrics['dag_hash']);
  }
  t.deepEqual(hashes, ['6875b74ab06e3beebabe66286afddf1b', undefined, 'salted-basic_cosmos_dag', undefined]);
});

test(proves('retry-status', 'an event that an edge answers for an origin that is away is delivered by a retry'), async (t) => {
  const collector = await startCollector({ faults: [{ kind: 'status', status: 521 }, { kind: 'status', status: 598 }, { kind: 'ok' }] });
  t.teardown(() => collector.close());
  const telemetry = createTelemetryWith({ product, endpoint: collector.url, env: {} }, { ...thisMachine, random: () => 0 });
  t.true(telemetry.publish('dag_run', { status: 'success', task_count: 1, acme_task_count: 1 }));
  const { sent, reasons } = await telemetry.drain();
  await telemetry.close();
  t.deepEqual([sent, reasons, collector.requests.map(({ status }) => status)], [1, {}, [521, 598, 200]]);
});

test('importing and constructing does nothing to the process', (t) => {
  const names = ['SIGINT', 'SIGTERM', 'exit', 'beforeExit', 'uncaughtException', 'unhandledRejection'] as const;
  const counts = () => names.map((name) => process.listenerCount(name));
  const before = counts();
  const telemetry = createTelemetry({ product, endpoint: 'http://127.0.0.1:1', env: {} });
  t.deepEqual(counts(), before);
  t.is(telemetry.stats().pending, 0);
});

/** Records every async resource that is created until `stop()`: promises, timers, immediates, zlib streams and so on. */
function recordAsyncResources(): { types: string[]; stop: () => void } {
  const types: string[] = [];
  const hook = createHook({ init: (_id, type) => void types.push(type) });
  hook.enable();
  return { types, stop: () => void hook.disable() };
}

const dagRun = {
  dagId: 'orders',
  dag: {
    params: { __acme_telemetry_metadata__: compressTelemetryMetadata({ database: 'postgres' }) },
    tasks: [{ module: 'acme.operators.local' }],
  },
};

test.serial('publishing creates one promise for all events of a turn, no timer and no other async resource', (t) => {
  const { telemetry } = telemetryRig();
  const host = new EventEmitter();
  telemetry.register(host);
  const { types, stop } = recordAsyncResources();
  for (let event = 0; event < 1000; event += 1) {
    telemetry.publish('tick', { n: event });
    host.emit('dag_run.success', { dagRun });
  }
  stop();
  t.deepEqual(types, ['PROMISE']);
  t.is(telemetry.stats().published, 2000);
});

test.serial("nothing is unpacked on the host's path, and the same packed text is unpacked once", async (t) => {
  const { telemetry, clock, transport } = telemetryRig({ dbt: true });
  const host = new EventEmitter();
  telemetry.register(host);
  const { types, stop } = recordAsyncResources();
  t.teardown(stop);
  // inflateSync() creates one async resource of this type for each call.
  const unpacked = () => types.filter((type) => type === 'ZLIB').length;
  for (let event = 0; event < 10; event += 1) host.emit('dag_run.success', { dagRun });
  t.is(unpacked(), 0);
  await clock.advance(0);
  t.is(transport.sends[0]?.events[0]?.metrics['database'], 'postgres');
  t.is(unpacked(), 1);
});

test('what is not `{ deadlineMs }` is said, and the default deadline holds', async (t) => {
  const lines: string[] = [];
  const { telemetry } = telemetryRig({ logger: { warn: (line: string) => void lines.push(line), debug: () => undefined } });
  for (const options of [undefined, {}, { deadlineMs: 5 }, { deadlineMs: undefined }]) await telemetry.drain(options);
  t.deepEqual(lines, []);
  for (const options of [300, { deadline: 3 }, { deadlineMs: '3' }]) {
    const rig = telemetryRig({ logger: { warn: (line: string) => void lines.push(line), debug: () => undefined } });
    await rig.telemetry.drain(options as object);
    t.deepEqual(lines.splice(0), [
      '[telemetry] deadline_invalid: expected `{ deadlineMs }` with a number of milliseconds; the default is used',
    ]);
  }
});

test('events that a close() could not send are said, for a program that ends has no other sign', async (t) => {
  const lines: string[] = [];
  const rig = telemetryRig({
    concurrency: 1,
    drainConcurrency: 1,
    logger: { warn: (line: string) => void lines.push(line), debug: () => undefined },
  });
  for (let n = 0; n < 3; n += 1) rig.telemetry.publish('tick', { n });
  const closed = rig.telemetry.close({ deadlineMs: 10 });
  await rig.clock.advance(20);
  t.like(await closed, { reasons: { deadline: 2, aborted: 1 } });
  t.deepEqual(lines, ['[telemetry] deadline: close() ended before 2 events could be sent']);
});
