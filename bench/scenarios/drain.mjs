// How many of 20,000 waiting events close() delivers within two seconds, by round trip and by maximum number of requests in flight. The
// process has sent a few thousand events before, and its connections are open.
import { open } from '../adapters/ours.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const WAITING = 20_000;
export const DEADLINE_MS = 2000;
export const ROUND_TRIPS_MS = [0, 5, 20, 50, 100];
export const CONCURRENCIES = [6, 24, 64];

export function plan({ quick }) {
  if (quick) return [];
  return ROUND_TRIPS_MS.flatMap((latencyMs) =>
    CONCURRENCIES.map((concurrency) => ({
      row: `${latencyMs} ms`,
      column: `c = ${concurrency}`,
      // The best run counts: other programs on the machine can only reduce the figure.
      rounds: 2,
      params: { concurrency },
      collector: { kind: 'get', latencyMs },
      helper: { kind: 'get' },
    })),
  );
}

export async function measure({ concurrency, endpoint, helperEndpoint }) {
  await sendAll(open({ endpoint: helperEndpoint, concurrency }), 3000);
  const client = open({ endpoint, concurrency, capacity: WAITING });
  await sendAll(client, concurrency);
  for (let event = 0; event < WAITING; event += 1) client.publish(EVENT);
  const { sent, durationMs } = await client.telemetry.close({ deadlineMs: DEADLINE_MS });
  return { delivered: sent - concurrency, durationMs };
}

async function sendAll(client, events) {
  for (let event = 0; event < events; event += 1) client.publish(EVENT);
  await client.settle();
}

/** An event that was answered in time counts as sent. Other arrived events were aborted before their answer. */
export function judge(values, { events }, { params }) {
  return { ...values, arrived: events - params.concurrency };
}
