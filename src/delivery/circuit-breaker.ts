/*
 * The circuit breaker: while the network is in doubt one attempt at a time tests it, and while it is down only a probe now and then.
 */
import { aFunction, checkOptions, checkValue, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../base/check-options.js';
import type { Filled } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import { LOAD_REASON } from './late.js';
import {
  attemptThen,
  BUSY_REASON,
  causeOf,
  CONNECT_REASON,
  decorate,
  OPEN_REASON,
  steering,
  UNANSWERED_REASONS,
  UNWRITTEN_REASON,
} from './transport.js';
import type { EventOutcome, SendOutcome, Transport, UsageEvent } from './transport.js';

/**
 * When `circuitBreaker` opens, and when it probes.
 *
 * @example
 * const options: CircuitBreakerOptions = { failureThreshold: 3, maxProbeAfterMs: 600_000 };
 */
export interface CircuitBreakerOptions {
  /** Failures without a success that open the circuit, 1 to 1000. They must span at least a second. @default 5 */
  failureThreshold?: number | undefined;
  /**
   * Mean time between two probes in the first minute of an open circuit, in milliseconds, from 1. After that it doubles with each probe
   * that fails.
   * @default 2000
   */
  probeAfterMs?: number | undefined;
  /** Longest time between two probes, in milliseconds, at least `probeAfterMs`. @default 3_600_000, an hour */
  maxProbeAfterMs?: number | undefined;
  /** Source of randomness, from 0 up to 1. @default Math.random */
  random?: (() => number) | undefined;
  /** Source of time. @default the system's clock */
  clock?: Clock | undefined;
}

const PROBE_AFTER_MS = 2000;
const MAX_PROBE_AFTER_MS = 3_600_000;

/** Failures within a shorter time are one event of the network: a server that restarts, a route that changes. */
const MIN_SPAN_MS = 1000;

/** While the circuit is not open yet, the next attempt comes after half of this time to all of it. */
const RETRY_AFTER_MS = 400;

/** How long, and how often at most, an open circuit is probed at equal intervals: most outages end within a minute. */
const STEADY_MS = 60_000;
const MAX_STEADY_PROBES = 36;

/**
 * A connect that tests the network is cut after this time, or after four times the slowest connect that succeeded. Each one that was cut
 * doubles it: a far endpoint behind a proxy may take longer.
 */
const PROBE_CONNECT_MS = 3000;

/** How long other events wait while a probe is in flight. */
const PROBE_POLL_MS = 250;

/** A probe without an outcome has failed after this time: an endpoint that accepts connections and is silent takes the whole attempt. */
const PROBE_LOST_MS = 1500;

/** While the process leaves: the time between two connects, how many may fail in a row, and the longest connect of an open circuit. */
const LEAVING_RETRY_MS = 50;
const LEAVING_FAILURES = 3;
const LEAVING_CONNECT_MS = 1000;

/** The pause that says that nothing more is tried until the process is gone. */
const FOR_GOOD_MS = 3_600_000;

/**
 * Keeps a network that is down cheap: a blocked firewall costs at most 60 attempts in the first hour and two in each later one, not one
 * per event. After a failure one attempt at a time tests the network, 200 to 400 ms apart. After `failureThreshold` failures that
 * span at least a second the circuit is open: every `send()` is `deferred` with `circuit_open` until the next probe is due, and the
 * inner transport is not called. In the first minute a probe comes every 1 to 3 s: probes at equal times could all meet the same
 * short fault. Later the time between probes doubles up to `maxProbeAfterMs`, less a random part of up to half of it. The first answer
 * closes the circuit.
 *
 * An attempt that failed to connect has written nothing, so it uses up no retry: its outcome is `deferred` with the reason `connect`, and
 * its event returns to the head of the buffer.
 *
 * Failed connections, timeouts and exchanges that ended without an answer (`network`) count as failures. An answer of the server closes
 * the circuit, even an error status or one of a `partial` outcome: the network works. Other outcomes do neither; a probe that ends so makes
 * way for the next one at once. A probe without an outcome counts as a failure after 1.5 s, and the next one does not wait for it.
 *
 * While the process leaves, an open circuit lets one probe through, and after a failed connect the next one follows 50 ms later. Three in a
 * row without a success end it.
 *
 * Put it inside `retrying`, which returns `deferred` unchanged. The breaker sets no timers and never rejects: if the inner transport
 * throws, the outcome is `rejected` with `transport_error`.
 *
 * @param inner The transport that is protected.
 * @param options When it opens, and when it probes.
 * @throws TypeError for an option that is unknown or out of its bounds.
 * @example
 * const transport = retrying(circuitBreaker(fetchTransport({ endpoint: 'https://telemetry.acme.example' }), { failureThreshold: 3 }));
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport });
 */
export function circuitBreaker(inner: Transport, options: CircuitBreakerOptions = {}): Transport {
  checkValue('inner', inner, withMethods('send'));
  const checked = checkOptions<CircuitBreakerOptions>('options of circuitBreaker', options, {
    failureThreshold: integer(1, 1000),
    probeAfterMs: milliseconds(1, MAX_TIMER_MS),
    maxProbeAfterMs: milliseconds(1, MAX_TIMER_MS),
    random: aFunction,
    clock: withMethods('now'),
  });
  const { failureThreshold = 5, maxProbeAfterMs = MAX_PROBE_AFTER_MS, random = Math.random, clock = systemClock } = checked;
  const { probeAfterMs = Math.min(PROBE_AFTER_MS, maxProbeAfterMs) } = checked;
  checkValue('maxProbeAfterMs', maxProbeAfterMs, milliseconds(probeAfterMs, MAX_TIMER_MS));
  const breaker = new Breaker(inner, { failureThreshold, probeAfterMs, maxProbeAfterMs, random, clock });
  return decorate(
    inner,
    (events, signal) => breaker.send(events, signal),
    (isLast) => breaker.lastCall(isLast),
  );
}

/** What is known of a network that has failed since its last success. */
interface Doubt {
  failures: number;
  readonly sinceMs: number;
  /** Since when the circuit is open; undefined while it is not. */
  openSinceMs: number | undefined;
  /** Mean time to the next probe of an open circuit. */
  waitMs: number;
  /** Probes of the open circuit so far. */
  probes: number;
  /** When the next attempt may start. */
  nextAtMs: number;
  /** Identifies the attempt that tests the network. */
  probe: symbol | undefined;
  probeLostAtMs: number;
  /** The longest connect of a probe. */
  connectMs: number;
}

class Breaker {
  readonly #inner: Transport;
  readonly #options: Filled<CircuitBreakerOptions>;
  /** Undefined while the network works. */
  #doubt: Doubt | undefined;
  /** How many more connects may fail before the process leaves; undefined while it stays. */
  #failuresLeft: number | undefined;
  #limitsConnects = false;

  constructor(inner: Transport, options: Filled<CircuitBreakerOptions>) {
    this.#inner = inner;
    this.#options = options;
  }

  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    const doubt = this.#doubt;
    let probe: symbol | undefined;
    if (doubt === undefined) this.#limitConnects(undefined);
    else {
      const nowMs = this.#options.clock.now();
      if (nowMs < doubt.nextAtMs) return Promise.resolve(deferred(doubt, doubt.nextAtMs - nowMs));
      if (doubt.probe !== undefined) {
        const leftMs = doubt.probeLostAtMs - nowMs;
        if (leftMs > 0) return Promise.resolve(deferred(doubt, Math.min(leftMs, PROBE_POLL_MS)));
        this.#fail(true);
        return Promise.resolve(deferred(doubt, doubt.nextAtMs - nowMs));
      }
      probe = Symbol('probe');
      doubt.probe = probe;
      doubt.probeLostAtMs = nowMs + PROBE_LOST_MS;
      this.#limitConnects(doubt);
    }
    return new Promise((resolve, reject) => {
      attemptThen(this.#inner, events, signal, (outcome) => {
        try {
          resolve(this.#learn(outcome, doubt, probe));
        } catch (error) {
          // The clock is the caller's, and so is its error.
          reject(error);
        }
      });
    });
  }

  lastCall(isLast: boolean): void {
    const doubt = this.#doubt;
    this.#failuresLeft = isLast ? (doubt?.openSinceMs === undefined ? LEAVING_FAILURES : 1) : undefined;
    if (doubt === undefined) return;
    // A probe in flight may take longer than the process stays.
    doubt.probe = undefined;
    doubt.nextAtMs = this.#options.clock.now() + (isLast ? 0 : this.#waitMs(doubt));
  }

  /** Takes note of what an outcome says about the network. @returns The outcome of the event. */
  #learn(outcome: SendOutcome, tested: Doubt | undefined, probe: symbol | undefined): SendOutcome {
    const verdict = judge(outcome);
    if (verdict === 'reachable') {
      // Also for an attempt that began before the first failure: its answer is as good as that of a probe.
      this.#doubt = undefined;
      if (this.#failuresLeft !== undefined) this.#failuresLeft = LEAVING_FAILURES;
      return outcome;
    }
    const isProbe = probe !== undefined && probe === this.#doubt?.probe;
    // One that was given up has been counted.
    const isCounted = probe !== undefined && !isProbe && tested === this.#doubt;
    if (probe !== undefined && tested !== undefined && causeOf(outcome) === 'slow') tested.connectMs *= 2;
    if (verdict === 'unreachable' && !isCounted) this.#fail(isProbe);
    else if (isProbe && this.#doubt !== undefined) this.#doubt.probe = undefined;
    if (this.#doubt === undefined) return outcome;
    const waitMs = Math.max(0, this.#doubt.nextAtMs - this.#options.clock.now());
    const later = deferred(this.#doubt, waitMs);
    // What failed to connect has written nothing: it waits for its next attempt in the buffer.
    const held = (each: EventOutcome): EventOutcome =>
      each.kind === 'retryable' && each.reason === CONNECT_REASON ? { ...each, ...later } : each;
    return outcome.kind === 'partial' ? { ...outcome, outcomes: outcome.outcomes.map(held) } : held(outcome);
  }

  #fail(isProbe: boolean): void {
    const { clock, failureThreshold, probeAfterMs } = this.#options;
    const nowMs = clock.now();
    const isFirst = this.#doubt === undefined;
    const doubt = (this.#doubt ??= {
      failures: 0,
      sinceMs: nowMs,
      openSinceMs: undefined,
      waitMs: probeAfterMs,
      probes: 0,
      nextAtMs: nowMs,
      probe: undefined,
      probeLostAtMs: nowMs,
      connectMs: PROBE_CONNECT_MS,
    });
    doubt.failures += 1;
    // Only the first failure and the probe say when to try again: attempts that were in flight together fail together.
    if (!isFirst && !isProbe) return;
    doubt.probe = undefined;
    if (doubt.failures >= failureThreshold && nowMs - doubt.sinceMs >= MIN_SPAN_MS) doubt.openSinceMs ??= nowMs;
    doubt.nextAtMs = nowMs + this.#waitMs(doubt);
  }

  /** How long the next attempt waits. */
  #waitMs(doubt: Doubt): number {
    if (this.#failuresLeft !== undefined) {
      this.#failuresLeft -= 1;
      return this.#failuresLeft > 0 ? LEAVING_RETRY_MS : FOR_GOOD_MS;
    }
    const { clock, maxProbeAfterMs, random } = this.#options;
    if (doubt.openSinceMs === undefined) return (RETRY_AFTER_MS * (1 + random())) / 2;
    doubt.probes += 1;
    if (clock.now() - doubt.openSinceMs < STEADY_MS && doubt.probes <= MAX_STEADY_PROBES) return doubt.waitMs * (0.5 + random());
    doubt.waitMs = Math.min(doubt.waitMs * 2, maxProbeAfterMs);
    return (doubt.waitMs * (1 + random())) / 2;
  }

  #limitConnects(doubt: Doubt | undefined): void {
    // Said once: most sends are neither in doubt nor follow a doubt.
    if (doubt === undefined && !this.#limitsConnects) return;
    this.#limitsConnects = doubt !== undefined;
    const isFirm = this.#failuresLeft !== undefined && doubt?.openSinceMs !== undefined;
    const limitMs = doubt === undefined ? undefined : isFirm ? LEAVING_CONNECT_MS : doubt.connectMs;
    this.#inner[steering]?.limitConnects?.(limitMs, isFirm);
  }
}

function deferred({ openSinceMs }: Doubt, waitMs: number): Extract<SendOutcome, { kind: 'deferred' }> {
  return { kind: 'deferred', waitMs: Math.ceil(waitMs), reason: openSinceMs === undefined ? CONNECT_REASON : OPEN_REASON };
}

/** Reasons of a `deferred` outcome that say nothing of the network: those of a breaker further inside, and of an attempt without a turn. */
const UNTRIED_REASONS: ReadonlySet<string> = new Set([OPEN_REASON, CONNECT_REASON, BUSY_REASON, LOAD_REASON, UNWRITTEN_REASON]);

/** What an outcome says about the network between the host and the endpoint. */
function judge(outcome: SendOutcome): 'reachable' | 'unreachable' | 'unknown' {
  if (outcome.kind === 'sent') return 'reachable';
  if (outcome.kind === 'partial') {
    const verdicts = outcome.outcomes.map(judge);
    return verdicts.find((verdict) => verdict === 'reachable') ?? verdicts.find((verdict) => verdict === 'unreachable') ?? 'unknown';
  }
  if (outcome.kind === 'refused' || outcome.kind === 'aborted') return 'unknown';
  // Every other pause was asked for by the server.
  if (outcome.kind === 'deferred') return UNTRIED_REASONS.has(outcome.reason) ? 'unknown' : 'reachable';
  if (UNANSWERED_REASONS.has(outcome.reason)) return 'unreachable';
  if (outcome.kind === 'retryable' && outcome.reason === CONNECT_REASON) return 'unreachable';
  return /^http_|^redirect_refused$/.test(outcome.reason) ? 'reachable' : 'unknown';
}
