/*
 * The extension point of delivery: what a transport is, what its outcomes mean, and the helpers that call and wrap one safely.
 */
import { givenOptions } from '../base/check-options.js';
import { given } from '../base/foreign-values.js';
import type { SendSignal } from '../base/platform-types.js';
import type { Rule } from '../opt-out/rule.js';
import type { UsageMetrics } from '../wire/python.js';

/**
 * One usage event as a transport gets it: declared fields only, metadata unpacked and merged.
 *
 * @example
 * const lineOf = (event: UsageEvent) => `${event.type} ${event.requestTarget()}`;
 */
export interface UsageEvent {
  /** Unique in the process and the same in every attempt. It is not part of the request: the wire has no ids. */
  readonly id: string;
  /** The event type, for example `dag_run`. */
  readonly type: string;
  /** Standard metrics, then the event's own fields, then its metadata: in the order in which they are sent. */
  readonly metrics: Readonly<UsageMetrics>;
  /**
   * `/v3/{type}?{query}`, to append to the endpoint. Call this instead of encoding `metrics`: only the event knows which
   * numbers are durations (`7.0`) and which are counts (`7`). Never throws.
   */
  requestTarget(): string;
}

/** Why an attempt failed, where its reason alone does not say it. The list is closed: values of logs and metrics are bounded. */
const CAUSES = [
  /** The name has no address, or no name server answered. */
  'no_address',
  /** The port is closed. */
  'refused',
  /** There is no route, or a firewall says so. */
  'unreachable',
  /** The certificate is not trusted: its authority, its name or its dates. */
  'tls_untrusted',
  /** TLS failed: its version, its ciphers, or the other side does not speak TLS. */
  'tls',
  /** The proxy wants other credentials (407). */
  'proxy_auth',
  /** The proxy did not open the tunnel. */
  'proxy_refused',
  /** A step took longer than it may. */
  'slow',
  /** The process has no file descriptor left. */
  'no_descriptors',
  /** The connection was closed or reset. */
  'reset',
  /** The answer is no HTTP. */
  'parse',
] as const;

/**
 * Why an attempt failed, where its reason alone does not say it. The list is closed.
 *
 * @example
 * const cause: Cause = 'refused';
 */
export type Cause = (typeof CAUSES)[number];

/**
 * The result of one `send()`. It holds for all events of the call. A reason is a code of the form `^[a-z0-9_]{1,40}$`, never the
 * text of an error. `cause` says more of a failure, if it is known.
 *
 * - `sent`: the endpoint confirmed the events.
 * - `retryable`: not counted by the endpoint, and worth another attempt (`connect`, `http_503`).
 * - `rejected`: tried and final; counted as failed. This includes unknown results (a timeout, a reset after the request was
 *   sent): events have no id on the wire, so a retry could be counted twice.
 * - `refused`: not tried; counted as dropped (`too_large`).
 * - `deferred`: not now. The events return to the head of the buffer, and nothing is sent for `waitMs`.
 * - `aborted`: ended by the signal.
 *
 * `cause` is one of `no_address`, `refused`, `unreachable`, `tls_untrusted`, `tls`, `proxy_auth`, `proxy_refused`, `slow`,
 * `no_descriptors`, `reset`, `parse`.
 *
 * @example
 * const outcome: SendOutcome = { kind: 'deferred', waitMs: 60_000, reason: 'maintenance' };
 */
export type SendOutcome =
  | { kind: 'sent' }
  | { kind: 'retryable'; reason: string; cause?: Cause | undefined }
  | { kind: 'rejected'; reason: string; cause?: Cause | undefined }
  | { kind: 'refused'; reason: string }
  | { kind: 'deferred'; waitMs: number; reason: string; cause?: Cause | undefined }
  | { kind: 'aborted' };

/**
 * The only extension point of delivery: everything that delivers is a transport or a decorator of one.
 *
 * @example
 * const transport: Transport = {
 *   send: async ([event], signal) => {
 *     if (signal.aborted) return { kind: 'aborted' };
 *     process.stderr.write(`${event?.requestTarget()}\n`);
 *     return { kind: 'sent' };
 *   },
 * };
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport });
 */
export interface Transport {
  /** The most events that one `send()` takes. @default 1 */
  readonly maxBatchSize?: number | undefined;
  /**
   * Delivers the events and resolves with the outcome. A call that has not settled after
   * `(retries + 1) * attemptTimeoutMs + retries * 5 s + 1 s` (41 s by default) loses its slot and counts as `timeout`. Time in which the
   * host keeps the event loop busy does not count.
   *
   * @throws What it throws or rejects with is not shown: its events count as failed, by `transport_error`.
   */
  send(events: readonly UsageEvent[], signal: SendSignal): Promise<SendOutcome>;
  /** Frees sockets and timers. Called once, after the last `send()`. */
  close?: (() => void | Promise<void>) | undefined;
  /**
   * How the emitter and the breaker lead the transports inside them.
   * @internal
   */
  readonly [steering]?: Steering;
}

/**
 * Key of {@link Steering}. It is a registered symbol because each entry point of the package is a separate bundle: a transport that one
 * bundle decorates may be driven by another.
 *
 * @internal
 */
export const steering: unique symbol = Symbol.for('cosmos-telemetry.steering');

/** What leads a transport. A transport may lack any part. @internal */
export interface Steering {
  /**
   * The process is about to leave, or (false) stays after all. Until then `retrying` starts no backoff and ends a running one with one
   * final attempt, and a breaker lets one probe through.
   */
  lastCall?(isLast: boolean): void;
  /**
   * Bounds the connects of the next attempts: the network is in doubt.
   *
   * @param limitMs In milliseconds; undefined for the transport's own limit.
   * @param isFirm If false, a connect may take four times as long as the slowest one that succeeded.
   */
  limitConnects?(limitMs: number | undefined, isFirm: boolean): void;
  /**
   * Nothing will be sent: telemetry is off from the start.
   *
   * @param rule The rule that decides.
   * @param isMachine Whether the machine decides, and not the program.
   */
  optedOut?(rule: Rule, isMachine: boolean): void;
  /** Ends each attempt that has written nothing: its event goes back to the buffer, and it holds the process no longer. */
  letGo?(): void;
}

/** Why an attempt failed, if the outcome tells. */
export function causeOf(outcome: SendOutcome): Cause | undefined {
  return Object.hasOwn(outcome, 'cause') && 'cause' in outcome ? outcome.cause : undefined;
}

/** Reason of an attempt that did not reach a server: the request was certainly not sent. */
export const CONNECT_REASON = 'connect';

/** Reasons of an attempt whose request was written, perhaps, and got no answer: none in time, or the connection ended. */
export const UNANSWERED_REASONS: ReadonlySet<string> = new Set(['timeout', 'network']);

/** Reason of what an open circuit did not try. */
export const OPEN_REASON = 'circuit_open';

/** Reason of an attempt that was ended when it is certain that no byte of its request was written. */
export const UNWRITTEN_REASON = 'aborted';

/** Reason of an attempt that did not get its turn: other transports of this process send to the same endpoint. Nothing was tried. */
export const BUSY_REASON = 'busy';

const REASON_PATTERN = /^[a-z0-9_]{1,40}$/;

/** The outcome of an attempt that threw or returned something else than an outcome: the transport has a bug. */
export const TRANSPORT_ERROR: SendOutcome = { kind: 'rejected', reason: 'transport_error' };

/**
 * One attempt by the inner transport. It never rejects: an exception after the signal fired is `aborted`, as with
 * `fetch(url, { signal })`; any other exception is `transport_error`. Nothing is tried if the signal has fired before.
 */
export function attempt(inner: Transport, events: readonly UsageEvent[], signal: SendSignal): Promise<SendOutcome> {
  return new Promise((resolve) => {
    attemptThen(inner, events, signal, resolve);
  });
}

/**
 * As {@link attempt}, with a callback instead of a promise: each promise adds to the cost of an event.
 *
 * @param done Called once. It must not throw: nothing would catch it.
 */
export function attemptThen(
  inner: Transport,
  events: readonly UsageEvent[],
  signal: SendSignal,
  done: (outcome: SendOutcome) => void,
): void {
  if (signal.aborted) return done({ kind: 'aborted' });
  let isOver = false;
  const failed = (): void => {
    if (isOver) return;
    isOver = true;
    done(signal.aborted ? { kind: 'aborted' } : TRANSPORT_ERROR);
  };
  const answered = (value: unknown): void => {
    let outcome: SendOutcome;
    try {
      outcome = outcomeOf(value);
    } catch {
      return failed();
    }
    // A promise may have its own `then` that answers twice: a retry for each answer would send an event twice.
    if (isOver) return;
    isOver = true;
    done(outcome);
  };
  try {
    Promise.resolve(inner.send(events, signal)).then(answered, failed);
  } catch {
    failed();
  }
}

/**
 * Wraps a transport: `send` is replaced, everything else is forwarded to the inner one.
 *
 * @param onLastCall Called before the inner transport's own `lastCall`.
 */
export function decorate(inner: Transport, send: Transport['send'], onLastCall?: (isLast: boolean) => void): Transport {
  return {
    // Left out if the inner transport has none: code that asks with `in` tells absent from undefined.
    ...(given(inner, 'maxBatchSize') === undefined ? {} : { maxBatchSize: inner.maxBatchSize }),
    send,
    close: () => given(inner, 'close')?.call(inner),
    [steering]: {
      lastCall: (isLast) => {
        onLastCall?.(isLast);
        inner[steering]?.lastCall?.(isLast);
      },
      limitConnects: (limitMs, isFirm) => inner[steering]?.limitConnects?.(limitMs, isFirm),
      optedOut: (rule, isMachine) => inner[steering]?.optedOut?.(rule, isMachine),
      letGo: () => inner[steering]?.letGo?.(),
    },
  };
}

const OUTCOME_KEYS = ['kind', 'reason', 'waitMs', 'cause'] as const;

/**
 * A checked copy of what `send()` resolved with. A transport may be plain JavaScript: it may return nothing, use the text of an
 * error (with a URL in it) as the reason, or change the object later.
 */
export function outcomeOf(value: unknown): SendOutcome {
  const read = givenOptions(Object(value) as Partial<Record<(typeof OUTCOME_KEYS)[number], unknown>>, OUTCOME_KEYS);
  const { kind, reason, waitMs } = read;
  const cause = isCause(read.cause) ? { cause: read.cause } : undefined;
  switch (kind) {
    case 'sent':
    case 'aborted':
      return { kind };
    case 'refused':
      return isReason(reason) ? { kind, reason } : TRANSPORT_ERROR;
    case 'retryable':
    case 'rejected':
      return isReason(reason) ? { kind, reason, ...cause } : TRANSPORT_ERROR;
    case 'deferred':
      return isReason(reason) && typeof waitMs === 'number' && Number.isFinite(waitMs)
        ? { kind, waitMs, reason, ...cause }
        : TRANSPORT_ERROR;
    default:
      return TRANSPORT_ERROR;
  }
}

const KNOWN_CAUSES: ReadonlySet<unknown> = new Set(CAUSES);

function isCause(cause: unknown): cause is Cause {
  return KNOWN_CAUSES.has(cause);
}

function isReason(reason: unknown): reason is string {
  return typeof reason === 'string' && REASON_PATTERN.test(reason);
}
