import { getEventListeners } from 'node:events';
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';
import type { UsageEvent } from '../../src/delivery/transport.js';
import { createTelemetry } from '../../src/index.js';
import { ExporterTransport } from '../../src/otel/exporter-transport.js';
import type { ExporterTransportSettings } from '../../src/otel/exporter-transport.js';
import { otelTransport } from '../../src/otel/index.js';
import type { OtelExporter, OtelExportResult, OtelLogRecord } from '../../src/otel/index.js';
import { transportContract } from '../../src/testing/index.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { holdProcess } from '../helpers/hold-process.js';
import { proves } from '../helpers/promises.js';

holdProcess(test);

const PRODUCT = { name: 'acme', version: '1.2.0' };
const EVENTS: readonly UsageEvent[] = [{ id: 'a', type: 'dag_run', metrics: { status: 'success' }, requestTarget: () => '' }];
const FAILED: OtelExportResult = { code: 1, error: new Error('hunter2') };

type Export = (done: (result: OtelExportResult) => void, records: OtelLogRecord[]) => unknown;

/** A transport on a virtual clock, around an exporter that does this. */
function arrange(run: Export, more: Partial<ExporterTransportSettings> = {}, others: Partial<OtelExporter> = {}) {
  const clock = new VirtualClock();
  const exporter: OtelExporter = { export: (records, done) => run(done, records) as undefined, ...others };
  const settings: ExporterTransportSettings = {
    exporter,
    resource: { attributes: {} },
    scope: PRODUCT,
    maxBatchSize: 512,
    lingerMs: 1000,
    timeoutMs: 12_000,
    handedOver: false,
    receiverDeduplicates: false,
    shutdownExporter: false,
    ...more,
  };
  const controller = new AbortController();
  const transport = new ExporterTransport(settings, clock);
  return { clock, controller, transport, send: () => transport.send(EVENTS, controller.signal) };
}

const coded = (code: unknown, more: object = {}): OtelExportResult => ({
  code: 1,
  error: Object.assign(new Error('hunter2'), { code }, more),
});
const said = (message: string): OtelExportResult => ({ code: 1, error: new Error(message) });
const grpc = (message: string): OtelExportResult => ({ code: 1, error: Object.assign(new Error(message), { code: 14 }) });

const RESULTS: readonly [name: string, result: unknown, outcome: object][] = [
  ['a success', { code: 0 }, { kind: 'sent' }],
  ['a success with an error', { code: 0, error: new Error('hunter2') }, { kind: 'sent' }],
  ['status 400', coded(400), { kind: 'rejected', reason: 'http_400' }],
  ['status 413', coded(413), { kind: 'rejected', reason: 'http_413' }],
  ['status 500, which OTLP forbids to retry', coded(500), { kind: 'rejected', reason: 'http_500' }],
  ['status 302', coded(302), { kind: 'rejected', reason: 'http_302' }],
  ['status 429', coded(429), { kind: 'retryable', reason: 'http_429' }],
  ['status 502', coded(502), { kind: 'retryable', reason: 'http_502' }],
  ['status 503', coded(503), { kind: 'retryable', reason: 'http_503' }],
  ['status 504', coded(504), { kind: 'retryable', reason: 'http_504' }],
  ['a retryable status without its code', said('Export failed with retryable status'), { kind: 'retryable', reason: 'unavailable' }],
  ['a closed port', coded('ECONNREFUSED'), { kind: 'retryable', reason: 'connect', cause: 'refused' }],
  ['a name without an address', coded('ENOTFOUND'), { kind: 'retryable', reason: 'connect', cause: 'no_address' }],
  ['no route', coded('EHOSTUNREACH'), { kind: 'retryable', reason: 'connect', cause: 'unreachable' }],
  ['a certificate', coded('CERT_HAS_EXPIRED'), { kind: 'retryable', reason: 'connect', cause: 'tls_untrusted' }],
  ['no descriptor', coded('EMFILE'), { kind: 'retryable', reason: 'connect', cause: 'no_descriptors' }],
  ['a slow connect', coded('ETIMEDOUT', { syscall: 'connect' }), { kind: 'retryable', reason: 'connect', cause: 'slow' }],
  ['a slow answer', coded('ETIMEDOUT', { syscall: 'read' }), { kind: 'rejected', reason: 'timeout', cause: 'slow' }],
  ['the time limit of an exporter', said('Request timed out'), { kind: 'rejected', reason: 'timeout' }],
  ['a reset', coded('ECONNRESET'), { kind: 'rejected', reason: 'network', cause: 'reset' }],
  ['an answer that is no HTTP', coded('HPE_INVALID_CONSTANT'), { kind: 'rejected', reason: 'network', cause: 'parse' }],
  ['UNAVAILABLE of gRPC', coded(14), { kind: 'rejected', reason: 'grpc_14' }],
  ['a reset of gRPC', grpc('14 UNAVAILABLE: read ECONNRESET'), { kind: 'rejected', reason: 'grpc_14' }],
  [
    'no connection of gRPC',
    grpc('14 UNAVAILABLE: No connection established. Last error: null. Resolution note: '),
    { kind: 'retryable', reason: 'connect' },
  ],
  [
    'no address of gRPC',
    grpc('14 UNAVAILABLE: Name resolution failed for target dns:otel.test:4317'),
    { kind: 'retryable', reason: 'connect', cause: 'no_address' },
  ],
  ['these words without the code', said('14 UNAVAILABLE: No connection established'), { kind: 'rejected', reason: 'export_failed' }],
  ['an unknown code', coded('EWHAT'), { kind: 'rejected', reason: 'export_failed' }],
  ['status 200 of a failure', coded(200), { kind: 'rejected', reason: 'export_failed' }],
  ['no code', FAILED, { kind: 'rejected', reason: 'export_failed' }],
  ['no error', { code: 1 }, { kind: 'rejected', reason: 'export_failed' }],
  ['an error that is a text', { code: 1, error: 'hunter2' }, { kind: 'rejected', reason: 'export_failed' }],
  ['no result', undefined, { kind: 'rejected', reason: 'export_failed' }],
  ['an empty result', {}, { kind: 'rejected', reason: 'export_failed' }],
  ['a code that is a text', { code: '0' }, { kind: 'rejected', reason: 'export_failed' }],
];

for (const [name, result, outcome] of RESULTS) {
  test(`a callback with ${name} is ${JSON.stringify(outcome)}`, async (t) => {
    const { clock, send, controller } = arrange((done) => setImmediate(() => done(result as OtelExportResult)));
    t.deepEqual(await send(), outcome as never);
    t.is(clock.pendingTimers, 0);
    t.is(getEventListeners(controller.signal, 'abort').length, 0);
  });
}

test('a result whose getters throw, and a revoked one, are unknown results', async (t) => {
  const { proxy, revoke } = Proxy.revocable({ code: 0 }, {});
  revoke();
  const throwing = {
    get code(): number {
      throw new Error('hunter2');
    },
  };
  for (const result of [proxy, throwing]) {
    const { send } = arrange((done) => setImmediate(() => done(result)));
    t.deepEqual(await send(), { kind: 'rejected', reason: 'export_failed' });
  }
});

test('a code that Object.prototype is polluted with is no code', async (t) => {
  const polluted = Object.prototype as { code?: unknown };
  const { send } = arrange((done) => done({} as OtelExportResult));
  try {
    polluted.code = 0;
    t.deepEqual(await send(), { kind: 'retryable', reason: 'exporter_busy' });
  } finally {
    delete polluted.code;
  }
});

test(proves('otel-callback', 'unknown results are retryable if the receiver drops records that it has'), async (t) => {
  for (const [result, reason] of [
    [coded('ECONNRESET'), 'network'],
    [said('Request timed out'), 'timeout'],
    [coded(14), 'grpc_14'],
    [FAILED, 'export_failed'],
  ] as const) {
    const { send } = arrange((done) => setImmediate(() => done(result)), { receiverDeduplicates: true });
    const outcome = await send();
    t.is(outcome.kind, 'retryable');
    t.is('reason' in outcome && outcome.reason, reason);
  }
  const { send } = arrange((done) => setImmediate(() => done(coded(400))), { receiverDeduplicates: true });
  t.deepEqual(await send(), { kind: 'rejected', reason: 'http_400' });
});

test('a callback before export() has returned: a success is one, and of a failure nothing was written', async (t) => {
  t.deepEqual(await arrange((done) => done({ code: 0 })).send(), { kind: 'sent' });
  t.deepEqual(await arrange((done) => done(FAILED)).send(), { kind: 'retryable', reason: 'exporter_busy' });
  t.deepEqual(await arrange((done) => done(coded(400))).send(), { kind: 'rejected', reason: 'http_400' });
});

const twice = (first: OtelExportResult, second: OtelExportResult) =>
  arrange((done) =>
    setImmediate(() => {
      done(first);
      done(second);
    }),
  ).send();

test('of two callbacks the first one counts', async (t) => {
  t.deepEqual(await twice({ code: 0 }, FAILED), { kind: 'sent' });
  t.deepEqual(await twice(FAILED, { code: 0 }), { kind: 'rejected', reason: 'export_failed' });
});

function throws(): never {
  throw new Error('hunter2');
}

test.serial('an exporter that throws or rejects: its events count as failed, unless it has called back', async (t) => {
  const unhandled = await unhandledRejections(async () => {
    t.deepEqual(await arrange(throws).send(), { kind: 'rejected', reason: 'exporter_error' });
    t.deepEqual(await arrange(() => Promise.reject(new Error('hunter2'))).send(), { kind: 'rejected', reason: 'exporter_error' });
    const both = arrange((done) => {
      done({ code: 0 });
      throws();
    });
    t.deepEqual(await both.send(), { kind: 'sent' });
    const later = arrange((done) => {
      setImmediate(() => done({ code: 0 }));
      return Promise.resolve();
    });
    t.deepEqual(await later.send(), { kind: 'sent' });
    const rejectsLater = arrange((done) => {
      done({ code: 0 });
      return Promise.reject(new Error('hunter2'));
    });
    t.deepEqual(await rejectsLater.send(), { kind: 'sent' });
  });
  t.deepEqual(unhandled, []);
});

test('a callback that never comes is a timeout after timeoutMs, and a late one changes nothing', async (t) => {
  let done: ((result: OtelExportResult) => void) | undefined;
  const { clock, send, controller } = arrange((given) => (done = given));
  let outcome: unknown;
  const sending = send().then((value) => (outcome = value));
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(11_999);
  t.is(outcome, undefined);
  await clock.advance(1);
  await sending;
  t.deepEqual(outcome, { kind: 'rejected', reason: 'timeout' });
  t.is(getEventListeners(controller.signal, 'abort').length, 0);
  t.notThrows(() => done?.({ code: 0 }));
});

test('an abort ends a send at once, whatever the exporter does', async (t) => {
  const { clock, send, controller } = arrange(() => undefined);
  const sending = send();
  controller.abort();
  t.deepEqual(await sending, { kind: 'aborted' });
  t.is(clock.pendingTimers, 0);
  t.is(getEventListeners(controller.signal, 'abort').length, 0);
  let calls = 0;
  const before = arrange(() => (calls += 1));
  before.controller.abort();
  t.deepEqual(await before.send(), { kind: 'aborted' });
  t.is(calls, 0);
});

test('a resource whose attributes are pending is awaited, but not for longer than an attempt may take', async (t) => {
  let complete: (() => void) | undefined;
  const pending = new Promise<void>((resolve) => (complete = resolve));
  const resource = { attributes: {}, asyncAttributesPending: true, waitForAsyncAttributes: () => pending };
  let exports = 0;
  const run: Export = (done) => {
    exports += 1;
    done({ code: 0 });
  };
  const waiting = arrange(run, { resource });
  const sending = waiting.send();
  await settle();
  t.is(exports, 0);
  complete?.();
  t.deepEqual(await sending, { kind: 'sent' });

  const never = arrange(run, { resource: { ...resource, waitForAsyncAttributes: () => new Promise<void>(() => {}) } });
  const late = never.send();
  await never.clock.advance(12_000);
  t.deepEqual(await late, { kind: 'rejected', reason: 'timeout' });
  t.is(exports, 1);

  // What was aborted meanwhile is not exported after all.
  let completeLate: (() => void) | undefined;
  const slow = new Promise<void>((resolve) => (completeLate = resolve));
  const aborted = arrange(run, { resource: { ...resource, waitForAsyncAttributes: () => slow } });
  const ended = aborted.send();
  aborted.controller.abort();
  t.deepEqual(await ended, { kind: 'aborted' });
  completeLate?.();
  await settle();
  t.is(exports, 1);

  const failing = { ...resource, waitForAsyncAttributes: () => Promise.reject(new Error('hunter2')) };
  t.deepEqual(await arrange(run, { resource: failing }).send(), { kind: 'sent' });
});

test('close() leaves an exporter alone that belongs to the host, and ends one of its own once', async (t) => {
  const calls: string[] = [];
  const others = {
    shutdown: () => Promise.resolve(void calls.push('shutdown')),
    forceFlush: () => Promise.resolve(void calls.push('forceFlush')),
  };
  await arrange(() => undefined, {}, others).transport.close();
  t.deepEqual(calls, []);
  await arrange(() => undefined, { handedOver: true }, others).transport.close();
  t.deepEqual(calls, ['forceFlush']);
  const { transport, send } = arrange(() => undefined, { shutdownExporter: true, handedOver: true }, others);
  await Promise.all([transport.close(), transport.close()]);
  t.deepEqual(calls, ['forceFlush', 'shutdown']);
  t.deepEqual(await send(), { kind: 'refused', reason: 'closed' });
});

test('close() rejects if the exporter cannot be ended, or not in time', async (t) => {
  const failing = arrange(() => undefined, { shutdownExporter: true }, { shutdown: () => Promise.reject(new Error('no')) });
  await t.throwsAsync(failing.transport.close());
  const hung = arrange(() => undefined, { shutdownExporter: true }, { shutdown: () => new Promise(() => {}) });
  const closing = hung.transport.close();
  await settle();
  t.is(hung.clock.pendingRefTimers, 0);
  await Promise.all([t.throwsAsync(closing, { message: 'The exporter did not end in time.' }), hung.clock.advance(12_000)]);
});

/** Every copy of the API of OpenTelemetry keeps under this key what the host registered. */
const API_KEY = Symbol.for('opentelemetry.js.api.1');

test.serial('exports and the end of an exporter are not traced', async (t) => {
  const keys: symbol[] = [];
  const context = { setValue: (key: symbol) => (keys.push(key), context) };
  const manager = { active: () => context, with: <T>(_context: unknown, run: () => T): T => run() };
  const holder = globalThis as { [API_KEY]?: unknown };
  holder[API_KEY] = { context: manager };
  t.teardown(() => delete holder[API_KEY]);
  const { transport, send } = arrange((done) => done({ code: 0 }), { shutdownExporter: true }, { shutdown: () => Promise.resolve() });
  await send();
  await transport.close();
  const suppress = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
  t.deepEqual(keys, [suppress, suppress]);
});

const succeeding: OtelExporter = { export: (_records, done) => setImmediate(() => done({ code: 0 })) };
const silent: OtelExporter = { export: () => undefined };

for (const { name, run } of transportContract(() => otelTransport({ exporter: succeeding, product: PRODUCT }), {
  silent: () => otelTransport({ exporter: silent, product: PRODUCT }),
})) {
  test.serial(`contract: ${name}`, async (t) => {
    await run();
    t.pass();
  });
}

/** Two events: the run and its task. */
const RUN = { status: 'success', tasks: [{ owned: true, status: 'success' }] } as const;

function telemetryWith(exporter: OtelExporter, more: object = {}) {
  const transport = otelTransport({ exporter, product: PRODUCT, ...more });
  return createTelemetry({ product: PRODUCT, transport, env: {}, drainOnExit: false, retries: 0 });
}

test(proves('otel-callback', 'the accounts are those of the callback'), async (t) => {
  const names: string[] = [];
  const exporter: OtelExporter = {
    export: (records, done) => {
      names.push(...records.map(({ eventName = '' }) => eventName));
      setImmediate(() => done(names.length > 2 ? coded(400) : { code: 0 }));
    },
  };
  const telemetry = telemetryWith(exporter);
  telemetry.reportRun(RUN);
  await telemetry.drain();
  telemetry.reportRun(RUN);
  const { published, sent, failed, dropped, pending, reasons } = await telemetry.close();
  t.deepEqual(
    { published, sent, failed, dropped, pending, reasons },
    { published: 4, sent: 2, failed: 2, dropped: 0, pending: 0, reasons: { http_400: 2 } },
  );
  t.deepEqual(names.toSorted(), ['acme.dag_run', 'acme.dag_run', 'acme.task_instance', 'acme.task_instance']);
});

test('events of an exporter that only queues are handed over', async (t) => {
  let flushed = 0;
  const exporter: OtelExporter = {
    export: (_records, done) => done({ code: 0 }),
    forceFlush: () => Promise.resolve(void (flushed += 1)),
  };
  const telemetry = telemetryWith(exporter, { handedOver: true });
  telemetry.reportRun(RUN);
  const { sent, handedOver } = await telemetry.close();
  t.deepEqual([sent, handedOver, flushed], [2, 2, 1]);
});

test(proves('otel-close', 'close() ends within its deadline whatever the exporter does, and every event is in the accounts'), async (t) => {
  let began: (() => void) | undefined;
  const exporting = new Promise<void>((resolve) => (began = resolve));
  const hung: OtelExporter = { export: () => began?.(), shutdown: () => new Promise(() => {}) };
  const telemetry = telemetryWith(hung, { shutdownExporter: true, lingerMs: 0 });
  telemetry.reportRun(RUN);
  await exporting;
  const startMs = systemClock.now();
  const { published, failed, timedOut, reasons } = await telemetry.close({ deadlineMs: 100 });
  const tookMs = systemClock.now() - startMs;
  t.log(`close({ deadlineMs: 100 }) took ${Math.round(tookMs)} ms`);
  // The exporter never ends. Two seconds are for a busy machine.
  t.true(tookMs < 100 + 2000);
  t.deepEqual({ published, failed, timedOut, reasons }, { published: 2, failed: 2, timedOut: true, reasons: { aborted: 2 } });
});

const good = { exporter: succeeding, product: PRODUCT };
const BAD_OPTIONS: readonly [options: unknown, message: RegExp][] = [
  [undefined, /^Expected `options of otelTransport` to be an object, got undefined/],
  [{ product: PRODUCT }, /^Expected `exporter` to be an exporter of OpenTelemetry log records, .* got undefined/],
  [{ ...good, exporter: { getLogger: () => undefined } }, /^Expected `exporter` to be an exporter .*\(not a `LoggerProvider`\)/],
  [{ exporter: succeeding }, /^Expected `product` to be an object, got undefined/],
  [{ ...good, product: { name: '', version: '1' } }, /^Expected `product.name` to be a text/],
  [{ ...good, product: { name: 'acme' } }, /^Expected `product.version` to be a version, got undefined/],
  [{ ...good, resource: {} }, /^Expected `resource` to be a resource of OpenTelemetry/],
  [{ ...good, handedOver: 'yes' }, /^Expected `handedOver` to be true or false, got "yes"/],
  [{ ...good, receiverDeduplicates: 1 }, /^Expected `receiverDeduplicates` to be true or false/],
  [{ ...good, shutdownExporter: true }, /^Expected `exporter` to be an object with `export\(\)` and `shutdown\(\)`, got/],
  [{ ...good, maxBatchSize: 0 }, /^Expected `maxBatchSize` to be a whole number from 1 to 100000, got 0/],
  [{ ...good, lingerMs: -1 }, /^Expected `lingerMs` to be a number of milliseconds/],
  [{ ...good, timeoutMs: 0 }, /^Expected `timeoutMs` to be a number of milliseconds/],
  [{ ...good, timeout: 5 }, /^Expected `options of otelTransport` to have known keys only, got `timeout`/],
];

for (const [index, [options, message]] of BAD_OPTIONS.entries()) {
  test(`bad options ${index} throw: ${message.source}`, (t) => {
    t.throws(() => otelTransport(options as never), { instanceOf: TypeError, message });
  });
}

test('the defaults: batches of 512 that wait a second', (t) => {
  const { maxBatchSize, lingerMs } = otelTransport(good);
  t.deepEqual([maxBatchSize, lingerMs], [512, 1000]);
});
