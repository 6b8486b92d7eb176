/*
 * Retries: `retrying` with exponential backoff, and the decorator that asks the opt-outs before each retry.
 */
import { aFunction, checkOptions, checkValue, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../base/check-options.js';
import type { Filled } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import { DEFAULTS } from '../base/constants.js';
import { bare } from '../base/foreign-values.js';
import type { Gate } from '../opt-out/gate.js';
import { late, LOAD_REASON, loadWaitMs } from './late.js';
import { attempt, attemptThen, decorate, TRANSPORT_ERROR } from './transport.js';
import type { EventOutcome, SendOutcome, Transport, UsageEvent } from './transport.js';

/**
 * How often `retrying` tries again, and how long it waits before.
 *
 * @example
 * const options: RetryingOptions = { retries: 4, minDelayMs: 500 };
 */
export interface RetryingOptions {
  /** Retries after the first attempt, 0 to 100. @default 2 */
  retries?: number | undefined;
  /** Upper bound of the first backoff, in milliseconds; it doubles with each retry. @default 250 */
  minDelayMs?: number | undefined;
  /** Upper bound of every backoff, in milliseconds, at least `minDelayMs`. @default 5000 */
  maxDelayMs?: number | undefined;
  /** Source of randomness, from 0 up to 1. @default Math.random */
  random?: (() => number) | undefined;
  /** Source of time. @default the system's clock */
  clock?: Clock | undefined;
}

const MIN_DELAY_MS = 250;

const ONCE = bare({ once: true });

/**
 * Retries what the inner transport calls `retryable`, after exponential backoff with full jitter: a random delay between 0 and
 * `minDelayMs * 2 ** retry`, capped at `maxDelayMs`, so that a fleet of hosts does not return in step
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Every other outcome is returned unchanged,
 * `deferred` included, and so is the last `retryable` one when the retries are used up. Of a `partial` outcome only the `retryable` events
 * are tried again. An abort ends a backoff at once.
 *
 * It never rejects: if the inner transport throws, the outcome is `rejected` with `transport_error`.
 *
 * @param inner The transport that is tried again.
 * @param options How often, and after how long.
 * @throws TypeError for an option that is unknown or out of its bounds.
 * @example
 * const flaky = recordingTransport({ outcomes: [{ kind: 'retryable', reason: 'http_503' }, { kind: 'sent' }] });
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport: retrying(flaky, { minDelayMs: 1 }) });
 * telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'skipped' }] });
 * await flaky.waitFor(3);
 * console.log((await telemetry.drain({ deadlineMs: 5000 })).sent); // 2
 */
export function retrying(inner: Transport, options: RetryingOptions = {}): Transport {
  checkValue('inner', inner, withMethods('send'));
  const checked = checkOptions<RetryingOptions>('options of retrying', options, {
    retries: integer(0, 100),
    minDelayMs: milliseconds(0, MAX_TIMER_MS),
    maxDelayMs: milliseconds(0, MAX_TIMER_MS),
    random: aFunction,
    clock: withMethods('setTimeout', 'clearTimeout'),
  });
  const { retries = DEFAULTS.retries, minDelayMs = MIN_DELAY_MS, maxDelayMs = 5000, random = Math.random, clock = systemClock } = checked;
  checkValue('maxDelayMs', maxDelayMs, milliseconds(minDelayMs, MAX_TIMER_MS));
  const retrier = new Retrier(inner, { retries, minDelayMs, maxDelayMs, random, clock });
  return decorate(
    inner,
    (events, signal) => retrier.send(events, signal),
    (isLast) => {
      retrier.lastCall(isLast);
    },
  );
}

/**
 * Asks the gate before each retry: an opt-out that appears during a backoff stops the event, and an unknown gate keeps it. It does not ask
 * before the first attempt: the dispatcher has just asked, and reading the environment costs as much as building the event.
 *
 * @internal
 */
export function gated(inner: Transport, gate: Gate): Transport {
  return decorate(inner, (events, signal) => {
    if (repeated.has(events) && !gate.checkAttempt()) return Promise.resolve(gate.state === 'unknown' ? UNDECIDED : ABORTED);
    return inner.send(events, signal);
  });
}

/** The lists of events that a retry passes on. */
const repeated = new WeakSet<readonly UsageEvent[]>();

const ABORTED: EventOutcome = { kind: 'aborted' };

/** The event goes back to the buffer: the dispatcher starts nothing until the gate is open. */
const UNDECIDED: SendOutcome = { kind: 'deferred', waitMs: 0, reason: 'undecided' };

const loadPRetry = late('pRetry', async () => (await import('p-retry')).default);

/** p-retry goes on only if something is thrown. The outcome itself is kept in a variable. */
class RetryableOutcomeError extends Error {}

function isRetryable(outcome: SendOutcome): boolean {
  return outcome.kind === 'retryable' || (outcome.kind === 'partial' && outcome.outcomes.some(isRetryable));
}

/** The events that are to be repeated. */
function retryableOf(outcome: SendOutcome, events: readonly UsageEvent[]): readonly UsageEvent[] {
  return outcome.kind === 'partial' ? events.filter((_, index) => outcome.outcomes[index]?.kind === 'retryable') : events;
}

/** What became of all events, after those that were retryable were tried again. */
function merged(before: SendOutcome, again: SendOutcome): SendOutcome {
  if (before.kind !== 'partial') return again;
  let repeat = 0;
  const next = (): EventOutcome => (again.kind === 'partial' ? (again.outcomes[repeat++] ?? TRANSPORT_ERROR) : again);
  return { kind: 'partial', outcomes: before.outcomes.map((each) => (each.kind === 'retryable' ? next() : each)) };
}

class Retrier {
  readonly #inner: Transport;
  readonly #options: Filled<RetryingOptions>;
  readonly #backoffs = new Set<() => void>();
  #isLastCall = false;

  constructor(inner: Transport, options: Filled<RetryingOptions>) {
    this.#inner = inner;
    this.#options = options;
  }

  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    return new Promise((resolve) => {
      // The first attempt does not go through p-retry: its bookkeeping costs more than a whole send to a healthy endpoint.
      attemptThen(this.#inner, events, signal, (first) => {
        // Without a retry p-retry is not even loaded: a process that exits should not read another module.
        const isOver = !isRetryable(first) || this.#options.retries === 0 || this.#isLastCall;
        resolve(isOver ? first : this.#retry(first, events, signal));
      });
    });
  }

  lastCall(isLast: boolean): void {
    this.#isLastCall = isLast;
    if (isLast) for (const end of this.#backoffs) end();
  }

  async #retry(first: SendOutcome, events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    let last = first;
    try {
      const pRetry = await loadPRetry();
      await pRetry(
        async (attemptNumber) => {
          if (attemptNumber > 1) {
            const rest = retryableOf(last, events);
            repeated.add(rest);
            last = merged(last, await attempt(this.#inner, rest, signal));
          }
          if (isRetryable(last)) throw new RetryableOutcomeError();
        },
        // Every option of p-retry: it would take the others from a polluted Object.prototype.
        {
          retries: this.#options.retries,
          // p-retry's own delays have no full jitter and do not use our clock.
          minTimeout: 0,
          maxTimeout: Infinity,
          maxRetryTime: Infinity,
          factor: 1,
          randomize: false,
          unref: false,
          onFailedAttempt: () => undefined,
          shouldRetry: ({ retriesConsumed }) => this.#backOff(retriesConsumed, signal),
          shouldConsumeRetry: () => true,
          signal,
        },
      );
    } catch (error) {
      const waitMs = loadWaitMs(error);
      // A retryable event was not counted, so it may go back and be tried once more.
      if (waitMs !== undefined) return merged(last, { kind: 'deferred', waitMs, reason: LOAD_REASON });
      // The retries are used up or not wanted, or the signal fired: `last` and the signal tell which.
    }
    // An event that was delivered stays delivered, even if the signal fired before p-retry returned.
    return isRetryable(last) && signal.aborted ? merged(last, ABORTED) : last;
  }

  /** Waits before a retry. @returns False if there is to be no retry. */
  async #backOff(retryIndex: number, signal: AbortSignal): Promise<boolean> {
    if (this.#isLastCall) return false;
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
      signal.addEventListener('abort', end, ONCE);
      this.#backoffs.add(end);
    });
    return true;
  }
}
