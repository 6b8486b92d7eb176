export { refusedPort, silentServer, startCollector } from './collector.js';
export type { Collector, CollectorOptions, SilentServer } from './collector.js';
export type { CollectedRequest } from './collected-request.js';
export type { Fault, FaultHeaders, FaultSource } from './collector-faults.js';
export { hostilePayloads } from './hostile-payloads.js';
export type { HostilePayload, HostilePayloadOptions } from './hostile-payloads.js';
export type { HostEventName } from './valid-payloads.js';
export { recordingTransport } from './recording-transport.js';
export type { OutcomeScript, RecordedEvent, RecordingTransport, RecordingTransportOptions } from './recording-transport.js';
export { relayStoreContract, type RelayStoreContractOptions } from './relay-store-contract.js';
export { testEnvironment } from './test-environment.js';
export { transportContract } from './transport-contract.js';
export type { ContractTest, MakeTransport, TransportContractOptions } from './transport-contract.js';

export type { Clock, Timer } from '../base/clock.js';
export type { Environment, SendSignal } from '../base/platform-types.js';
export type { RelayStore, RelayStoreOptions, RelayStoreStats, SharedQueueStats, Stored, StoredEvent } from '../delivery/relay-store.js';
export type { Cause, SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
export type { MetricValue, UsageMetrics } from '../wire/python.js';
