import { circuitBreaker } from '../delivery/circuit-breaker.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { fetchTransportWith } from '../delivery/fetch-transport.js';
import { gated } from '../delivery/gated-transport.js';
import type { SendOutcome, Transport } from '../delivery/transport.js';
import type { Gate } from '../gate.js';
import { thisMachine } from '../machine.js';
import type { MachineAccess } from '../machine.js';
import { debugMode } from '../settings/debug-mode.js';
import { COSMOS } from '../settings/opt-outs.js';
import type { Clock } from '../timing.js';
import type { PromClient } from './metrics.js';
import type { RelayOptions, RelaySettings } from './options.js';
import { patient, timed } from './patient-transport.js';
import type { RelayLog } from './relay-log.js';
import type { RelayStats } from './relay-types.js';
import type { RouteOptions } from './request-target.js';
import type { RelayStore } from './store.js';

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
