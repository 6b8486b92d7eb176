/** Base of Astronomer's gateway for Cosmos. Pass it as `endpoint` to send there; nothing is sent to it otherwise. */
export const COSMOS_ENDPOINT = 'https://astronomer.gateway.scarf.sh/astronomer-cosmos';

/** The wire version in every request path. Versions 1 and 2 put values into the path and are history. */
export const WIRE_VERSION = 'v3';

/** What product, event, field and host names look like: nothing a caller passes can change the path or a key. */
export const NAME_PATTERN = /^[a-z][a-z0-9_]{0,31}$/;

/** Limits and times that `createTelemetry` uses where an option is not given. */
export const DEFAULTS = {
  maxPendingEvents: 10_000,
  concurrency: 6,
  drainConcurrency: 24,
  connectTimeoutMs: 400,
  attemptTimeoutMs: 1000,
  retries: 2,
  drainDeadlineMs: 2000,
  exitDeadlineMs: 250,
} as const;
