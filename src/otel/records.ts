/** From a usage event to a log record, in the shape that exporters of OpenTelemetry read. */
import type { UsageEvent } from '../delivery/transport.js';

/**
 * What a resource of OpenTelemetry tells of the process: `resourceFromAttributes()` makes one. All of it is sent with each batch, and it is
 * not shown by the debug mode or the privacy notice: leave out what names a person or a machine, such as `host.name` or
 * `process.command_args`.
 *
 * @example
 * const resource: OtelResource = { attributes: { 'service.name': 'acme-scheduler' } };
 */
export interface OtelResource {
  /** The attributes by name. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Whether detectors still look for attributes: then `waitForAsyncAttributes` is awaited. */
  readonly asyncAttributesPending?: boolean | undefined;
  /** The URL of the conventions that the attributes follow. */
  readonly schemaUrl?: string | undefined;
  /** Resolves when the attributes are complete. @throws If it throws or rejects, the attributes are sent as they are. */
  readonly waitForAsyncAttributes?: (() => Promise<void>) | undefined;
}

/**
 * What names the source of the records: the name and the version of the product.
 *
 * @example
 * const scope: OtelScope = { name: 'acme', version: '1.2.0' };
 */
export interface OtelScope {
  /** The name of the product. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
}

/**
 * A log record as an exporter gets it: the part of `ReadableLogRecord` of `@opentelemetry/sdk-logs` that a usage event has.
 *
 * @example
 * const nameOf = ({ eventName, attributes }: OtelLogRecord) => `${eventName} ${String(attributes['log.record.uid'])}`;
 */
export interface OtelLogRecord {
  /** When the event was published: seconds since 1970, and nanoseconds. */
  readonly hrTime: [number, number];
  /** The same. */
  readonly hrTimeObserved: [number, number];
  /** 9. */
  readonly severityNumber?: number | undefined;
  /** `INFO`. */
  readonly severityText?: string | undefined;
  /** Product and type of the event: `acme.dag_run`. */
  readonly eventName?: string | undefined;
  /** The resource of the options. It is the same object in each record. */
  readonly resource: OtelResource;
  /** Product and version. It is the same object in each record. */
  readonly instrumentationScope: { readonly name: string; readonly version?: string | undefined };
  /** The metrics of the event that have a value, and `log.record.uid`. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 0. */
  readonly droppedAttributesCount: number;
}

/** The attribute for an id of a record: records with equal ids are the same one (OpenTelemetry's semantic conventions, `log`). */
const ID_ATTRIBUTE = 'log.record.uid';

/** The number of `INFO` in OpenTelemetry's data model of logs. */
const INFO = 9;

/** What all records of a transport share. Exporters group records by the identity of both objects. */
export interface SharedParts {
  readonly resource: OtelResource;
  readonly scope: OtelScope;
}

/** @param nowMs The time of an event that has none, in milliseconds since 1970. */
export function recordOf(event: UsageEvent, { resource, scope }: SharedParts, nowMs: number): OtelLogRecord {
  const { timeMs = nowMs, type, id, metrics } = event;
  const hrTime = hrTimeOf(timeMs);
  const attributes: Record<string, unknown> = {};
  for (const { 0: name, 1: value } of Object.entries(metrics)) {
    if (value === null) continue;
    attributes[name] = typeof value === 'number' && event.kindOf?.(name) === 'duration' ? asDouble(value) : value;
  }
  attributes[ID_ATTRIBUTE] = id;
  return {
    hrTime,
    hrTimeObserved: hrTime,
    severityNumber: INFO,
    severityText: 'INFO',
    eventName: `${scope.name}.${type}`,
    resource,
    instrumentationScope: scope,
    attributes,
    droppedAttributesCount: 0,
  };
}

function hrTimeOf(timeMs: number): [number, number] {
  const seconds = Math.floor(timeMs / 1000);
  return [seconds, Math.floor((timeMs - seconds * 1000) * 1e6)];
}

const float = new Float64Array(1);
const bits = new BigInt64Array(float.buffer);

/**
 * A number that OpenTelemetry's exporters write as a double. They write each number for which `Number.isInteger` holds as an integer, so a
 * duration of 7 seconds would have another type than one of 7.5. A whole number becomes the next larger double, 7.000000000000001: a
 * millionth of a nanosecond more. 0 becomes the distance from 1 to the next double, since some databases refuse the smallest one.
 *
 * @param value At least 0. From 2 ** 52 on there is no double that is not whole: the value stays as it is.
 */
export function asDouble(value: number): number {
  if (!Number.isInteger(value)) return value;
  if (value === 0) return Number.EPSILON;
  float[0] = value;
  bits[0] = (bits[0] ?? 0n) + 1n;
  const next = float[0];
  return Number.isInteger(next) ? value : next;
}
