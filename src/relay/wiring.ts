/** The concrete parts of a relay: its machine, its store, and the transport to the endpoint. */
import type { Clock } from '../base/clock.js';
import { thisMachine } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { endpointTransport } from '../delivery/endpoint-transport.js';
import { decorate } from '../delivery/transport.js';
import type { SendOutcome, Transport } from '../delivery/transport.js';
import type { Gate } from '../opt-out/gate.js';
import { COSMOS, debugMode } from '../opt-out/variables.js';
import type { RelayLog } from './log.js';
import type { PromClient } from './metrics.js';
import type { RelayOptions, RelaySettings } from './options.js';
import type { SpoolOptions } from './spool/index.js';
import type { RelayStore } from '../delivery/relay-store.js';

/** The parts that tests replace. */
export interface RelayParts {
  /** Clock, randomness, files and name look-up. */
  readonly machine: MachineAccess;
  readonly openStore: (request: StoreRequest) => Promise<RelayStore>;
  /** @default imports the package prom-client */
  readonly loadProm?: (() => Promise<PromClient>) | undefined;
}

/** The options of `openSpool`; without a directory, those of `memoryStore`. */
export interface StoreRequest extends Omit<SpoolOptions, 'directory' | 'segmentBytes' | 'fs'> {
  directory: string | undefined;
}

/** The parts of `createRelay`: this machine, and the stores of `spool/`, which are loaded when one is opened. */
export const defaultParts: RelayParts = {
  machine: thisMachine,
  openStore: async ({ directory, log, admit, onRecovered, required, ...rest }) => {
    const { memoryStore, openSpool } = await import('./spool/index.js');
    return directory === undefined ? memoryStore(rest) : openSpool({ directory, log, admit, onRecovered, required, ...rest });
  },
};

/** The times of a backoff. */
interface BackoffOptions {
  /** The upper bound of the first wait, in milliseconds. It doubles with each failure. */
  backoffMs: number;
  /** The upper bound of every wait, in milliseconds. */
  maxBackoffMs: number;
  clock: Pick<Clock, 'now'>;
  /** From 0 up to 1. */
  random: () => number;
}

/** After this many doublings every wait exceeds the largest `maxBackoffMs`. */
const MAX_DOUBLINGS = 40;

/**
 * Exponential backoff with full jitter, without a last attempt: a `retryable` outcome becomes `deferred`, by a random wait from 0 to
 * `backoffMs * 2 ** failures`, so that the event goes back to the store and relays do not return in step.
 *
 * Attempts that were in flight together count as one failure.
 */
export function backoff(inner: Transport, { backoffMs, maxBackoffMs, clock, random }: BackoffOptions): Transport {
  let failures = 0;
  let lastFailureAtMs = -Infinity;
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    const outcome = await inner.send(events, signal);
    if (outcome.kind === 'sent') failures = 0;
    if (outcome.kind !== 'retryable') return outcome;
    if (startedAtMs >= lastFailureAtMs) failures = Math.min(failures + 1, MAX_DOUBLINGS);
    lastFailureAtMs = clock.now();
    const longestMs = Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1));
    return { kind: 'deferred', waitMs: random() * longestMs, reason: outcome.reason };
  });
}

/** Measures each attempt. */
function timed(inner: Transport, clock: Pick<Clock, 'now'>, observe: (seconds: number) => void): Transport {
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    try {
      return await inner.send(events, signal);
    } finally {
      observe((clock.now() - startedAtMs) / 1000);
    }
  });
}

/** What `relayTransport` needs. */
interface TransportParts {
  readonly settings: RelaySettings;
  readonly options: RelayOptions;
  readonly gate: Gate;
  readonly log: RelayLog;
  readonly machine: MachineAccess;
  /** Called with the duration of each attempt. */
  readonly observe: (seconds: number) => void;
}

/** The first probe of an open circuit comes after this many first backoffs. Later probes come at most every `maxBackoffMs`. */
const PROBE_BACKOFFS = 5;

/** The outcome of an attempt that was still connecting when the relay closed: nothing was sent, so the event stays in the spool. */
const UNWRITTEN: SendOutcome = { kind: 'deferred', waitMs: 0, reason: 'aborted' };

/** The transport of a relay: one GET an event, inside a circuit breaker, inside a backoff. */
export function relayTransport({ settings, options, gate, log, machine, observe }: TransportParts): Transport {
  const { forward, env, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, backoffMs, maxBackoffMs } = settings;
  const { clock, random, lookup, descriptors } = machine;
  const { allowedRedirectHosts, proxy } = options;
  const mode = debugMode(COSMOS, env);
  // As in the library: debug mode prints requests and sends none.
  if (mode !== undefined) return debugTransport({ mode, endpoint: forward, log, clock, access: descriptors });
  const breaking = endpointTransport(
    { endpoint: forward, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, env, allowedRedirectHosts, proxy },
    {
      gate,
      log,
      clock,
      lookup,
      breaker: { probeAfterMs: Math.min(PROBE_BACKOFFS * backoffMs, maxBackoffMs), maxProbeAfterMs: maxBackoffMs },
      abortedUnwritten: UNWRITTEN,
      aroundAttempt: (attempt) => timed(attempt, clock, observe),
    },
  );
  return backoff(breaking, { backoffMs, maxBackoffMs, clock, random });
}
