/*
 * The circuit breaker: stops trying while the network is down, and probes it at growing intervals.
 */
import { checkOptions, checkValue, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import { LOAD_REASON } from './late.js';
import { attemptThen, BUSY_REASON, CONNECT_REASON, decorate } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** When `circuitBreaker` opens, and when it probes. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open the circuit, 1 to 1000. @default 5 */
  failureThreshold?: number;
  /** Time until the first probe, in milliseconds, from 1. It doubles with each probe that fails. @default 60_000 */
  probeAfterMs?: number;
  /** Longest time between two probes, in milliseconds, at least `probeAfterMs`. @default 3_600_000, an hour */
  maxProbeAfterMs?: number;
  /** Source of time. @default the system's clock */
  clock?: Clock;
}

const PROBE_AFTER_MS = 60_000;

/** Reason of the `deferred` outcomes of an open circuit. */
const OPEN_REASON = 'circuit_open';

/** Reason of an attempt that got no answer in time; it counts for every kind of outcome. */
const TIMEOUT_REASON = 'timeout';

/**
 * Reasons of pauses in which nothing was tried; `circuit_open` comes from a breaker further inside. Every other pause was asked for by the
 * server.
 */
const UNTRIED: ReadonlySet<string> = new Set([OPEN_REASON, BUSY_REASON, LOAD_REASON]);

/** How long other events wait while a probe is in flight. A probe is one attempt: at most one second by default. */
const PROBE_POLL_MS = 250;

/**
 * Stops trying while the network is down: a blocked firewall costs a handful of attempts an hour, not one per event. After
 * `failureThreshold` failures in a row the circuit is open: every `send()` is `deferred` with `circuit_open` until the next probe
 * is due, and the inner transport is not called. Then the circuit is half-open: one attempt goes through. An answer closes the
 * circuit, a failure doubles the wait.
 *
 * Only failed connections and timeouts count as failures. An answer of the server resets the count, even an error status: the
 * network works. Other outcomes do neither, `network` included (a reset after the request was sent): a connection was accepted,
 * but perhaps by the firewall that drops the next one. A probe that ends so makes way for the next one at once.
 *
 * Put it inside `retrying`, which returns `deferred` unchanged. An open circuit stays open while the process exits. The breaker
 * sets no timers and never rejects: if the inner transport throws, the outcome is `rejected` with `transport_error`.
 *
 * @throws TypeError for an option that is unknown or out of its bounds.
 */
export function circuitBreaker(inner: Transport, options: CircuitBreakerOptions = {}): Transport {
  checkValue('inner', inner, withMethods('send'));
  const checked = checkOptions<CircuitBreakerOptions>('options of circuitBreaker', options, {
    failureThreshold: integer(1, 1000),
    probeAfterMs: milliseconds(1, MAX_TIMER_MS),
    maxProbeAfterMs: milliseconds(1, MAX_TIMER_MS),
    clock: withMethods('now'),
  });
  const { failureThreshold = 5, probeAfterMs = PROBE_AFTER_MS, maxProbeAfterMs = 3_600_000, clock = systemClock } = checked;
  checkValue('maxProbeAfterMs', maxProbeAfterMs, milliseconds(probeAfterMs, MAX_TIMER_MS));
  const breaker = new Breaker(inner, { failureThreshold, probeAfterMs, maxProbeAfterMs, clock });
  return decorate(inner, (events, signal) => breaker.send(events, signal));
}

/** The state of a circuit that is open or, while it has a probe, half-open. */
interface OpenCircuit {
  waitMs: number;
  probeAtMs: number;
  /** Identifies the attempt that tests the network. */
  probe: symbol | undefined;
}

class Breaker {
  readonly #inner: Transport;
  readonly #options: Required<CircuitBreakerOptions>;
  #failures = 0;
  /** Undefined while the circuit is closed. */
  #circuit: OpenCircuit | undefined;

  constructor(inner: Transport, options: Required<CircuitBreakerOptions>) {
    this.#inner = inner;
    this.#options = options;
  }

  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    const circuit = this.#circuit;
    let probe: symbol | undefined;
    if (circuit !== undefined) {
      const leftMs = circuit.probeAtMs - this.#options.clock.now();
      if (leftMs > 0) return Promise.resolve(deferred(circuit.probe === undefined ? leftMs : Math.min(leftMs, PROBE_POLL_MS)));
      probe = Symbol('probe');
      circuit.probe = probe;
      // A probe that never settles must not keep the circuit open for ever: another one may start after another wait.
      circuit.probeAtMs += circuit.waitMs - leftMs;
    }
    return new Promise((resolve, reject) => {
      attemptThen(this.#inner, events, signal, (outcome) => {
        try {
          this.#learn(outcome, probe);
          resolve(outcome);
        } catch (error) {
          // The clock is the caller's, and so is its error.
          reject(error);
        }
      });
    });
  }

  #learn(outcome: SendOutcome, probe: symbol | undefined): void {
    const verdict = judge(outcome);
    const circuit = this.#circuit;
    if (verdict === 'reachable') {
      // Also for an attempt that began before the circuit opened: its answer is as good as that of a probe.
      this.#failures = 0;
      this.#circuit = undefined;
    } else if (circuit === undefined) {
      if (verdict === 'unreachable') this.#countFailure();
    } else if (probe !== undefined && probe === circuit.probe) {
      // Only the probe counts. Failures of attempts that were in flight when the circuit opened tell nothing new.
      if (verdict === 'unreachable') this.#open(Math.min(circuit.waitMs * 2, this.#options.maxProbeAfterMs));
      else this.#circuit = { waitMs: circuit.waitMs, probeAtMs: this.#options.clock.now(), probe: undefined };
    }
  }

  #countFailure(): void {
    this.#failures += 1;
    if (this.#failures >= this.#options.failureThreshold) this.#open(this.#options.probeAfterMs);
  }

  #open(waitMs: number): void {
    this.#failures = 0;
    this.#circuit = { waitMs, probeAtMs: this.#options.clock.now() + waitMs, probe: undefined };
  }
}

function deferred(waitMs: number): SendOutcome {
  return { kind: 'deferred', waitMs: Math.ceil(waitMs), reason: OPEN_REASON };
}

/** What an outcome says about the network between the host and the endpoint. */
function judge(outcome: SendOutcome): 'reachable' | 'unreachable' | 'unknown' {
  if (outcome.kind === 'sent') return 'reachable';
  if (outcome.kind === 'refused' || outcome.kind === 'aborted') return 'unknown';
  if (outcome.kind === 'deferred') return UNTRIED.has(outcome.reason) ? 'unknown' : 'reachable';
  if (outcome.reason === TIMEOUT_REASON) return 'unreachable';
  if (outcome.kind === 'retryable' && outcome.reason === CONNECT_REASON) return 'unreachable';
  return /^http_|^redirect_refused$/.test(outcome.reason) ? 'reachable' : 'unknown';
}
