import { lastCall, REASON_PATTERN } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** What an attempt is called that ended in an exception, or in something that is no outcome: the transport has a bug. */
export const TRANSPORT_ERROR: SendOutcome = { kind: 'rejected', reason: 'transport_error' };

/**
 * One attempt by the inner transport, as data: never rejects. A transport that throws because of the signal was aborted, as
 * anybody's `fetch(url, { signal })` is; any other exception is `transport_error`. Nothing is tried once the signal fired.
 */
export function attempt(inner: Transport, events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
  return new Promise((resolve) => {
    attemptThen(inner, events, signal, resolve);
  });
}

/**
 * The same for who needs no promise of its own: each costs an event something on its way.
 *
 * @param done called once. It must not throw: nobody is left to hear of it.
 */
export function attemptThen(inner: Transport, events: readonly UsageEvent[], signal: AbortSignal, done: (outcome: SendOutcome) => void): void {
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
    // A promise may bring a `then` of its own, and answer more than once: a retry for each answer would send an event twice.
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
 * A transport around another: `send` is the decorator's own, all else goes through to the inner one.
 *
 * @param onLastCall told of the last call before the inner transport is.
 */
export function decorate(
  inner: Transport,
  send: Transport['send'],
  onLastCall?: (active: boolean) => void,
): Transport {
  return {
    // Absent and undefined differ for readers that ask with `in`; the default of a transport without it stays the default.
    ...(inner.maxBatchSize === undefined ? {} : { maxBatchSize: inner.maxBatchSize }),
    send,
    close: () => inner.close?.(),
    [lastCall](active) {
      onLastCall?.(active);
      inner[lastCall]?.(active);
    },
  };
}

/**
 * An outcome of `send()`, copied, or the transport's fault. A transport may be plain JavaScript, where nothing keeps it from
 * answering with nothing, with an error's text (and a URL in it) for a reason, or with something that changes its mind later.
 */
export function outcomeOf(value: unknown): SendOutcome {
  const { kind, reason, waitMs } = Object(value) as { kind?: unknown; reason?: unknown; waitMs?: unknown };
  switch (kind) {
    case 'sent':
    case 'aborted':
      return { kind };
    case 'retryable':
    case 'rejected':
    case 'refused':
      return isReason(reason) ? { kind, reason } : TRANSPORT_ERROR;
    case 'deferred':
      return isReason(reason) && typeof waitMs === 'number' && Number.isFinite(waitMs) ? { kind, waitMs, reason } : TRANSPORT_ERROR;
    default:
      return TRANSPORT_ERROR;
  }
}

function isReason(reason: unknown): reason is string {
  return typeof reason === 'string' && REASON_PATTERN.test(reason);
}
