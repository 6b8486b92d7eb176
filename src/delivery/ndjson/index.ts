/**
 * `cosmos-telemetry/ndjson`: events as lines of JSON, for databases and files. It imports nothing.
 *
 * @module ndjson
 */
export { ndjsonLine, readNdjsonLine } from '../../wire/ndjson.js';
export type { NdjsonEvent, NdjsonKind, NdjsonProblem, NdjsonReading, ReadNdjsonEvent } from '../../wire/ndjson.js';
export type { MetricValue } from '../../wire/python.js';
