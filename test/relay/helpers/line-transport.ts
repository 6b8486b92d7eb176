import { request } from 'node:http';
import type { EventOutcome, SendOutcome, Transport } from '../../../src/delivery/transport.js';
import { ndjsonLine } from '../../../src/wire/ndjson.js';
import type { NdjsonEvent } from '../../../src/wire/ndjson.js';
import type { RelayParts } from '../../../src/relay/wiring.js';

/** Sends batches over new connections of node:http, and understands the answers of a relay. */
export const lineTransport: NonNullable<RelayParts['lineTransport']> = ({ endpoint, attemptTimeoutMs }): Transport => ({
  maxBatchSize: 512,
  send: (events) => {
    const body = events.map((event) => `${ndjsonLine(event as NdjsonEvent)}\n`).join('');
    return new Promise<SendOutcome>((resolve) => {
      const headers = { 'content-type': 'application/x-ndjson', 'content-length': Buffer.byteLength(body) };
      const sent = request(endpoint, { method: 'POST', headers, agent: false, timeout: attemptTimeoutMs }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', () => resolve({ kind: 'retryable', reason: 'network' }));
        response.on('end', () => resolve(outcomeOf(response.statusCode ?? 0, text, events)));
      });
      sent.on('timeout', () => sent.destroy(new Error('timeout')));
      // A repeat is safe: the lines have ids.
      sent.on('error', () => resolve({ kind: 'retryable', reason: 'connect' }));
      sent.end(body);
    });
  },
});

function outcomeOf(status: number, text: string, events: readonly { readonly id: string }[]): SendOutcome {
  if (status === 207) {
    const { errors } = JSON.parse(text) as { errors: { id: string; status: number; reason: string }[] };
    const byId = new Map(errors.map((error) => [error.id, error]));
    return { kind: 'partial', outcomes: events.map(({ id }) => ofEvent(byId.get(id))) };
  }
  if (status >= 200 && status < 300) return { kind: 'sent' };
  return status === 429 || status >= 500 ? { kind: 'retryable', reason: `http_${status}` } : { kind: 'rejected', reason: `http_${status}` };
}

function ofEvent(error: { status: number; reason: string } | undefined): EventOutcome {
  if (error === undefined) return { kind: 'sent' };
  return { kind: error.status === 429 || error.status >= 500 ? 'retryable' : 'rejected', reason: error.reason };
}
