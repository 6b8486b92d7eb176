// The public names of `cosmos-telemetry`.

// Client.
export { createTelemetry } from './client/telemetry.js';
export type { DrainReport, Telemetry } from './client/telemetry.js';
// The consent of a person.
export type { Consent } from './client/consent.js';
export type { ConsentQuestion, ConsentReport, ConsentState } from './opt-out/consent-acts.js';
export type { ConsentInput, ConsentOutput } from './opt-out/consent-ask.js';
// Options, reports, and what the client is given.
export type { TelemetryOptions } from './client/options.js';
export type { TelemetryStats } from './base/ledger.js';
export type { ChannelMessage } from './base/channels.js';
export type { TelemetryBus } from './bus/bus.js';
export type { Clock, Timer } from './base/clock.js';
export type { Logger } from './base/log.js';
export { COSMOS_ENDPOINT } from './base/constants.js';

// Hosts and their events.
export type { HostMap, HostReport, Mapped } from './listeners/map.js';
export type { RunReport, RunTask } from './listeners/run.js';
export type { TypedHost } from './listeners/typed-host.js';
export type { EventNames, RegisterOptions } from './listeners/register.js';
export type {
  AddRemoveHost,
  Dag,
  DagRun,
  End,
  EventTargetHost,
  HostEmitter,
  HostEvents,
  OnOffHost,
  Outcome,
  ProfileConfig,
  Task,
  TaskInstance,
  When,
} from './listeners/host.js';

// Declared events.
export { defineEvent } from './events/definition.js';
export type { EventDefinition, EventOptions, Fields, MetricsOf } from './events/definition.js';
export { boolean, command, count, duration, hash, identifier, identifierSet, nullable, oneOf, optional, version } from './events/fields.js';
export type { Field, FieldKind, FieldNote } from './events/fields.js';
export type { MetricValue, UsageMetrics } from './wire/python.js';
export type { CommonField, ProductDescription } from './events/description.js';
export type { EventMetrics, StandardEvent, StandardMetrics } from './events/product-events.js';

// Privacy notice.
export { renderPrivacyNotice, writePrivacyNotice } from './notice/privacy-notice.js';
export type { PrivacyNoticeOptions } from './notice/privacy-notice.js';

// Settings and opt-outs.
export { explainSettings, resolveSettings, shouldEmit } from './opt-out/settings.js';
export type { Rule, Settings, SettingsOptions } from './opt-out/settings.js';
export { configFilePath, policyFilePaths } from './opt-out/telemetry-json.js';

// Cosmos' own functions, for direct use.
export type { MachineFacts } from './base/machine.js';
export { collectStandardUsageMetrics } from './events/standard-metrics.js';
export type { Host, Product } from './events/standard-metrics.js';
export { emitUsageMetrics, emitUsageMetricsIfEnabled, storeTelemetryMetadata } from './client/direct.js';
export type { EmitOptions } from './client/direct.js';
export {
  compressTelemetryMetadata,
  decompressTelemetryMetadata,
  TELEMETRY_METADATA_PARAM,
  TelemetryMetadataError,
} from './events/metadata.js';
export type { TelemetryMetadataProblem } from './base/ledger.js';

// Transports.
export { circuitBreaker } from './delivery/circuit-breaker.js';
export type { CircuitBreakerOptions } from './delivery/circuit-breaker.js';
export { fetchTransport } from './delivery/http/fetch-transport.js';
export type { FetchTransportOptions } from './delivery/http/fetch-transport.js';
export { retrying } from './delivery/retry.js';
export type { RetryingOptions } from './delivery/retry.js';
export type { Cause, EventOutcome, SendOutcome, Transport, UsageEvent } from './delivery/transport.js';

// Types of the platform.
export type { Environment, Platform, SendSignal, UrlObject } from './base/platform-types.js';
