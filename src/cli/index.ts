/*
 * The public names of `cosmos-telemetry/cli`.
 */
export { createTelemetryCli } from './cli.js';
export type { TelemetryCli } from './cli.js';
export type { TelemetryCliOptions } from './program.js';
export type { CliIo, CliStream } from './terminal.js';
export type { Environment, Platform } from '../base/platform-types.js';
