export { createRelay } from './relay.js';
export type { Relay, RelayAddress, RelayReport, RelayStats } from './types.js';
export type { RelayOptions } from './options.js';
export type { RelayLogger } from './log.js';
export type { RelayStatus } from './status.js';
export type { HttpRequest, HttpResponse } from '../base/platform-types.js';
export type { RelayStore, RelayStoreOptions, RelayStoreStats, SharedQueueStats, Stored, StoredEvent } from '../delivery/relay-store.js';
export type { Clock, Timer } from '../base/clock.js';

export type { TelemetryStats } from '../base/ledger.js';
export type { Logger } from '../base/log.js';
export type { Environment, UrlObject } from '../base/platform-types.js';
