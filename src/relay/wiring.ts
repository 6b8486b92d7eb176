import type { Clock } from '../base/clock.js';
import { thisMachine } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import { circuitBreaker } from '../delivery/circuit-breaker.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { fetchTransportWith } from '../delivery/http/fetch-transport.js';
import { gated } from '../delivery/retry.js';
import { decorate } from '../delivery/transport.js';
import type { SendOutcome, Transport } from '../delivery/transport.js';
import type { Gate } from '../opt-out/gate.js';
import { COSMOS, debugMode } from '../opt-out/variables.js';
import type { RelayLog } from './log.js';
import type { PromClient } from './metrics.js';
import type { RelayOptions, RelaySettings } from './options.js';
import type { RouteOptions } from './request-target.js';
import type { RelayStore } from '../delivery/relay-store.js';
import type { RelayStats } from './types.js';

/** How long it waits between attempts. */
export interface PatienceOptions {
  /** The longest first wait, in milliseconds. It doubles with each attempt that fails. */
  backoffMs: number;
  /** The longest wait of all, in milliseconds. */
  maxBackoffMs: number;
  clock: Pick<Clock, 'now'>;
  /** From 0 up to 1. */
  random: () => number;
}

/** Doubled so often, every wait is longer than any that is allowed. */
const MAX_DOUBLINGS = 40;

/**
 * Never gives an event up: what was not delivered for certain and is worth another attempt is `deferred`, by a wait that grows
 * with each failure and is drawn from its whole length (full jitter), so that relays do not come back in step.
 *
 * Attempts that were under way together fail together, and count as one failure.
 */
export function patient(inner: Transport, { backoffMs, maxBackoffMs, clock, random }: PatienceOptions): Transport {
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

/** Times each attempt. */
export function timed(inner: Transport, clock: Pick<Clock, 'now'>, observe: (seconds: number) => void): Transport {
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    try {
      return await inner.send(events, signal);
    } finally {
      observe((clock.now() - startedAtMs) / 1000);
    }
  });
}

/** What a relay asks of whoever opens its store. */
export interface StoreRequest {
  /** Undefined for one in memory. */
  readonly directory: string | undefined;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly log: RelayLog;
  /** What of a target that an earlier process left may leave today. */
  readonly admit: (target: string) => string | undefined;
  /** Called in the step in which the store has more events. */
  readonly onStored: (events: number) => void;
  /** Called when the disk works only now, and `stats()` tells what an earlier process left on it. */
  readonly onRecovered: () => void;
}

/** Time, chance and the machine, the store and metrics: what tests own. */
export interface RelayParts {
  readonly machine: MachineAccess;
  readonly openStore: (request: StoreRequest) => Promise<RelayStore>;
  /** @default the package prom-client, where it is installed */
  readonly loadProm?: (() => Promise<PromClient>) | undefined;
}

/** What the works are made of. */
export interface WorksOptions {
  readonly options: RelayOptions;
  readonly settings: RelaySettings;
  readonly routing: RouteOptions;
  readonly parts: RelayParts;
  readonly gate: Gate;
  readonly log: RelayLog;
  readonly stats: () => RelayStats;
}

/** Everything as it is on this machine. */
export const theseParts: RelayParts = {
  machine: thisMachine,
  openStore: async ({ directory, log, admit, onRecovered, ...rest }) => {
    const { memoryStore, openSpool } = await import('./spool/index.js');
    return directory === undefined ? memoryStore(rest) : openSpool({ directory, log, admit, onRecovered, ...rest });
  },
};

/** What a transport is put together from. */
interface TransportParts {
  readonly settings: RelaySettings;
  readonly options: RelayOptions;
  readonly gate: Gate;
  readonly log: RelayLog;
  readonly machine: MachineAccess;
  readonly observe: (seconds: number) => void;
}

/** An open circuit is probed after so many of the first waits, and in the end as often as is waited at most. */
const PROBE_BACKOFFS = 5;

/** What was still to be connected when the relay ended stays in the spool: nobody has seen it. */
const UNWRITTEN: SendOutcome = { kind: 'deferred', waitMs: 0, reason: 'aborted' };

/** The transport of a relay: one GET an event, a breaker around it, and patience around both. */
export function relayTransport({ settings, options, gate, log, machine, observe }: TransportParts): Transport {
  const { forward, env, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, backoffMs, maxBackoffMs } = settings;
  const { clock, random, lookup, descriptors } = machine;
  const { allowedRedirectHosts, proxy } = options;
  const mode = debugMode(COSMOS, env);
  // As in the library: who asks to see the requests wants none to be sent.
  if (mode !== undefined) return debugTransport({ mode, endpoint: forward, log, clock, access: descriptors });
  const fetching = fetchTransportWith(
    {
      endpoint: forward,
      connectTimeoutMs,
      attemptTimeoutMs,
      maxSockets: Math.max(concurrency, drainConcurrency),
      env,
      allowedRedirectHosts,
      proxy,
    },
    { clock, log, abortedUnwritten: UNWRITTEN, ...(lookup && { lookup }) },
  );
  const probeAfterMs = Math.min(PROBE_BACKOFFS * backoffMs, maxBackoffMs);
  const breaking = circuitBreaker(gated(timed(fetching, clock, observe), gate), { clock, probeAfterMs, maxProbeAfterMs: maxBackoffMs });
  return patient(breaking, { backoffMs, maxBackoffMs, clock, random });
}
