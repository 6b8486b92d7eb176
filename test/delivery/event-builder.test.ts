import { inspect } from 'node:util';
import { deflateSync } from 'node:zlib';
import test from 'ava';
import { EventBuilder } from '../../src/delivery/event-builder.js';
import { eventParts } from '../../src/delivery/transport.js';
import type { UsageEvent } from '../../src/delivery/transport.js';
import { dagRunFields, metadataFields } from '../../src/events/dag-run.js';
import { defineEvent } from '../../src/events/definition.js';
import type { Fields } from '../../src/events/definition.js';
import type { CommonValues } from '../../src/events/description.js';
import { boolean, count, duration, identifier, nullable, oneOf, optional, version } from '../../src/events/fields.js';
import type { UsageMetrics } from '../../src/wire/python.js';
import { Ledger } from '../../src/base/ledger.js';
import type { DeclaredEvent } from '../../src/events/product-events.js';
import { compressTelemetryMetadata } from '../../src/events/metadata.js';
import { collectGarbage } from '../helpers/collect-garbage.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };

const OWN = defineEvent('own', {
  models: count(NOTE),
  layer: optional(oneOf(['staging', 'marts'], NOTE)),
  took: optional(nullable(duration(NOTE))),
  name: optional(identifier(NOTE)),
  cached: optional(boolean(NOTE)),
});

const DAG_RUN: DeclaredEvent = {
  type: 'dag_run',
  fields: dagRunFields('cosmos') as object as Fields,
  description: 'Sent when a run ends.',
  metadata: metadataFields,
};

const TIME_MS = Date.UTC(2026, 0, 31, 22, 30, 0, 7);

function setUp(standard: UsageMetrics = {}, { common, everyEvent }: { common?: CommonValues; everyEvent?: Fields } = {}) {
  const ledger = new Ledger();
  const builder = new EventBuilder(standard, ledger, common, everyEvent);
  const build = (
    metrics: object,
    {
      packed,
      definition = OWN,
      seq = 0,
      timeMs = TIME_MS,
    }: { packed?: string; definition?: DeclaredEvent; seq?: number; timeMs?: number } = {},
  ) => builder.build({ seq, definition, metrics: metrics as UsageMetrics, packed, timeMs, built: undefined });
  return { ledger, builder, build };
}

const pack = compressTelemetryMetadata;

test('standard metrics first, then the fields of the event, then its metadata, each in its own order', (t) => {
  const { build } = setUp({ cosmos_version: '1.12.0', airflow_version: '2.10.1%2Bastro.1' });
  const packed = pack({ database: 'postgres', used_automatic_load_mode: true, total_dbt_models: 13 });
  const event = build({ status: 'success', task_count: 2 }, { packed, definition: DAG_RUN });
  t.is(event.type, 'dag_run');
  t.deepEqual(Object.entries(event.metrics), [
    ['cosmos_version', '1.12.0'],
    ['airflow_version', '2.10.1%2Bastro.1'],
    ['status', 'success'],
    ['task_count', 2],
    ['database', 'postgres'],
    ['used_automatic_load_mode', true],
    ['total_dbt_models', 13],
  ]);
  t.is(
    event.requestTarget(),
    '/v3/dag_run?cosmos_version=1.12.0&airflow_version=2.10.1%252Bastro.1&status=success&task_count=2&database=postgres&used_automatic_load_mode=True&total_dbt_models=13',
  );
});

test('an event without values has an empty query', (t) => {
  t.is(setUp().build({}).requestTarget(), '/v3/own?');
  t.is(setUp({ a: 1 }).build({}).requestTarget(), '/v3/own?a=1');
  t.is(setUp().build({ models: 1 }).requestTarget(), '/v3/own?models=1');
});

test('a duration is sent as a float, every other whole number as an int', (t) => {
  const { build } = setUp();
  const target = (metrics: object) => build(metrics).requestTarget();
  t.is(target({ models: 7, took: 7 }), '/v3/own?models=7&took=7.0');
  t.is(target({ took: 0.000_012 }), '/v3/own?took=1.2e-05');
  t.is(target({ took: 1e16 }), '/v3/own?took=1e%2B16');
  t.is(target({ took: 0 }), '/v3/own?took=0.0');
  t.is(target({ took: null }), '/v3/own?took=None');
  t.is(target({ models: 2 ** 53 }), '/v3/own?models=9007199254740992');
  t.is(target({ models: -0 }), '/v3/own?models=0');
  t.is(target({ name: 'größe', cached: false }), '/v3/own?name=gr%C3%B6%C3%9Fe&cached=False');
});

test('an undeclared or ill-typed field is not sent, and is counted', (t) => {
  const { ledger, build } = setUp();
  const bad = { models: '7', layer: 'raw', took: NaN, name: 'a b', cached: 1, secret: 'hunter2', models_: 1, __proto__x: 1, toString: 'x' };
  t.deepEqual(build({ ...bad }).metrics, {});
  t.is(ledger.fieldsDropped, 9);
  t.deepEqual(build({ ...bad, models: 7 }).metrics, { models: 7 });
  t.is(ledger.fieldsDropped, 17);
  t.deepEqual(build(JSON.parse('{"__proto__":{"models":1},"constructor":1}') as object).metrics, {});
  t.is(ledger.fieldsDropped, 19);
});

test('an undefined value counts as left out, not as lost', (t) => {
  const { ledger, build } = setUp();
  t.is(build({ models: undefined, name: undefined, secret: undefined, cached: true }).requestTarget(), '/v3/own?cached=True');
  t.is(ledger.fieldsDropped, 0);
});

test('undeclared and ill-typed metadata is not sent, and is counted with each event', (t) => {
  const { ledger, build } = setUp();
  const packed = pack({ database: 5432, owner: 'alice', total_dbt_models: 13, nested: { a: 1 }, install_deps: 'yes' });
  for (const events of [1, 2, 3]) {
    t.deepEqual(build({ status: 'failed' }, { packed, definition: DAG_RUN }).metrics, { status: 'failed', total_dbt_models: 13 });
    t.is(ledger.fieldsDropped, 4 * events);
  }
  t.is(ledger.metadataUnreadable, 0);
});

test('metadata cannot replace fields of the event or standard metrics', (t) => {
  const { ledger, build } = setUp({ cosmos_version: '1.12.0', platform_system: 'Linux' });
  const forged = {
    status: 'failed',
    task_count: 99,
    cosmos_task_count: 99,
    dag_hash: 'forged_hash',
    cosmos_version: '9.9.9',
    platform_system: 'Windows',
  };
  const event = build({ status: 'success', task_count: 1 }, { packed: pack(forged), definition: DAG_RUN });
  t.deepEqual(event.metrics, { cosmos_version: '1.12.0', platform_system: 'Linux', status: 'success', task_count: 1 });
  t.is(ledger.fieldsDropped, 6);
});

test('metadata cannot set a field that the event declares but does not have', (t) => {
  const { ledger, build } = setUp();
  const own = defineEvent('dag_run', { database: optional(count(NOTE)), total_dbt_models: optional(duration(NOTE)) });
  const definition = { ...own, metadata: metadataFields };
  const packed = pack({ database: 'postgres', total_dbt_models: 7, install_deps: true });
  t.is(build({ database: 'ill-typed' }, { packed, definition }).requestTarget(), '/v3/dag_run?install_deps=True');
  t.is(ledger.fieldsDropped, 3);
});

const UNREADABLE: Readonly<Record<string, string>> = {
  'not base64': 'invalid_base64_data!',
  'not zlib': 'aGVsbG8gd29ybGQsIG5vdCB6bGli',
  empty: '',
  'a list': deflateSync('[1]').toString('base64'),
  'a bomb': deflateSync(new Uint8Array(10 * 2 ** 20)).toString('base64'),
  'a text that is too long': 'A'.repeat(20_000),
};

for (const [name, packed] of Object.entries(UNREADABLE)) {
  test(`metadata that is ${name} costs the metadata, never the event, and is counted each time`, (t) => {
    const { ledger, build } = setUp();
    for (const events of [1, 2, 3]) {
      t.deepEqual(build({ status: 'success' }, { packed, definition: DAG_RUN }).metrics, { status: 'success' });
      t.is(ledger.metadataUnreadable, events);
    }
    t.is(ledger.fieldsDropped, 0);
  });
}

test('metadata cannot use names of a prototype', (t) => {
  const { ledger, build } = setUp();
  const packed = deflateSync('{"__proto__":{"database":"x"},"toString":"x","database":"postgres"}').toString('base64');
  t.deepEqual(build({}, { packed, definition: DAG_RUN }).metrics, { database: 'postgres' });
  t.is(ledger.fieldsDropped, 2);
});

test.serial('properties that a host adds to Object.prototype are not sent', (t) => {
  const { ledger, build } = setUp({ cosmos_version: '1.12.0' });
  const shared = Object.getPrototypeOf({}) as object;
  for (const name of ['extended', 'database', 'cached']) {
    Object.defineProperty(shared, name, { configurable: true, enumerable: true, writable: true, value: 'hunter2' });
  }
  try {
    const event = build({ task_count: 1 }, { packed: pack({ total_dbt_models: 1 }), definition: DAG_RUN });
    t.is(event.requestTarget(), '/v3/dag_run?cosmos_version=1.12.0&task_count=1&total_dbt_models=1');
    t.deepEqual(Object.keys(event.metrics), ['cosmos_version', 'task_count', 'total_dbt_models']);
    t.is(ledger.fieldsDropped, 0);
  } finally {
    for (const name of ['extended', 'database', 'cached']) Reflect.deleteProperty(shared, name);
  }
});

test('many packed texts, each for many events, are unpacked correctly', (t) => {
  const { ledger, build } = setUp();
  for (let round = 0; round < 3; round += 1) {
    for (let models = 0; models < 500; models += 1) {
      const event = build({}, { packed: pack({ total_dbt_models: models }), definition: DAG_RUN });
      t.deepEqual(event.metrics, { total_dbt_models: models });
    }
  }
  t.is(ledger.metadataUnreadable, 0);
});

test('changing the metrics of one event does not change the next', (t) => {
  const { build } = setUp();
  const packed = pack({ total_dbt_models: 1 });
  const first = build({ status: 'success' }, { packed, definition: DAG_RUN });
  (first.metrics as UsageMetrics)['total_dbt_models'] = 99;
  const second = build({ status: 'failed' }, { packed, definition: DAG_RUN });
  t.deepEqual(second.metrics, { status: 'failed', total_dbt_models: 1 });
  t.is(first.requestTarget(), '/v3/dag_run?status=success&total_dbt_models=1');
});

test('the memory of packed texts is bounded', async (t) => {
  const { ledger, build } = setUp();
  await collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 3000; index += 1) build({}, { packed: String(index).padEnd(16_000, 'A'), definition: DAG_RUN });
  await collectGarbage();
  const grownMb = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  t.true(grownMb < 10, `48 MB of texts left ${grownMb} MB behind`);
  t.is(ledger.metadataUnreadable, 3000);
});

test('an id is a UUIDv7 of the event alone: its time, and random bits that no other event shares', (t) => {
  const { build } = setUp();
  const events = Array.from({ length: 4000 }, (_, seq) => build({ models: 1 }, { seq }));
  const ids = events.map(({ id }) => id);
  t.is(new Set(ids).size, ids.length);
  t.true(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)));
  t.true(ids.every((id) => parseInt(id.slice(0, 8) + id.slice(9, 13), 16) === TIME_MS));
  t.true(events.every(({ timeMs }) => timeMs === TIME_MS));
  t.is(events[0]?.requestTarget(), '/v3/own?models=1', 'it is not part of the request');
  // Each digit behind the version takes each value somewhere: nothing of the machine, the process or a counter is in it.
  for (let place = 15; place < 36; place += 1) {
    if (place === 18 || place === 23) continue;
    t.is(new Set(ids.map((id) => id[place])).size, place === 19 ? 4 : 16, `place ${place}`);
  }
});

test('the time in an id has 48 bits, whatever the clock says', (t) => {
  const { build } = setUp();
  const timeOf = (timeMs: number): string => build({}, { timeMs }).id.slice(0, 14);
  t.is(timeOf(0), '00000000-0000-');
  t.is(timeOf(-1), '00000000-0000-');
  t.is(timeOf(1.9), '00000000-0001-');
  t.is(timeOf(2 ** 48 - 1), 'ffffffff-ffff-');
});

test('an event tells the declared kind of each of its metrics, whatever its value', (t) => {
  const common = { fields: { edition: oneOf(['free', 'paid'], NOTE) }, values: { edition: 'free' } };
  const everyEvent = { acme_version: version(NOTE), ...common.fields };
  const { build } = setUp({ acme_version: '1.0.0' }, { common, everyEvent });
  const event = build({ models: 7, took: 7, cached: true });
  const kinds = ['models', 'took', 'cached', 'name', 'acme_version', 'edition', 'layer'].map((name) => event.kindOf?.(name));
  t.deepEqual(kinds, ['count', 'duration', 'boolean', 'identifier', 'version', 'oneOf', 'oneOf']);
  for (const name of ['unknown', 'constructor', '__proto__', 'toString', '']) t.is(event.kindOf?.(name), undefined, name);
  const dagRun = build({ status: 'success' }, { definition: DAG_RUN, packed: pack({ total_dbt_models: 13 }) });
  t.is(dagRun.kindOf?.('total_dbt_models'), 'count');
  t.is(dagRun.kindOf?.('status'), 'oneOf');
});

test('the request target stays the same if a transport changes the metrics', (t) => {
  const { build } = setUp({ cosmos_version: '1.12.0' });
  const event = build({ models: 7, took: 7 });
  const target = event.requestTarget();
  (event.metrics as UsageMetrics)['secret'] = 'hunter2';
  (event.metrics as UsageMetrics)['models'] = 8;
  t.is(event.requestTarget(), target);
  t.is(target, '/v3/own?cosmos_version=1.12.0&models=7&took=7.0');
});

test('packed metadata is sent with a dag_run only: no other event declares it', (t) => {
  const { ledger, build } = setUp();
  t.is(
    build({ models: 1 }, { packed: pack({ database: 'postgres', profile_mapping_class: 'Secret' }) }).requestTarget(),
    '/v3/own?models=1',
  );
  t.is(ledger.metadataUnreadable, 1);
});

test('a field whose check throws is not sent; the other fields are', (t) => {
  const { ledger, build } = setUp();
  const throwing = {
    ...count(NOTE),
    accepts: () => {
      throw new Error('no');
    },
  };
  const definition = defineEvent('own', { bad: optional(throwing), good: optional(count(NOTE)) });
  t.is(build({ bad: 1, good: 2 }, { definition }).requestTarget(), '/v3/own?good=2');
  t.is(ledger.fieldsDropped, 1);
});

test('an event can be copied, written as JSON, posted to a worker and printed, with its metrics', (t) => {
  const { build } = setUp({ acme_version: '1.0.0' });
  const one = build({ models: 3 }, { seq: 7 });
  const seen = { id: one.id, timeMs: TIME_MS, type: 'own', metrics: { acme_version: '1.0.0', models: 3 } };
  t.deepEqual(Object.keys(one), ['id', 'timeMs', 'type', 'metrics']);
  t.deepEqual({ ...one } as object, seen);
  t.deepEqual(structuredClone(one) as object, seen);
  t.is(JSON.stringify(one), JSON.stringify(seen));
  t.is(inspect(one), inspect(seen));
  t.is(one.metrics, one.metrics, 'collected once');
});

test('an event is encoded when a transport asks for its request target, and once', (t) => {
  let reads = 0;
  const counted = new Proxy<Record<string, unknown>>(
    { models: 7, took: 1.5 },
    {
      get: (target, name) => {
        reads += 1;
        return target[name as string];
      },
    },
  );
  const event = setUp().build(counted);
  const checked = reads;
  t.is(event.requestTarget(), '/v3/own?models=7&took=1.5');
  t.true(reads > checked);
  const encoded = reads;
  t.is(event.requestTarget(), '/v3/own?models=7&took=1.5');
  t.is(reads, encoded);
});

test('an event tells its parts until its metrics were read, since a transport may have changed those', (t) => {
  const { build } = setUp({ cosmos_version: '1.12.0' });
  const packed = pack({ total_dbt_models: 13 });
  const event = build({ status: 'success', task_count: 1 }, { packed, definition: DAG_RUN });
  const next = build({ status: 'success', task_count: 2 }, { packed, definition: DAG_RUN });
  const base = { cosmos_version: '1.12.0' };
  t.deepEqual(event[eventParts], { base, own: { status: 'success', task_count: 1 }, metadata: { total_dbt_models: 13 }, of: event });
  t.is(event[eventParts]?.base, next[eventParts]?.base);
  t.is((Object.create(event) as UsageEvent)[eventParts], undefined);
  t.is(event.metrics['task_count'], 1);
  t.is(event[eventParts], undefined);
  t.deepEqual(next[eventParts]?.own, { status: 'success', task_count: 2 });
});

test('an event of which a transport has set the id, the type or the time tells no parts', (t) => {
  for (const changed of [{ id: 'a"b' }, { type: 'other' }, { timeMs: 7 }]) {
    const event = setUp().build({ models: 7 });
    t.is(event[eventParts]?.of, event);
    Object.assign(event, changed);
    t.is(event[eventParts], undefined);
  }
});
