/**
 * `cosmos-telemetry/ndjson`: events as lines of JSON, for databases and files, and a transport that posts them.
 *
 * @module ndjson
 */
export { ndjsonTransport } from './ndjson-transport.js';
export type { NdjsonTransportOptions } from './ndjson-transport.js';
export type { FetchTransportOptions } from '../http/fetch-transport.js';
export type { Cause, EventOutcome, SendOutcome, Transport, UsageEvent } from '../transport.js';
export type { FieldKind } from '../../events/fields.js';
export type { Logger } from '../../base/log.js';
export type { Environment, SendSignal, UrlObject } from '../../base/platform-types.js';
export type { HeadersOption } from './own-headers.js';
export { ndjsonLine, readNdjsonLine } from '../../wire/ndjson.js';
export type { NdjsonEvent, NdjsonKind, NdjsonProblem, NdjsonReading, ReadNdjsonEvent } from '../../wire/ndjson.js';
export { ndjsonColumns } from './columns.js';
export type { NdjsonColumn, NdjsonColumnType } from './columns.js';
export { ndjsonStatements } from './statements.js';
export type { NdjsonStatementOptions, NdjsonStatements } from './statements.js';
export type { MetricValue, UsageMetrics } from '../../wire/python.js';
