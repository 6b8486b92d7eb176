/*
 * A user's program that names types of the platform: it compiles with `@types/node`, with the lib `dom`, and with both. What the package
 * takes and hands out is the platform's own. `scripts/check-types.mjs` compiles it.
 */
import { createTelemetry, fetchTransport, renderPrivacyNotice } from 'cosmos-telemetry';
import type { SendOutcome, SendSignal, Transport, UsageEvent } from 'cosmos-telemetry';

/** The signal of the package is the platform's, both ways. */
export const theirs: (signal: SendSignal) => AbortSignal = (signal) => signal;
export const ours: (signal: AbortSignal) => SendSignal = (signal) => signal;

/** The signal goes to fetch. */
export class FetchingTransport implements Transport {
  async send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    const { status } = await fetch(`https://telemetry.acme.example${events[0]?.requestTarget() ?? ''}`, { signal });
    return status < 300 ? { kind: 'sent' } : { kind: 'rejected', reason: `http_${status}` };
  }
}

/** The same with the types that the parameters have from `Transport`. */
export const fetching: Transport = {
  async send(_events, signal) {
    signal.addEventListener('abort', (event) => event.preventDefault());
    await fetch('https://telemetry.acme.example', { signal });
    return { kind: 'sent' };
  },
};

export function use(): Promise<SendOutcome> {
  const endpoint = new URL('https://telemetry.acme.example/');
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint });
  const target = new EventTarget();
  class Orchestrator extends EventTarget {}
  telemetry.register(target, { events: { 'dag_run.success': renderPrivacyNotice({ product: { name: 'acme' }, endpoint }) } });
  telemetry.register(new Orchestrator());
  // The signal of a controller goes into a transport of the package.
  return fetchTransport({ endpoint }).send([], new AbortController().signal);
}
