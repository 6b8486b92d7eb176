/** `cosmos-telemetry/otel`: hands events to an exporter of OpenTelemetry log records. It imports nothing of OpenTelemetry. */
import {
  anObject,
  aText,
  checkOptions,
  checkValue,
  integer,
  MAX_TIMER_MS,
  milliseconds,
  readOption,
  withMethods,
} from '../base/check-options.js';
import type { Check } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { Transport } from '../delivery/transport.js';
import { isVersion } from '../events/fields.js';
import { ExporterTransport } from './exporter-transport.js';
import type { OtelExporter } from './exporter-transport.js';
import type { OtelResource, OtelScope } from './records.js';

export type { SendSignal } from '../base/platform-types.js';
export type { Cause, EventOutcome, SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
export type { FieldKind } from '../events/fields.js';
export type { MetricValue, UsageMetrics } from '../wire/python.js';
export type { OtelExporter, OtelExportResult } from './exporter-transport.js';
export type { OtelLogRecord, OtelResource, OtelScope } from './records.js';

/**
 * Options of `otelTransport`.
 *
 * @example
 * const options: OtelTransportOptions = {
 *   // Yours is an `OTLPLogExporter`.
 *   exporter: { export: (_records, done) => done({ code: 0 }) },
 *   product: { name: 'acme', version: '1.2.0' },
 *   resource: { attributes: { 'service.name': 'acme-scheduler' } },
 * };
 */
export interface OtelTransportOptions {
  /**
   * The exporter, such as `OTLPLogExporter` of `@opentelemetry/exporter-logs-otlp-http`, `-proto` or `-grpc`. Not a `LoggerProvider`: that
   * only queues records, and reports nothing of them.
   */
  exporter: OtelExporter;
  /** The product: the instrumentation scope of the records, and the first part of their event names. */
  product: OtelScope;
  /** What the records say of the process. All of it is sent. @default no attributes */
  resource?: OtelResource | undefined;
  /**
   * Whether the exporter calls back before it has delivered, since it only queues. Its events count as `sent` and as `handedOver`, and
   * `close()` flushes it. Nothing tells this from outside.
   * @default false
   */
  handedOver?: boolean | undefined;
  /**
   * Whether the receiver drops a record whose `log.record.uid` it has. Then events whose result is unknown are sent again: after a
   * timeout, a connection that was reset, or a failure without a code.
   * @default false: they count as failed
   */
  receiverDeduplicates?: boolean | undefined;
  /** Whether the exporter is the transport's own, so that `close()` shuts it down. @default false */
  shutdownExporter?: boolean | undefined;
  /** The most events that one export takes. @default 512 */
  maxBatchSize?: number | undefined;
  /** The longest that a batch waits for further events, in milliseconds. @default 1000 */
  lingerMs?: number | undefined;
  /**
   * The longest that the transport waits for a callback, and `close()` for the exporter, in milliseconds. Choose more than the exporter's
   * own limit, which is 10 seconds in OpenTelemetry's OTLP exporters.
   * @default 12_000
   */
  timeoutMs?: number | undefined;
}

const AN_EXPORTER: Check = [
  'an exporter of OpenTelemetry log records, which has `export()`, such as `OTLPLogExporter` (not a `LoggerProvider`)',
  (value) => typeof value === 'object' && value !== null && typeof (value as Partial<OtelExporter>).export === 'function',
];

const A_RESOURCE: Check = [
  'a resource of OpenTelemetry, which has `attributes`',
  // While detectors run, a resource complains of each look at its attributes.
  (value) =>
    anObject[1](value) && ((value as OtelResource).asyncAttributesPending === true || anObject[1]((value as OtelResource).attributes)),
];

const A_BOOLEAN: Check = ['true or false', (value) => typeof value === 'boolean'];

const NO_RESOURCE: OtelResource = Object.freeze({ attributes: Object.freeze({}) });

/**
 * Delivers events as log records by an exporter of OpenTelemetry. Its callback decides what counts as `sent`. No package of OpenTelemetry
 * is needed but the exporter, and whatever version it has. It tries nothing again: put `retrying(circuitBreaker(...))` around it.
 *
 * - A record has the time and the name of its event (`acme.dag_run`), the declared fields as attributes, and the event's id as
 *   `log.record.uid`. A duration is always a double, a count an integer. Fields without a value are left out.
 * - A success is `sent`. OpenTelemetry's exporters report a success also where the receiver has rejected records (`partialSuccess`).
 * - `connect`, `unavailable` (the receiver said 429, 502, 503 or 504) and `exporter_busy` are `retryable`; any other status is `rejected`.
 * - `timeout`, `network`, `export_failed`, `exporter_error` and `grpc_{code}` are unknown results: see `receiverDeduplicates`.
 * - OpenTelemetry's OTLP exporters for HTTP try again by themselves, also after a timeout or a reset. So a receiver may get a record
 *   twice, whatever the options say.
 *
 * It aborts nothing that an exporter has begun, for exporters cannot be told to.
 *
 * @param options The exporter and the product are required.
 * @throws TypeError naming the option and its value, for an unknown option, a bad value, or `shutdownExporter` for what has no
 * `shutdown()`.
 * @example
 * // Yours is `new OTLPLogExporter({ url: 'https://otel.acme.example/v1/logs' })`.
 * const exporter: OtelExporter = {
 *   export: (records, done) => {
 *     console.log(records.map(({ eventName }) => eventName).join(' ')); // acme.dag_run acme.task_instance
 *     done({ code: 0 });
 *   },
 * };
 * const product = { name: 'acme', version: '1.2.0' };
 * const telemetry = createTelemetry({ product, transport: otelTransport({ exporter, product }), env: testEnvironment('acme') });
 * telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
 * console.log((await telemetry.close()).sent); // 2
 */
export function otelTransport(options: OtelTransportOptions): Transport {
  const checked = checkOptions<OtelTransportOptions>('options of otelTransport', options, {
    exporter: AN_EXPORTER,
    product: anObject,
    resource: A_RESOURCE,
    handedOver: A_BOOLEAN,
    receiverDeduplicates: A_BOOLEAN,
    shutdownExporter: A_BOOLEAN,
    maxBatchSize: integer(1, 100_000),
    lingerMs: milliseconds(0, 3_600_000),
    timeoutMs: milliseconds(1, MAX_TIMER_MS),
  });
  const { exporter, product, resource = NO_RESOURCE, maxBatchSize = 512, lingerMs = 1000, timeoutMs = 12_000 } = checked;
  const { handedOver = false, receiverDeduplicates = false, shutdownExporter = false } = checked;
  checkValue('exporter', exporter, AN_EXPORTER);
  if (shutdownExporter) checkValue('exporter', exporter, withMethods('export', 'shutdown'));
  checkValue('product', product, anObject);
  const name = readOption(product, 'name', 'product.name') as string;
  const version = readOption(product, 'version', 'product.version') as string;
  checkValue('product.name', name, aText);
  checkValue('product.version', version, ['a version', isVersion]);
  const scope: OtelScope = Object.freeze({ name, version });
  const rules = { handedOver, receiverDeduplicates, shutdownExporter };
  return new ExporterTransport({ exporter, scope, resource, maxBatchSize, lingerMs, timeoutMs, ...rules }, systemClock);
}
