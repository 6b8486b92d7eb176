import type { ExecutionContext } from 'ava';
// Loaded before the first send, so that no limit of time is spent on loading.
import '../../src/delivery/http/client.js';
import '../../src/delivery/http/tunnel-agent.js';
import { fetchTransportWith } from '../../src/delivery/http/fetch-transport.js';
import type { FetchTransportOptions, FetchTransportParts } from '../../src/delivery/http/fetch-transport.js';
import type { Cause, SendOutcome, Transport } from '../../src/delivery/transport.js';
import { usageEvent } from './usage-event.js';

/** A transport to a port of loopback, with limits of time for a machine under load. It is closed at the end of the test. */
export function transportTo(
  t: ExecutionContext,
  port: number,
  options: Partial<FetchTransportOptions> = {},
  parts: FetchTransportParts = {},
): Transport {
  const endpoint = `http://127.0.0.1:${port}/base`;
  const transport = fetchTransportWith({ endpoint, connectTimeoutMs: 10_000, attemptTimeoutMs: 20_000, env: {}, ...options }, parts);
  // A transport does not hold the process, so the test does.
  const held = setInterval(() => {}, 60_000);
  t.teardown(() => {
    clearInterval(held);
    return transport.close?.();
  });
  return transport;
}

/** Sends one event. */
export async function send(
  transport: Transport,
  target?: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<SendOutcome> {
  return transport.send([usageEvent(target)], signal);
}

/** The outcome of an attempt that could not connect for this cause. */
export function unconnected(cause: Cause): SendOutcome {
  return { kind: 'retryable', reason: 'connect', cause };
}
