/*
 * The transport to an endpoint, as the client and the relay wire it: HTTP attempts, the opt-outs before each retry, a circuit breaker.
 */
import type { Clock } from '../base/clock.js';
import { bare } from '../base/foreign-values.js';
import type { Log } from '../base/log.js';
import type { Gate } from '../opt-out/gate.js';
import { circuitBreaker } from './circuit-breaker.js';
import type { CircuitBreakerOptions } from './circuit-breaker.js';
import { fetchTransportWith } from './http/fetch-transport.js';
import type { FetchTransportOptions, FetchTransportParts } from './http/fetch-transport.js';
import { gated } from './retry.js';
import type { SendOutcome, Transport } from './transport.js';

/** The options of `fetchTransport`, with the concurrency that its number of sockets follows from. */
interface EndpointTransportOptions extends Omit<FetchTransportOptions, 'maxSockets' | 'logger'> {
  concurrency: number;
  drainConcurrency: number;
}

/** What the client and the relay share, and where the relay differs. */
interface EndpointTransportParts {
  gate: Gate;
  log: Log;
  clock: Clock;
  /** @default a cancellable resolver */
  lookup?: FetchTransportParts['lookup'] | undefined;
  /** @default five failures, then probes after 1, 2, 4 ... 60 minutes */
  breaker?: CircuitBreakerOptions | undefined;
  /** The outcome of an attempt that is aborted before its request is sent. @default aborted */
  abortedUnwritten?: SendOutcome | undefined;
  /** The outcome of an attempt whose answer is no HTTP. @default network */
  unreadableAnswer?: SendOutcome | undefined;
  /** Wraps the transport of a single attempt, for example to time it. @default no wrapper */
  aroundAttempt?: ((attempt: Transport) => Transport) | undefined;
}

/** The caller puts retries, or a backoff, around it. */
export function endpointTransport(options: EndpointTransportOptions, parts: EndpointTransportParts): Transport {
  const { concurrency, drainConcurrency, ...http } = options;
  const { gate, log, clock, lookup, breaker, abortedUnwritten, unreadableAnswer, aroundAttempt } = bare(parts);
  const attempt = fetchTransportWith(
    { ...http, maxSockets: Math.max(concurrency, drainConcurrency) },
    {
      clock,
      log,
      ...(lookup && { lookup }),
      ...(abortedUnwritten && { abortedUnwritten }),
      ...(unreadableAnswer && { unreadableAnswer }),
    },
  );
  return circuitBreaker(gated(aroundAttempt?.(attempt) ?? attempt, gate), { clock, ...breaker });
}
