import { lastCall, REASON_PATTERN } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** What an attempt is called that ended in an exception, or in something that is no outcome: the transport has a bug. */
export const TRANSPORT_ERROR: SendOutcome = { kind: 'rejected', reason: 'transport_error' };

/**
 * One attempt by the inner transport, as data: never rejects. A transport that throws because of the signal was aborted, as
 * anybody's `fetch(url, { signal })` is; any other exception is `transport_error`. Nothing is tried once the signal fired.
 */
export async function attempt(inner: Transport, events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
  if (signal.aborted) return { kind: 'aborted' };
  try {
    const outcome: unknown = await inner.send(events, signal);
    return isOutcome(outcome) ? outcome : TRANSPORT_ERROR;
  } catch {
    return signal.aborted ? { kind: 'aborted' } : TRANSPORT_ERROR;
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
 * Whether it is an outcome of `send()`. A transport may be plain JavaScript, where nothing keeps it from answering with nothing,
 * or from giving an error's text, with a URL in it, for a reason.
 */
export function isOutcome(value: unknown): value is SendOutcome {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, reason, waitMs } = value as { kind?: unknown; reason?: unknown; waitMs?: unknown };
  if (kind === 'sent' || kind === 'aborted') return true;
  if (typeof reason !== 'string' || !REASON_PATTERN.test(reason)) return false;
  return kind === 'retryable' || kind === 'rejected' || kind === 'refused' || (kind === 'deferred' && Number.isFinite(waitMs));
}
