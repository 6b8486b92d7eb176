import { EventEmitter } from 'node:events';
import test from 'ava';
import { createTelemetry } from '../src/index.js';
import type { Telemetry } from '../src/index.js';
import { productEvents } from '../src/events/product-events.js';
import { hostileGetters, hostileValues } from '../src/testing/hostile-values.js';
import { hostilePayloads, recordingTransport } from '../src/testing/index.js';
import type { HostEventName, RecordingTransport } from '../src/testing/index.js';
import { validPackedMetadata, validPayload } from '../src/testing/valid-payloads.js';
import { DeclaredFields } from './helpers/declared.js';
import { addsUp } from './helpers/telemetry-rig.js';
import { proves } from './helpers/promises.js';
import { holdProcess } from './helpers/hold-process.js';

holdProcess(test);

const EVENTS: readonly HostEventName[] = ['dag_run.success', 'dag_run.failed', 'task_instance.success', 'task_instance.failed'];

/** Long enough for a slow machine. */
const PATIENTLY = { deadlineMs: 60_000 };

/** Payloads between two checks of the sent events. */
const AT_A_TIME = 250;

function client(dbt = true): { telemetry: Telemetry; transport: RecordingTransport } {
  const transport = recordingTransport();
  const product = { name: 'acme', version: '1.0.0' };
  const telemetry = createTelemetry({ product, dbt, dagHash: () => null, env: {}, transport, drainOnExit: false });
  return { telemetry: telemetry as object as Telemetry, transport };
}

/** A valid payload with a mark in one field. */
function marked(event: HostEventName, mark: string): Record<string, unknown> {
  const payload = validPayload(event, 'acme');
  if (event.startsWith('dag_run')) (payload['dagRun'] as Record<string, unknown>)['dagHash'] = mark;
  else ((payload['taskInstance'] as Record<string, unknown>)['task'] as Record<string, unknown>)['operatorName'] = mark;
  return payload;
}

async function rejects(): Promise<never> {
  throw new Error('not awaited');
}

for (const [event, dbt] of EVENTS.flatMap((name) => [true, false].map((each) => [name, each] as const))) {
  test(
    proves(
      'hook-payload',
      `${dbt ? 'with' : 'without'} dbt: whatever a host hands to ${event}, nothing is thrown, the next good event arrives, and nothing ill-typed leaves`,
    ),
    async (t) => {
      const { telemetry, transport } = client(dbt);
      const host = new EventEmitter();
      telemetry.register(host);
      const declared = new DeclaredFields('acme', { dbt, dagHash: () => null });
      const payloads = hostilePayloads({ product: 'acme' });
      const faults: string[] = [];
      for (let from = 0; from < payloads.length; from += AT_A_TIME) {
        const some = payloads.slice(from, from + AT_A_TIME);
        for (const [index, { name, make }] of some.entries()) {
          const payload = make(event);
          try {
            host.emit(event, payload);
          } catch {
            faults.push(`${name}: threw`);
          }
          host.emit(event, marked(event, `GoodEvent${from + index}`));
        }
        const report = await telemetry.drain(PATIENTLY);
        if (!addsUp(report) || report.pending !== 0) faults.push(JSON.stringify(report));
        const arrived = new Set(transport.events.flatMap(({ metrics }) => [metrics['dag_hash'], metrics['operator_name']]));
        for (const [index, { name }] of some.entries()) {
          if (!arrived.has(`GoodEvent${from + index}`)) faults.push(`${name}: the next good event is missing`);
        }
        faults.push(...transport.events.flatMap((each) => declared.faults(each)));
        transport.clear();
      }
      const { published, sent, dropped, reasons, fieldsDropped } = telemetry.stats();
      t.deepEqual(faults, []);
      t.is(published, sent + dropped);
      t.deepEqual(reasons, { invalid: dropped });
      t.true(sent > payloads.length && dropped > 50 && fieldsDropped > 50, JSON.stringify({ sent, dropped, fieldsDropped }));
      await telemetry.close();
    },
  );
}

test('the valid payloads among the hostile ones arrive, each at its own hook', async (t) => {
  const { telemetry, transport } = client();
  const host = new EventEmitter();
  telemetry.register(host);
  const valid = hostilePayloads({ product: 'acme' }).filter(({ name }) => name.startsWith('valid'));
  for (const { make } of valid) for (const event of EVENTS) host.emit(event, make(event));
  const report = await telemetry.close();
  t.is(valid.length, 5);
  t.like(report, { published: 20, sent: 20, fieldsDropped: 0, metadataUnreadable: 0 });
  t.is(transport.events.filter(({ metrics }) => metrics['database'] === 'postgres').length, 20);
});

test(proves('hook-rejection', 'a promise in the place of a plain value is not awaited, and its rejection ends no process'), async (t) => {
  const { telemetry } = client();
  const host = new EventEmitter();
  telemetry.register(host);
  const run = validPayload('dag_run.success', 'acme');
  host.emit('dag_run.success', { dagRun: Object.defineProperty({ ...(run['dagRun'] as object) }, 'dagId', { get: rejects }) });
  const instance = validPayload('task_instance.failed', 'acme')['taskInstance'] as Record<string, unknown>;
  const task = { ...(instance['task'] as object), profileConfig: { getProfileType: rejects }, baseCmd: rejects };
  host.emit('task_instance.failed', { taskInstance: { ...instance, task } });
  telemetry.publish('dbt_docs_access', Object.defineProperty({}, 'storage_type', { get: rejects, enumerable: true }) as never);
  const hashing = recordingTransport();
  const hashed = createTelemetry({
    product: { name: 'acme', version: '1.0.0' },
    dbt: true,
    env: {},
    transport: hashing,
    dagHash: rejects as never,
  });
  hashed.register(host);
  host.emit('dag_run.failed', { dagRun: { ...(run['dagRun'] as object), dagHash: undefined } });
  // AVA fails, like Node, for a rejection that is not handled by the next turn of the event loop.
  t.like(await telemetry.close(), { published: 4, sent: 4 });
  t.like(await hashed.close(), { published: 1, sent: 1 });
  t.false('dag_hash' in (hashing.events[0]?.metrics ?? {}));
});

test(proves('hook-publish', 'whatever is published directly, nothing is thrown and nothing ill-typed leaves'), async (t) => {
  const { telemetry, transport } = client();
  const publish = telemetry.publish.bind(telemetry) as (...args: unknown[]) => boolean;
  const declared = new DeclaredFields('acme');
  const docs = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
  const faults: string[] = [];
  let calls = 0;
  const attempt = async (what: string, ...args: unknown[]): Promise<void> => {
    calls += 1;
    try {
      if (typeof publish(...args) !== 'boolean') faults.push(`${what}: no boolean`);
    } catch {
      faults.push(`${what}: threw`);
    }
    if (calls % 1000 === 0) await telemetry.drain(PATIENTLY);
  };
  for (const { name, make } of hostileValues()) {
    await attempt(`metrics: ${name}`, 'dag_run', make());
    await attempt(`type: ${name}`, make(), docs);
    await attempt(`packed metadata: ${name}`, 'dag_run', { status: 'success', task_count: 1, acme_task_count: 1 }, make());
    await attempt(`undeclared field: ${name}`, 'dbt_docs_access', { ...docs, anything: make(), ['__proto__']: make() });
    for (const [type, { fields }] of productEvents('acme', 'airflow', [])) {
      for (const field of Object.keys(fields)) await attempt(`${type}.${field}: ${name}`, type, { [field]: make() }, validPackedMetadata());
    }
  }
  for (const { name, makeGetter } of hostileGetters()) {
    await attempt(
      `storage_type: ${name}`,
      'dbt_docs_access',
      Object.defineProperty({ ...docs }, 'storage_type', { get: makeGetter('s3'), enumerable: true }),
    );
  }
  t.true(publish('dbt_docs_access', docs));
  const report = await telemetry.close(PATIENTLY);
  faults.push(...transport.events.flatMap((each) => declared.faults(each)));
  t.deepEqual(faults, []);
  t.true(addsUp(report));
  t.deepEqual(Object.keys(report.reasons), ['invalid']);
  t.is(transport.events.at(-1)?.metrics['storage_type'], 's3');
  t.is(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test.serial('a host that replaces `Date.now` changes neither the time of an event nor its id', async (t) => {
  const { telemetry, transport } = client();
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  const answers: (() => unknown)[] = [
    () => undefined,
    () => NaN,
    () => -1,
    () => 12n,
    () => {
      throw new Error('no time');
    },
  ];
  for (const answer of answers) {
    Date.now = answer as () => number;
    t.notThrows(() => telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] }));
    Date.now = now;
    // A drain holds the process, which has nothing else to do.
    await telemetry.drain(PATIENTLY);
  }
  for (const { id, timeMs = 0 } of transport.events) {
    t.true(Math.abs(now() - timeMs) < 60_000, `time ${timeMs}`);
    t.regex(id, /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  }
  const report = await telemetry.close(PATIENTLY);
  t.is(report.published, 10);
  t.true(addsUp(report));
});
