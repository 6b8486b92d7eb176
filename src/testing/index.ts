export { refusedPort, silentServer, startCollector } from './collector.js';
export type { Collector, CollectorOptions, SilentServer } from './collector.js';
export type { CollectedRequest } from './collected-request.js';
export type { Fault, FaultHeaders, FaultSource } from './collector-faults.js';
export { hostilePayloads } from './hostile-payloads.js';
export type { HostilePayload, HostilePayloadOptions } from './hostile-payloads.js';
export type { HostEventName } from './valid-payloads.js';
export { recordingTransport } from './recording-transport.js';
export type { OutcomeScript, RecordedEvent, RecordingTransport, RecordingTransportOptions } from './recording-transport.js';
