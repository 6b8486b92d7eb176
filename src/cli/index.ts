export { createTelemetryCli } from './telemetry-cli.js';
export type { TelemetryCli } from './telemetry-cli.js';
export type { TelemetryCliOptions } from './program.js';
export type { CliIo, CliStream } from './io.js';
