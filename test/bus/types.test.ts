import { EventEmitter as NodeEmitter } from 'node:events';
import test from 'ava';
import { EventEmitter } from 'eventemitter3';
import type { TelemetryBus } from '../../src/bus/bus.js';
import { defineEvent } from '../../src/events/definition.js';
import { boolean, count, duration, identifier, nullable, oneOf, optional } from '../../src/events/fields.js';
import type { EventMetrics, StandardEvent, StandardMetrics } from '../../src/events/product-events.js';
import type { HostEmitter, HostEvents } from '../../src/listeners/host.js';
import { mitt } from '../helpers/mitt.js';
import { FakeProduct } from '../helpers/product.js';

// Code that must not compile is marked with `@ts-expect-error`: if it compiles, the compiler reports the comment.

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };

const MODEL_BUILT = defineEvent('model_built', {
  models: count(NOTE),
  layer: oneOf(['staging', 'marts'], NOTE),
  owner: optional(nullable(identifier(NOTE))),
  took: nullable(duration(NOTE)),
  cached: optional(boolean(NOTE)),
  cause: nullable(optional(oneOf(['push', 'timer'], NOTE))),
});

type Own = [typeof MODEL_BUILT];

type Dbt = StandardMetrics<'acme', true, readonly StandardEvent[], 'local' | 'container'>;

/** Acme with everything that a product may choose. */
function acme(): { product: FakeProduct; bus: TelemetryBus<'acme', Own, Dbt> } {
  const choices = { dbt: true, executionModes: ['local', 'container'] };
  const product = new FakeProduct({ product: 'acme', events: [MODEL_BUILT], choices });
  return { product, bus: product.bus as object as TelemetryBus<'acme', Own, Dbt> };
}

const RUN = { status: 'success', task_count: 3, execution_modes: 'local' } as const;
const MODEL = { models: 1, layer: 'marts', took: null } as const;

test('declared metrics compile, and are sent unchanged', async (t) => {
  const { product, bus } = acme();
  t.true(bus.publish('dag_run', { ...RUN, acme_task_count: 3 }));
  t.true(bus.publish('dag_run', { ...RUN, acme_task_count: 3, dag_hash: 'abcdefgh' }, 'packed'));
  t.true(bus.publish('model_built', MODEL));
  t.true(bus.publish('model_built', { ...MODEL, owner: null, took: 1.5, cached: true, cause: null }));
  t.true(
    bus.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false }),
  );
  bus.on('model_built', (metrics, packed: string | undefined) => {
    const { layer }: { layer: 'staging' | 'marts' } = metrics;
    const { took, owner }: { took: number | null; owner?: string | null } = metrics;
    t.deepEqual([layer, took, owner, packed], ['marts', null, undefined, undefined]);
  });
  bus.publish('model_built', MODEL);
  await Promise.resolve();
  t.is(product.taken.length, 6);
  t.is(product.stats().fieldsDropped, 0);
});

test('an undeclared field does not compile, and is not sent', (t) => {
  const { product, bus } = acme();
  // @ts-expect-error no such field
  bus.publish('model_built', { ...MODEL, file: 'orders.sql' });
  t.deepEqual(product.built()?.metrics, MODEL);
  // @ts-expect-error the field of another product
  bus.publish('dag_run', { ...RUN, acme_task_count: 3, cosmos_task_count: 3 });
  t.deepEqual(product.built()?.metrics, { ...RUN, acme_task_count: 3 });
  // @ts-expect-error a field of the metadata is none of the event
  bus.publish('dag_run', { ...RUN, acme_task_count: 3, total_dbt_models: 3 });
  t.is(product.built()?.requestTarget(), '/v3/dag_run?status=success&task_count=3&execution_modes=local&acme_task_count=3');
});

test('a value of another type does not compile, and is not sent', (t) => {
  const { product, bus } = acme();
  // @ts-expect-error a text for a number
  bus.publish('model_built', { ...MODEL, models: '1' });
  t.deepEqual(product.built()?.metrics, { layer: 'marts', took: null });
  // @ts-expect-error a word that is not of the list
  bus.publish('model_built', { ...MODEL, layer: 'raw' });
  t.deepEqual(product.built()?.metrics, { models: 1, took: null });
  // @ts-expect-error null for a field that is not nullable
  bus.publish('model_built', { ...MODEL, cached: null });
  t.deepEqual(product.built()?.metrics, MODEL);
  // @ts-expect-error undefined for a field that may be omitted, but not undefined
  bus.publish('model_built', { ...MODEL, cached: undefined });
  t.deepEqual(product.built()?.metrics, MODEL);
  // @ts-expect-error an object
  bus.publish('model_built', { ...MODEL, owner: { name: 'alice' } });
  t.deepEqual(product.built()?.metrics, MODEL);
  // @ts-expect-error a number for a flag of a built-in event
  bus.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: 1, uses_custom_conn: false, has_custom_name: false });
  t.deepEqual(product.built()?.metrics, { storage_type: 's3', uses_custom_conn: false, has_custom_name: false });
});

test('a missing field does not compile', (t) => {
  const { product, bus } = acme();
  // @ts-expect-error `layer` and `took` are missing
  bus.publish('model_built', { models: 1 });
  // @ts-expect-error `acme_task_count` is missing
  bus.publish('dag_run', RUN);
  // @ts-expect-error `is_acme_operator_subclass` and others are missing
  bus.publish('task_instance', { status: 'failed' });
  // @ts-expect-error there are no metrics at all
  t.false(bus.publish('model_built'));
  t.is(product.taken.length, 3);
});

test('an unknown event does not compile, and is not accepted', (t) => {
  const { product, bus } = acme();
  // @ts-expect-error no such event
  t.false(bus.publish('model_dropped', MODEL));
  // @ts-expect-error no such event to subscribe to
  t.throws(() => bus.on('model_dropped', () => undefined));
  const cosmos = new FakeProduct().bus as object as TelemetryBus<'cosmos'>;
  // @ts-expect-error the event of another product
  t.false(cosmos.publish('model_built', MODEL));
  t.true(cosmos.publish('dag_run', { ...RUN, cosmos_task_count: 1 }));
  // @ts-expect-error the field of another product
  t.true(cosmos.publish('dag_run', { ...RUN, acme_task_count: 1 }));
  t.is(product.taken.length, 0);
});

test('the metrics of a subscriber are typed and read-only', async (t) => {
  const { bus } = acme();
  bus.on('dag_run', (metrics) => {
    const { acme_task_count: tasks }: { acme_task_count: number } = metrics;
    t.is(tasks, 3);
    // @ts-expect-error metrics are read-only
    t.throws(() => (metrics.task_count = 4), { instanceOf: TypeError });
    // @ts-expect-error no such field
    t.is(metrics.cosmos_task_count, undefined);
  });
  bus.publish('dag_run', { ...RUN, acme_task_count: 3 });
  await Promise.resolve();
});

test('metrics may be built before they are published', (t) => {
  const { bus } = acme();
  const metrics: EventMetrics<'acme', Own, Dbt>['task_instance'] = {
    status: 'failed',
    is_acme_operator_subclass: true,
    invocation_mode: null,
    execution_mode: null,
    profile_strategy: 'mapping',
    profile_mapping_class: 'Mine',
    database: null,
    is_mapped_task: false,
    has_callback: false,
    duration: 7,
  };
  t.true(bus.publish('task_instance', metrics));
});

test('the common event emitters are hosts without a cast', (t) => {
  const hosts: HostEmitter[] = [
    new NodeEmitter(),
    new EventEmitter(),
    new EventEmitter<{ [K in keyof HostEvents]: [HostEvents[K]] }>(),
    mitt(),
    mitt<{ [K in keyof HostEvents]: HostEvents[K] }>(),
    new EventTarget(),
    { addListener: () => undefined, removeListener: () => undefined },
  ];
  // @ts-expect-error half a host
  hosts.push({ on: () => undefined });
  t.is(hosts.length, 8);
});
