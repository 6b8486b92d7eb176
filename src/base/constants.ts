// Constants of the wire, and the defaults of the options.

/** The product whose events are those of Cosmos, byte for byte. */
export const COSMOS = 'cosmos';

/**
 * Base URL of Astronomer's gateway for Cosmos. `createTelemetry` sends there only if you pass it as `endpoint`; for `emitUsageMetrics`
 * it is the default, as in Cosmos.
 *
 * @example
 * console.log(COSMOS_ENDPOINT); // https://astronomer.gateway.scarf.sh/astronomer-cosmos
 */
export const COSMOS_ENDPOINT = 'https://astronomer.gateway.scarf.sh/astronomer-cosmos';

/** Base URL of Astronomer's gateway for DAG Factory, where a relay sends its events. */
export const DAG_FACTORY_ENDPOINT = 'https://astronomer.gateway.scarf.sh/dag-factory';

/** Where a relay listens by default, and where `relay status` asks. */
export const DEFAULT_LISTEN = '127.0.0.1:8787';

/** The wire version in every request path. Versions 1 and 2, which put values into the path, are obsolete. */
export const WIRE_VERSION = 'v3';

/** The form of product, event, field and host names: such a name cannot change a path or a key. */
export const NAME_PATTERN = /^[a-z][a-z0-9_]{0,31}$/;

/** Defaults of the options of `createTelemetry`. */
export const DEFAULTS = {
  maxPendingEvents: 10_000,
  concurrency: 6,
  drainConcurrency: 24,
  connectTimeoutMs: 5000,
  attemptTimeoutMs: 10_000,
  retries: 2,
  drainDeadlineMs: 2000,
  exitDeadlineMs: 250,
  spreadMs: 0,
} as const;

/** The time limit of the functions for direct use, whose caller waits: Cosmos has the same. In milliseconds. */
export const AWAITED_TIMEOUT_MS = 1000;
