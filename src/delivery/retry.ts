import { aFunction, checkOptions, checkValue, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import { DEFAULTS } from '../base/constants.js';
import type { Gate } from '../opt-out/gate.js';
import { attempt, attemptThen, decorate } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/**
 * Asks the gate before each retry, so that an opt-out that appears during a backoff is seen before anything leaves. Before the
 * first attempt the dispatcher has asked, just now, and a look at the environment costs as much as building the event.
 */
export function gated(inner: Transport, gate: Gate): Transport {
  // A retry hands in the list of the attempt before.
  const tried = new WeakSet<object>();
  return decorate(inner, (events, signal) => {
    if (tried.has(events) && !gate.checkAttempt()) return Promise.resolve({ kind: 'aborted' });
    tried.add(events);
    return inner.send(events, signal);
  });
}

/** How often and how patiently `retrying` tries again. */
export interface RetryingOptions {
  /** Attempts after the first one, 0 to 100. @default 2 */
  retries?: number;
  /** Upper bound of the first backoff, in milliseconds; it doubles with each retry. @default 250 */
  minDelayMs?: number;
  /** Upper bound of every backoff, in milliseconds, at least `minDelayMs`. @default 5000 */
  maxDelayMs?: number;
  /** Source of chance, from 0 up to 1. @default Math.random */
  random?: () => number;
  /** Source of time. @default the machine's own clock */
  clock?: Clock;
}

const MIN_DELAY_MS = 250;

/** Carries nothing: p-retry goes on only when something is thrown, and the outcome itself is kept beside it. */
class RetryableOutcomeError extends Error {}

/**
 * Tries again what the inner transport calls `retryable`, after exponential backoff with full jitter: a delay drawn evenly
 * from 0 to `minDelayMs * 2 ** retry`, capped at `maxDelayMs`, so that a fleet of hosts does not return in step
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Every other outcome passes as it is, `deferred`
 * included; so does the last `retryable` one when the retries are used up. An abort ends a backoff at once.
 *
 * It never rejects: an inner transport that throws is `rejected` with `transport_error`.
 *
 * @throws TypeError for an option that is unknown or out of its bounds.
 */
export function retrying(inner: Transport, options: RetryingOptions = {}): Transport {
  checkValue('inner', inner, withMethods('send'));
  checkOptions<RetryingOptions>('options of retrying', options, {
    retries: integer(0, 100),
    minDelayMs: milliseconds(0, MAX_TIMER_MS),
    maxDelayMs: milliseconds(options?.minDelayMs ?? MIN_DELAY_MS, MAX_TIMER_MS),
    random: aFunction,
    clock: withMethods('setTimeout', 'clearTimeout'),
  });
  const { retries = DEFAULTS.retries, minDelayMs = MIN_DELAY_MS, maxDelayMs = 5000, random = Math.random, clock = systemClock } = options;
  const retrier = new Retrier(inner, { retries, minDelayMs, maxDelayMs, random, clock });
  return decorate(
    inner,
    (events, signal) => retrier.send(events, signal),
    (active) => {
      retrier.lastCall(active);
    },
  );
}

class Retrier {
  readonly #inner: Transport;
  readonly #options: Required<RetryingOptions>;
  readonly #backoffs = new Set<() => void>();
  #leaving = false;

  constructor(inner: Transport, options: Required<RetryingOptions>) {
    this.#inner = inner;
    this.#options = options;
  }

  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    return new Promise((resolve) => {
      // The first attempt stays outside p-retry, whose bookkeeping costs more than a whole send to a healthy endpoint.
      attemptThen(this.#inner, events, signal, (first) => {
        // Without a retry to make it is not even loaded: reading a module is no work for a process that leaves.
        const isOver = first.kind !== 'retryable' || this.#options.retries === 0 || this.#leaving;
        resolve(isOver ? first : this.#retry(first, events, signal));
      });
    });
  }

  lastCall(active: boolean): void {
    this.#leaving = active;
    if (active) for (const end of this.#backoffs) end();
  }

  async #retry(first: SendOutcome, events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    let last = first;
    try {
      const { default: pRetry } = await import('p-retry');
      await pRetry(
        async (attemptNumber) => {
          if (attemptNumber > 1) last = await attempt(this.#inner, events, signal);
          if (last.kind === 'retryable') throw new RetryableOutcomeError();
        },
        {
          retries: this.#options.retries,
          // Its own delays are neither fully jittered nor on our clock.
          minTimeout: 0,
          shouldRetry: ({ retriesConsumed }) => this.#backOff(retriesConsumed, signal),
          signal,
        },
      );
    } catch {
      // Retries used up, no retry wanted, or an abort: `last` and the signal tell which.
    }
    // What was delivered stays delivered, even where the abort came before p-retry could say so.
    return last.kind === 'retryable' && signal.aborted ? { kind: 'aborted' } : last;
  }

  /** Waits before a retry; false when there is to be none. */
  async #backOff(retryIndex: number, signal: AbortSignal): Promise<boolean> {
    if (this.#leaving) return false;
    const { minDelayMs, maxDelayMs, random, clock } = this.#options;
    const delayMs = random() * Math.min(maxDelayMs, minDelayMs * 2 ** retryIndex);
    if (signal.aborted) return false;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clock.clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.#backoffs.delete(end);
        resolve();
      };
      const timer = clock.setTimeout(end, delayMs);
      timer.unref();
      signal.addEventListener('abort', end, { once: true });
      this.#backoffs.add(end);
    });
    return true;
  }
}
