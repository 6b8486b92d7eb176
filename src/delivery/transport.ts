/*
 * The extension point of delivery: what a transport is, what its outcomes mean, and the helpers that call and wrap one safely.
 */
import { givenOptions, readOption } from '../base/check-options.js';
import { given } from '../base/foreign-values.js';
import type { SendSignal } from '../base/platform-types.js';
import type { FieldKind } from '../events/fields.js';
import type { Rule } from '../opt-out/rule.js';
import type { UsageMetrics } from '../wire/python.js';

/**
 * One usage event as a transport gets it: declared fields only, metadata unpacked and merged.
 *
 * @example
 * const lineOf = (event: UsageEvent) => `${event.type} ${event.requestTarget()}`;
 */
export interface UsageEvent {
  /**
   * Unique in the world and the same in every attempt: a UUIDv7 in lower case (RFC 9562), of the time of the event and random numbers. It
   * tells neither person nor machine. It is not part of the request target: that wire has no ids.
   *
   * @example '019a0b3c-7d2e-7c41-9f0a-5b1d2e3f4a5b'
   */
  readonly id: string;
  /**
   * When the event was published, in milliseconds since 1970. Events that are published in one turn of the event loop share it. Each event
   * of a client has it; an event that a test makes may lack it.
   */
  readonly timeMs?: number | undefined;
  /** The event type, for example `dag_run`. */
  readonly type: string;
  /** Standard metrics, then the event's own fields, then its metadata: in the order in which they are sent. */
  readonly metrics: Readonly<UsageMetrics>;
  /**
   * `/v3/{type}?{query}`, to append to the endpoint: encoded at the first call. Call this for that wire instead of encoding `metrics`,
   * whose numbers do not tell a duration (`7.0`) from a count (`7`). Never throws.
   */
  requestTarget(): string;
  /**
   * The declared kind of a metric, for another encoding: a `duration` is a floating-point number even if its value is 7. Undefined for a
   * name that is not declared. Each event of a client has it; an event that a test makes may lack it. Never throws.
   */
  kindOf?: ((name: string) => FieldKind | undefined) | undefined;
  /**
   * What `metrics` is made of; undefined once they were read: whoever has them may have changed them. So it is for an event of
   * another id, type or time than it was made with.
   * @internal
   */
  readonly [eventParts]?: EventParts | undefined;
}

/**
 * Key of {@link EventParts}, registered like {@link steering}.
 *
 * @internal
 */
export const eventParts: unique symbol = Symbol.for('cosmos-telemetry.parts');

/** The metrics of an event before they are put into one object, which takes as long as to write them. No name is in two parts. @internal */
export interface EventParts {
  /** Those that all events of a type have: the same object for each of them. */
  readonly base: Readonly<UsageMetrics>;
  /** The event's own. A value may be undefined. */
  readonly own: Readonly<UsageMetrics>;
  readonly metadata: Readonly<UsageMetrics> | undefined;
  /** Whose parts they are. */
  readonly of: UsageEvent;
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
 * What became of one event. A reason is a code of the form `^[a-z0-9_]{1,40}$`, never the
 * text of an error. `cause` says more of a failure, if it is known.
 *
 * - `sent`: the endpoint confirmed the event. With `handedOver: true` something took it over that delivers it later and reports nothing,
 *   such
 *   as a pipe or a queue. `stats().handedOver` counts these.
 * - `retryable`: not counted by the endpoint, and worth another attempt (`connect`, `http_503`).
 * - `rejected`: tried and final; counted as failed. This includes unknown results (a timeout, a reset after the request was
 *   sent) where a retry could be counted twice, as in a request target, which has no id.
 * - `refused`: not tried; counted as dropped (`too_large`).
 * - `deferred`: not now. The event returns to the head of the buffer, and nothing is sent for `waitMs`.
 * - `aborted`: ended by the signal.
 *
 * `cause` is one of `no_address`, `refused`, `unreachable`, `tls_untrusted`, `tls`, `proxy_auth`, `proxy_refused`, `slow`,
 * `no_descriptors`, `reset`, `parse`.
 *
 * @example
 * const outcome: EventOutcome = { kind: 'deferred', waitMs: 60_000, reason: 'maintenance' };
 */
export type EventOutcome =
  | { kind: 'sent'; handedOver?: boolean | undefined }
  | { kind: 'retryable'; reason: string; cause?: Cause | undefined }
  | { kind: 'rejected'; reason: string; cause?: Cause | undefined }
  | { kind: 'refused'; reason: string }
  | { kind: 'deferred'; waitMs: number; reason: string; cause?: Cause | undefined }
  | { kind: 'aborted' };

/**
 * The result of one `send()`: an {@link EventOutcome} that holds for all its events, or `partial`, with one for each event in the order of
 * the call. `retrying` repeats only the `retryable` events of a `partial` one. A list of another length counts as `transport_error`.
 *
 * @example
 * const outcome: SendOutcome = { kind: 'partial', outcomes: [{ kind: 'sent' }, { kind: 'rejected', reason: 'http_400' }] };
 */
export type SendOutcome = EventOutcome | { kind: 'partial'; outcomes: readonly EventOutcome[] };

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
   * The longest that a batch waits for further events, in milliseconds, up to an hour. A full batch, half a buffer, `drain()`, `close()`
   * and the end of the process end the wait, which does not keep the process alive.
   * @default 0
   */
  readonly lingerMs?: number | undefined;
  /** The most bytes that one `send()` takes, by `bytesOf`. An event that is larger is sent alone. @default no limit */
  readonly maxBatchBytes?: number | undefined;
  /**
   * The size of an event in a batch, in bytes. It is asked only beside `maxBatchBytes`. An event for which it throws, or gives no number,
   * is sent alone.
   * @default the length of its request target in UTF-8
   */
  readonly bytesOf?: ((event: UsageEvent) => number) | undefined;
  /**
   * Delivers the events and resolves with the outcome. A call that has not settled after
   * `(retries + 1) * attemptTimeoutMs + retries * 5 s + 1 s` (41 s by default) loses its slot and counts as `timeout`. Time in which the
   * host keeps the event loop busy does not count.
   *
   * @throws What it throws or rejects with is not shown: its events count as failed, by `transport_error`.
   */
  send(events: readonly UsageEvent[], signal: SendSignal): Promise<SendOutcome>;
  /**
   * Delivers what it has taken over, and frees sockets and timers. Called once, after the last `send()`. `telemetry.close()` waits for it
   * within its deadline; if it takes longer, the report says `timedOut`.
   *
   * @throws What it throws or rejects with is not shown: the log says `transport_close_failed`.
   */
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
  /** What would be sent for an event, for debug mode. @default a GET of its request target */
  shows?(event: UsageEvent): string;
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
export const TRANSPORT_ERROR: EventOutcome = { kind: 'rejected', reason: 'transport_error' };

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
  const { length } = events;
  const failed = (): void => {
    if (isOver) return;
    isOver = true;
    done(signal.aborted ? { kind: 'aborted' } : TRANSPORT_ERROR);
  };
  const answered = (value: unknown): void => {
    let outcome: SendOutcome;
    try {
      outcome = outcomeOf(value, length);
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
 * @throws TypeError with the name of a property that cannot be read.
 */
export function decorate(inner: Transport, send: Transport['send'], onLastCall?: (isLast: boolean) => void): Transport {
  // Left out if the inner transport has none: code that asks with `in` tells absent from undefined.
  const batching = givenOptions<Partial<Transport>>(inner, ['maxBatchSize', 'lingerMs', 'maxBatchBytes', 'bytesOf']);
  return {
    ...batching,
    // Anything else is left to the check of the options.
    ...(typeof batching.bytesOf === 'function' && { bytesOf: (event) => inner.bytesOf?.(event) ?? NaN }),
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
      ...(readOption(inner, steering)?.shows && { shows: (event) => inner[steering]?.shows?.(event) ?? '' }),
    },
  };
}

const OUTCOME_KEYS = ['kind', 'reason', 'waitMs', 'cause', 'handedOver', 'outcomes'] as const;

type Unchecked = Partial<Record<(typeof OUTCOME_KEYS)[number], unknown>>;

/**
 * A checked copy of what `send()` resolved with. A transport may be plain JavaScript: it may return nothing, use the text of an
 * error (with a URL in it) as the reason, or change the object later.
 *
 * @param events How many events the call had. The `partial` outcome of one event becomes that of the event.
 */
export function outcomeOf(value: unknown, events: number): SendOutcome {
  const read = unchecked(value);
  const { kind, outcomes } = read;
  if (kind !== 'partial') return eventOutcome(read);
  // Not `outcomes.map`: the list may be any object, and may be changed meanwhile.
  if (!Array.isArray(outcomes) || outcomes.length !== events) return TRANSPORT_ERROR;
  const checked = Array.from({ length: events }, (_, index) => eventOutcome(unchecked(outcomes[index])));
  if (checked.includes(TRANSPORT_ERROR)) return TRANSPORT_ERROR;
  return events === 1 ? (checked[0] as EventOutcome) : { kind, outcomes: checked };
}

function unchecked(value: unknown): Unchecked {
  return givenOptions(Object(value) as Unchecked, OUTCOME_KEYS);
}

function eventOutcome({ kind, reason, waitMs, cause: givenCause, handedOver }: Unchecked): EventOutcome {
  const cause = isCause(givenCause) ? { cause: givenCause } : undefined;
  switch (kind) {
    case 'sent':
      return handedOver === true ? { kind, handedOver } : { kind };
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
