// How many of 20,000 waiting events the end of a process delivers within two seconds: by round trip and by how many requests may be
// under way. From a process that has sent a few thousand before, over connections that are open.
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
      // The best counts: other work on the machine can only take away.
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

/** What was answered in time counts as sent; what arrived besides was cut off before its answer. */
export function judge(values, { events }, { params }) {
  return { ...values, arrived: events - params.concurrency };
}
