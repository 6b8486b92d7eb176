/** `cosmos-telemetry/jetstream`: a queue of NATS JetStream that relays share. It loads the client of NATS, which is an optional package. */
export { JetstreamError } from './client.js';
export type { JetstreamOptions, NatsClient, NatsConnection, NatsHeaders, NatsMessage } from './client.js';
export { jetstreamStore } from './store.js';
export type { JetstreamStoreOptions } from './store.js';
export { jetstreamTransport } from './transport.js';
export type { JetstreamTransportOptions } from './transport.js';

export type { SendSignal } from '../base/platform-types.js';
export type { Cause, EventOutcome, SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
export type { FieldKind } from '../events/fields.js';
export type { MetricValue, UsageMetrics } from '../wire/python.js';
export type { Clock, Timer } from '../base/clock.js';
export type { RelayStore, RelayStoreOptions, RelayStoreStats, SharedQueueStats, Stored, StoredEvent } from '../delivery/relay-store.js';
