/*
 * The transport to an endpoint, as the client and the relay wire it: HTTP attempts, the opt-outs before each retry, a circuit breaker.
 */
import type { Clock } from '../base/clock.js';
import { bare } from '../base/foreign-values.js';
import type { Log } from '../base/log.js';
import type { Gate } from '../opt-out/gate.js';
import { circuitBreaker } from './circuit-breaker.js';
import type { CircuitBreakerOptions } from './circuit-breaker.js';
import { loadPQueue } from './dispatcher.js';
import { fetchTransportWith, loadClient, loadTunnelAgent } from './http/fetch-transport.js';
import type { FetchTransportOptions, FetchTransportParts } from './http/fetch-transport.js';
import { gated } from './retry.js';
import { UNWRITTEN_REASON } from './transport.js';
import type { SendOutcome, Transport } from './transport.js';

/** The options of `fetchTransport`, with the concurrency that its number of sockets follows from. */
interface EndpointTransportOptions extends Omit<FetchTransportOptions, 'maxSockets' | 'logger'> {
  concurrency: number;
  drainConcurrency: number;
}

/** The outcome of an attempt that ends before its request is written: its event goes back to where it came from. */
const UNWRITTEN: SendOutcome = { kind: 'deferred', waitMs: 0, reason: UNWRITTEN_REASON };

/** What the client and the relay share, and where the relay differs. */
interface EndpointTransportParts {
  gate: Gate;
  log: Log;
  clock: Clock;
  random: () => number;
  /** @default a cancellable resolver */
  lookup?: FetchTransportParts['lookup'] | undefined;
  /** @default five failures in a second or more, then probes every 1 to 3 s, after a minute less often */
  breaker?: CircuitBreakerOptions | undefined;
  /** The outcome of an attempt whose answer is no HTTP. @default network */
  unreadableAnswer?: FetchTransportParts['unreadableAnswer'];
  /** Loads HTTP. @default over node-fetch */
  load?: FetchTransportParts['load'];
  /** Wraps the transport of a single attempt, for example to time it. @default no wrapper */
  aroundAttempt?: ((attempt: Transport) => Transport) | undefined;
}

/** The caller puts retries, or a backoff, around it. */
export function endpointTransport(options: EndpointTransportOptions, parts: EndpointTransportParts): Transport {
  const { concurrency, drainConcurrency, ...http } = options;
  const { gate, random, breaker, aroundAttempt, ...shared } = bare(parts);
  const attempt = fetchTransportWith(
    { ...http, maxSockets: Math.max(concurrency, drainConcurrency) },
    { ...shared, abortedUnwritten: UNWRITTEN },
  );
  return circuitBreaker(gated(aroundAttempt?.(attempt) ?? attempt, gate), { clock: shared.clock, random, ...breaker });
}

/**
 * Loads at once what is else loaded with the first event. For a program that only delivers: it has descriptors at its start, and perhaps
 * none later. What cannot be loaded now is loaded later.
 */
export async function loadDelivery(): Promise<void> {
  await Promise.allSettled([loadPQueue(), loadClient(), loadTunnelAgent()]);
}
