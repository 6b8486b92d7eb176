/** The concrete parts of a relay: its machine, its store, and the transport to the endpoint. */
import { access } from 'node:fs/promises';
import { checkValue, withMethods } from '../base/check-options.js';
import { COSMOS } from '../base/constants.js';
import type { Clock } from '../base/clock.js';
import { thisMachine } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { endpointTransport, loadDelivery } from '../delivery/endpoint-transport.js';
import type { Http } from '../delivery/http/client.js';
import { loadClient } from '../delivery/http/fetch-transport.js';
import type { RouteSettings } from '../delivery/http/routes.js';
import type { ndjsonTransportWith } from '../delivery/ndjson/ndjson-transport.js';
import { gated } from '../delivery/retry.js';
import { decorate, steering } from '../delivery/transport.js';
import type { Transport, UsageEvent } from '../delivery/transport.js';
import type { Gate } from '../opt-out/gate.js';
import { debugMode } from '../opt-out/variables.js';
import type { RelayLog } from './log.js';
import { NOT_HTTP_REASON } from './refusals.js';
import type { PromClient } from './metrics.js';
import type { RelayOptions, RelaySettings } from './options.js';
import type { RelayedEvent } from './relayed-event.js';
import { machineBoot, memoryStore, openSpool } from './spool/index.js';
import type { SpoolOptions } from './spool/index.js';
import type { RelayStore, RelayStoreOptions } from '../delivery/relay-store.js';

/** The parts that tests replace. */
export interface RelayParts {
  /** Clock, randomness, files and name look-up. */
  readonly machine: MachineAccess;
  readonly openStore: (request: StoreRequest) => Promise<RelayStore>;
  /** @default imports the package prom-client */
  readonly loadProm?: (() => Promise<PromClient>) | undefined;
  /** Loads what delivers, before the relay listens. @default it is loaded with the first event */
  readonly loadDelivery?: (() => Promise<void>) | undefined;
  /** Makes the transport that sends lines of NDJSON. @default that of `cosmos-telemetry/ndjson` */
  readonly lineTransport?: typeof ndjsonTransportWith | undefined;
  /** Whether a file could be opened now. @default asks the system */
  readonly hasFreeDescriptor?: (() => boolean) | undefined;
}

/** The options of `openSpool`; without a directory, those of `memoryStore`. */
export interface StoreRequest extends Omit<SpoolOptions, 'directory' | 'segmentBytes' | 'fs'> {
  directory: string | undefined;
}

/** The parts of `createRelay`: this machine, and the stores of `spool/`. */
export const defaultParts: RelayParts = {
  machine: thisMachine,
  loadDelivery,
  openStore: async ({ maxBytes, maxAgeMs, clock, onStored, ...rest }) => {
    const shared = { boot: () => machineBoot(), maxBytes, maxAgeMs, clock, onStored };
    const { directory } = rest;
    return directory === undefined ? memoryStore(shared) : openSpool({ ...shared, ...rest, directory });
  },
};

/** What the option `store` returns. */
const A_STORE = withMethods('append', 'take', 'putBack', 'settle', 'expire', 'clear', 'close', 'stats');

/** Opens the store of the option `store`. @throws (rejects) as it does; TypeError for a value that is no store. */
export async function openGiven(open: NonNullable<RelayOptions['store']>, options: RelayStoreOptions): Promise<RelayStore> {
  const store: unknown = await open(options);
  checkValue('store', store, A_STORE);
  return store as RelayStore;
}

/** Whether something has this path. Never rejects. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Measures each attempt. */
function timed(inner: Transport, clock: Pick<Clock, 'now'>, observe: (seconds: number) => void): Transport {
  return decorate(inner, async (events, signal) => {
    const startedAtMs = clock.now();
    try {
      return await inner.send(events, signal);
    } finally {
      try {
        observe((clock.now() - startedAtMs) / 1000);
      } catch {
        // prom-client throws for names on a polluted `Object.prototype`. A figure is missing; the outcome of the event is not.
      }
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
  readonly lineTransport: typeof ndjsonTransportWith;
  /** Called with the duration of each attempt. */
  readonly observe: (seconds: number) => void;
}

/**
 * The outcome of an attempt whose answer is no HTTP: an intermediary gave it, as a captive portal without a status line does, so it is a
 * refusal (see `Refusals`). An attempt without any answer stays final: the endpoint may have counted its event.
 */
const UNREADABLE = { kind: 'rejected', reason: NOT_HTTP_REASON } as const;

/** A relay does nothing but forward, so it pays for no client around that of `node:http`. */
const loadNodeHttp = async (settings: RouteSettings): Promise<Http> => (await loadClient()).openNodeHttp(settings);

/**
 * The transport of a relay: one GET an event, inside a circuit breaker for each endpoint. The pump puts a backoff around it, and sends no
 * events of two endpoints together.
 */
export function relayTransport(parts: TransportParts): Transport {
  const { forward, forwardDagFactory } = parts.settings;
  const usual = parts.settings.forwardsLines ? linesTo(forward, parts) : transportTo(forward, parts);
  if (forwardDagFactory === undefined) return usual;
  const ofDagFactory = transportTo(forwardDagFactory, parts);
  const both = decorate(usual, (events, signal) => (isOfDagFactory(events) ? ofDagFactory : usual).send(events, signal));
  return {
    ...both,
    close: async () => {
      await Promise.all([usual.close?.(), ofDagFactory.close?.()]);
    },
    [steering]: {
      lastCall: (isLast) => {
        for (const each of [usual, ofDagFactory]) each[steering]?.lastCall?.(isLast);
      },
    },
  };
}

function isOfDagFactory(events: readonly UsageEvent[]): boolean {
  return (events[0] as RelayedEvent).isOfDagFactory;
}

/** One POST a batch, inside a circuit breaker. An event does not wait for others: those that come meanwhile go together. */
function linesTo(endpoint: string, { settings, options, gate, log, machine, observe, lineTransport }: TransportParts): Transport {
  const { env, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency } = settings;
  const { clock, random, lookup, descriptors } = machine;
  const { allowedRedirectHosts, proxy } = options;
  const maxSockets = Math.max(concurrency, drainConcurrency);
  const lines = lineTransport(
    { endpoint, connectTimeoutMs, attemptTimeoutMs, env, allowedRedirectHosts, proxy, maxSockets, lingerMs: 0, retries: 0 },
    { clock, log, random, ...(lookup && { lookup }) },
  );
  const mode = debugMode(COSMOS, env);
  if (mode !== undefined) return debugTransport({ mode, instead: lines, log, clock, access: descriptors });
  return gated(timed(lines, clock, observe), gate);
}

function transportTo(endpoint: string, { settings, options, gate, log, machine, observe }: TransportParts): Transport {
  const { env, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, maxBackoffMs } = settings;
  const { clock, random, lookup, descriptors } = machine;
  const { allowedRedirectHosts, proxy } = options;
  const mode = debugMode(COSMOS, env);
  // As in the library: debug mode prints requests and sends none.
  if (mode !== undefined) return debugTransport({ mode, endpoint, log, clock, access: descriptors });
  return endpointTransport(
    { endpoint, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, env, allowedRedirectHosts, proxy },
    {
      gate,
      log,
      clock,
      lookup,
      random,
      breaker: { maxProbeAfterMs: maxBackoffMs },
      unreadableAnswer: UNREADABLE,
      load: loadNodeHttp,
      aroundAttempt: (attempt) => timed(attempt, clock, observe),
    },
  );
}

/** Without a spool, sending pauses at high load only while fewer events than this are pending: they end with the process. */
const MAX_IN_MEMORY_AT_HIGH_LOAD = 2000;

/** Whether pending events take less than half of the spool, or of what is fetched from a queue; else, whether few enough are pending. */
export function hasRoom(store: RelayStore, { spool, maxSpoolBytes }: Pick<RelaySettings, 'spool' | 'maxSpoolBytes'>): boolean {
  const maxFetched = store.stats().queue?.maxFetched;
  if (maxFetched !== undefined) return 2 * store.length < maxFetched;
  return spool === undefined ? store.length < MAX_IN_MEMORY_AT_HIGH_LOAD : store.stats().bytes < maxSpoolBytes / 2;
}
