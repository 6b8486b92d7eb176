export { createRelay } from './relay.js';
export type { Relay, RelayAddress, RelayReport, RelayStats } from './relay-types.js';
export type { RelayOptions } from './options.js';
export type { RelayLogger } from './relay-log.js';
export type { RelayStoreStats } from './store.js';
