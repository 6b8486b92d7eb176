export { createTelemetry } from './telemetry.js';
export type { DrainReport, Telemetry } from './telemetry-types.js';
export type { TelemetryOptions } from './options.js';
export type { TelemetryBus } from './bus.js';
export type { TelemetryStats } from './ledger.js';
export type { EventNames } from './listeners/register.js';
export type { Clock, Timer } from './timing.js';
export type { Logger } from './log.js';
export type {
  AddRemoveHost,
  Dag,
  DagRun,
  EventTargetHost,
  HostEmitter,
  HostEvents,
  OnOffHost,
  ProfileConfig,
  Task,
  TaskInstance,
} from './host.js';

export { defineEvent } from './events/definition.js';
export type { EventDefinition, Fields, MetricsOf } from './events/definition.js';
export {
  boolean,
  command,
  count,
  duration,
  hash,
  identifier,
  identifierSet,
  nullable,
  oneOf,
  optional,
  version,
} from './events/fields.js';
export type { Field, FieldKind, FieldNote, MetricValue, UsageMetrics } from './events/fields.js';
export type { EventMetrics } from './events/product-events.js';
export { collectStandardUsageMetrics } from './events/standard-metrics.js';
export type { Host, Product } from './events/standard-metrics.js';
export { renderPrivacyNotice } from './privacy-notice.js';
export type { PrivacyNoticeOptions } from './privacy-notice.js';

export { explainSettings, resolveSettings, shouldEmit } from './settings.js';
export type { Rule, Settings, SettingsOptions } from './settings.js';
export { configFilePath, policyFilePaths } from './settings/telemetry-places.js';
export { emitUsageMetrics, emitUsageMetricsIfEnabled } from './usage-metrics.js';
export type { EmitOptions } from './usage-metrics.js';
export {
  compressTelemetryMetadata,
  decompressTelemetryMetadata,
  storeTelemetryMetadata,
  TELEMETRY_METADATA_PARAM,
  TelemetryMetadataError,
} from './metadata.js';
export type { TelemetryMetadataProblem } from './metadata.js';
export { COSMOS_ENDPOINT } from './constants.js';

export { circuitBreaker } from './delivery/circuit-breaker.js';
export type { CircuitBreakerOptions } from './delivery/circuit-breaker.js';
export { fetchTransport } from './delivery/fetch-transport.js';
export type { FetchTransportOptions } from './delivery/fetch-transport.js';
export { retrying } from './delivery/retrying-transport.js';
export type { RetryingOptions } from './delivery/retrying-transport.js';
export type { SendOutcome, Transport, UsageEvent } from './delivery/transport.js';
