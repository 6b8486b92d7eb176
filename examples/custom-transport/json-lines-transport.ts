// The transport of the example custom-transport.ts.
import type { SendOutcome, Transport } from 'cosmos-telemetry';

/** Sends up to a hundred events in one POST. `send` returns the outcome of the batch and never throws. */
export function jsonLinesTransport(url: string): Transport {
  return {
    maxBatchSize: 100,
    async send(events, signal) {
      try {
        const body = events.map(({ id, type, metrics }) => `${JSON.stringify({ id, type, ...metrics })}\n`).join('');
        const response = await fetch(url, {
          method: 'POST',
          body,
          redirect: 'error',
          signal: AbortSignal.any([signal, AbortSignal.timeout(5000)]),
        });
        await response.body?.cancel();
        return outcomeOf(response.status);
      } catch {
        // The receiver may have the batch or not. Each line has an id, so the receiver can ignore a line that it has, and the batch may
        // be sent again. Without ids, use { kind: 'rejected' }: an event counted twice is worse than a lost one.
        return signal.aborted ? { kind: 'aborted' } : { kind: 'retryable', reason: 'network' };
      }
    },
  };
}

function outcomeOf(status: number): SendOutcome {
  if (status < 300) return { kind: 'sent' };
  if (status === 429) return { kind: 'deferred', waitMs: 30_000, reason: 'http_429' };
  return { kind: status >= 500 ? 'retryable' : 'rejected', reason: `http_${status}` };
}
