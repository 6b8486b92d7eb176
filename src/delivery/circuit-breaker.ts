import { checkOptions, checkValue, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import { attemptThen, CONNECT_REASON, decorate } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** When `circuitBreaker` stops trying, and when it looks again. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open it, 1 to 1000. @default 5 */
  failureThreshold?: number;
  /** Time until the first probe, in milliseconds, from 1. It doubles with each probe that fails. @default 60_000 */
  probeAfterMs?: number;
  /** Longest time between two probes, in milliseconds, at least `probeAfterMs`. @default 3_600_000, an hour */
  maxProbeAfterMs?: number;
  /** Source of time. @default the machine's own clock */
  clock?: Clock;
}

const PROBE_AFTER_MS = 60_000;

/** Reason of the `deferred` outcomes of an open breaker. */
const OPEN_REASON = 'circuit_open';

/** Reason of an attempt that got no answer in time, whatever else it is called. */
const TIMEOUT_REASON = 'timeout';

/** What the others wait while a probe is under way: a probe takes an attempt, one second at most by default. */
const PROBE_POLL_MS = 250;

/**
 * Stops trying where the network is not there: a blocked firewall costs a handful of attempts an hour, not one per event. After
 * `failureThreshold` failures in a row every `send()` is `deferred` with `circuit_open` until the next probe is due, without
 * touching the inner transport. Then exactly one attempt goes through: an answer closes the circuit, a failure doubles the wait.
 *
 * Only connection failures and timeouts count. An answer of the server, an error status included, starts the count again, since
 * the network is there. All else says neither and leaves the count as it is, `network` too (a reset after the request was
 * written): somebody accepted the connection, but that may have been the very firewall that drops the next one. Such an end
 * frees a probe's place at once.
 *
 * To be put inside `retrying`, which passes `deferred` on. During the last call of a leaving process an open circuit stays open.
 * It sets no timers and never rejects: an inner transport that throws is `rejected` with `transport_error`.
 *
 * @throws TypeError for an option that is unknown or out of its bounds.
 */
export function circuitBreaker(inner: Transport, options: CircuitBreakerOptions = {}): Transport {
  checkValue('inner', inner, withMethods('send'));
  checkOptions<CircuitBreakerOptions>('options of circuitBreaker', options, {
    failureThreshold: integer(1, 1000),
    probeAfterMs: milliseconds(1, MAX_TIMER_MS),
    maxProbeAfterMs: milliseconds(options?.probeAfterMs ?? PROBE_AFTER_MS, MAX_TIMER_MS),
    clock: withMethods('now'),
  });
  const { failureThreshold = 5, probeAfterMs = PROBE_AFTER_MS, maxProbeAfterMs = 3_600_000, clock = systemClock } = options;
  const breaker = new Breaker(inner, { failureThreshold, probeAfterMs, maxProbeAfterMs, clock });
  return decorate(inner, (events, signal) => breaker.send(events, signal));
}

/** What an open circuit knows. `probe` identifies the attempt that looks whether the network is back. */
interface Opening {
  waitMs: number;
  probeAtMs: number;
  probe: symbol | undefined;
}

class Breaker {
  readonly #inner: Transport;
  readonly #options: Required<CircuitBreakerOptions>;
  #failures = 0;
  #opening: Opening | undefined;

  constructor(inner: Transport, options: Required<CircuitBreakerOptions>) {
    this.#inner = inner;
    this.#options = options;
  }

  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    const opening = this.#opening;
    let probe: symbol | undefined;
    if (opening !== undefined) {
      const leftMs = opening.probeAtMs - this.#options.clock.now();
      if (leftMs > 0) return Promise.resolve(deferred(opening.probe === undefined ? leftMs : Math.min(leftMs, PROBE_POLL_MS)));
      probe = Symbol('probe');
      opening.probe = probe;
      // A probe that never settles must not keep the circuit open for ever: its place is free again after another wait.
      opening.probeAtMs += opening.waitMs - leftMs;
    }
    return new Promise((resolve, reject) => {
      attemptThen(this.#inner, events, signal, (outcome) => {
        try {
          this.#learn(outcome, probe);
          resolve(outcome);
        } catch (error) {
          // The clock is the caller's, and so is its fault.
          reject(error);
        }
      });
    });
  }

  #learn(outcome: SendOutcome, probe: symbol | undefined): void {
    const verdict = judge(outcome);
    const opening = this.#opening;
    if (verdict === 'reachable') {
      // Whoever heard it: an answer to an attempt that began before the circuit opened is as good as the probe's.
      this.#failures = 0;
      this.#opening = undefined;
    } else if (opening === undefined) {
      if (verdict === 'unreachable') this.#countFailure();
    } else if (probe !== undefined && probe === opening.probe) {
      // Failures of attempts that were under way when the circuit opened tell nothing new, only the probe's does.
      if (verdict === 'unreachable') this.#open(Math.min(opening.waitMs * 2, this.#options.maxProbeAfterMs));
      else this.#opening = { waitMs: opening.waitMs, probeAtMs: this.#options.clock.now(), probe: undefined };
    }
  }

  #countFailure(): void {
    this.#failures += 1;
    if (this.#failures >= this.#options.failureThreshold) this.#open(this.#options.probeAfterMs);
  }

  #open(waitMs: number): void {
    this.#failures = 0;
    this.#opening = { waitMs, probeAtMs: this.#options.clock.now() + waitMs, probe: undefined };
  }
}

function deferred(waitMs: number): SendOutcome {
  return { kind: 'deferred', waitMs: Math.ceil(waitMs), reason: OPEN_REASON };
}

/** What an outcome says about the network between here and the endpoint. */
function judge(outcome: SendOutcome): 'reachable' | 'unreachable' | 'unknown' {
  if (outcome.kind === 'sent') return 'reachable';
  if (outcome.kind === 'refused' || outcome.kind === 'aborted') return 'unknown';
  // Another breaker further in asked nobody; any other pause was the server's wish.
  if (outcome.kind === 'deferred') return outcome.reason === OPEN_REASON ? 'unknown' : 'reachable';
  if (outcome.reason === TIMEOUT_REASON) return 'unreachable';
  if (outcome.kind === 'retryable' && outcome.reason === CONNECT_REASON) return 'unreachable';
  return /^http_|^redirect_refused$/.test(outcome.reason) ? 'reachable' : 'unknown';
}
