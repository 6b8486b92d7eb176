import test from 'ava';
import { assert, double, integer, maxSafeInteger, oneof, property } from 'fast-check';
import type { UsageEvent } from '../../src/delivery/transport.js';
import type { FieldKind } from '../../src/events/fields.js';
import { asDouble, recordOf } from '../../src/otel/records.js';
import type { OtelResource, OtelScope } from '../../src/otel/records.js';
import { holdProcess } from '../helpers/hold-process.js';

holdProcess(test);

const RESOURCE: OtelResource = { attributes: { 'service.name': 'scheduler' } };
const SCOPE: OtelScope = { name: 'acme', version: '1.2.0' };
const SHARED = { resource: RESOURCE, scope: SCOPE };

const KINDS: Record<string, FieldKind> = { duration: 'duration', task_count: 'count', cached: 'boolean', status: 'oneOf' };

function eventOf(metrics: UsageEvent['metrics'], timeMs?: number): UsageEvent {
  const id = '019a0b3c-7d2e-7c41-9f0a-5b1d2e3f4a5b';
  return { id, timeMs, type: 'dag_run', metrics, requestTarget: () => '', kindOf: (name) => KINDS[name] };
}

test('a record has the time, the name, the id and the fields of its event, and the resource and the product of the options', (t) => {
  const metrics = { status: 'success', task_count: 7, duration: 7, cached: true, selector: null };
  const record = recordOf(eventOf(metrics, 1_795_882_800_123.25), SHARED, 5);
  t.deepEqual(record, {
    hrTime: [1_795_882_800, 123_250_000],
    hrTimeObserved: [1_795_882_800, 123_250_000],
    severityNumber: 9,
    severityText: 'INFO',
    eventName: 'acme.dag_run',
    resource: { attributes: { 'service.name': 'scheduler' } },
    instrumentationScope: { name: 'acme', version: '1.2.0' },
    attributes: {
      status: 'success',
      task_count: 7,
      duration: 7.000_000_000_000_001,
      cached: true,
      'log.record.uid': '019a0b3c-7d2e-7c41-9f0a-5b1d2e3f4a5b',
    },
    droppedAttributesCount: 0,
  });
  // Exporters group by identity.
  t.is(record.resource, RESOURCE);
  t.is(record.instrumentationScope, SCOPE);
});

test('an event without a time has the time of its export', (t) => {
  t.deepEqual(recordOf(eventOf({}), SHARED, 5_006).hrTime, [5, 6_000_000]);
});

test('the numbers of an event that does not tell their kinds stay as they are', (t) => {
  const event: UsageEvent = { id: 'a', type: 'dag_run', metrics: { duration: 7 }, requestTarget: () => '' };
  t.is(recordOf(event, SHARED, 0).attributes['duration'], 7);
});

test('a whole duration becomes the next larger double, and any other stays', (t) => {
  t.is(asDouble(7), 7.000_000_000_000_001);
  t.is(asDouble(7.5), 7.5);
  t.is(asDouble(1), 1.000_000_000_000_000_2);
  t.is(asDouble(86_400), 86_400.000_000_000_01);
  t.is(asDouble(0), 2.220_446_049_250_313e-16);
  t.is(asDouble(-0), 2.220_446_049_250_313e-16);
  // From here on all doubles are whole.
  t.is(asDouble(2 ** 52 - 1), 2 ** 52 - 0.5);
  t.is(asDouble(2 ** 52), 2 ** 52);
});

test('no duration below 2 ** 52 seconds is whole, and none changes by more than a part in 10 ** 15', (t) => {
  const durations = oneof(
    integer({ min: 1, max: 2 ** 31 }),
    maxSafeInteger().map(Math.abs),
    double({ min: 1, max: 2 ** 52 - 1, noNaN: true }),
  );
  assert(
    property(durations, (value) => {
      if (value < 1 || value >= 2 ** 52) return;
      const sent = asDouble(value);
      t.false(Number.isInteger(sent));
      t.true(sent >= value && sent - value <= value * 1e-15);
    }),
  );
});
