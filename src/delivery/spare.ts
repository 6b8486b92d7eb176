/*
 * All modules that are loaded late, as one file that needs no other: see `late.ts`. It is read only if an `import()` fails, or takes long
 * because the host's own work fills the thread pool.
 */
export { default as pQueue } from 'p-queue';
export { default as pRetry } from 'p-retry';
export * as httpClient from './http/client.js';
export * as tunnelAgent from './http/tunnel-agent.js';
