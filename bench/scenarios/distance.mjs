// How many of 20,000 events a process that has just published them delivers in a `close()` of two seconds, by the distance of the endpoint:
// connections are not open yet, and their handshakes take round trips, too.
import { open } from '../adapters/ours.mjs';
import { EVENT } from '../harness/sample-event.mjs';
import { DEADLINE_MS } from './drain.mjs';

const WAITING = 20_000;
export const ROUND_TRIPS_MS = [20, 100, 300];

export function plan({ quick }) {
  if (quick) return [];
  const rows = [false, true].flatMap((tls) => [undefined, 64].map((concurrency) => ({ tls, concurrency })));
  return ROUND_TRIPS_MS.flatMap((distanceMs) =>
    rows.map(({ tls, concurrency }) => ({
      row: `ours, ${tls ? 'https' : 'http'}${concurrency === undefined ? '' : `, ${concurrency} at a time`}`,
      column: `${distanceMs} ms`,
      rounds: 3,
      params: { concurrency },
      collector: { kind: 'get', distanceMs },
      tls,
    })),
  );
}

export async function measure({ endpoint, concurrency }) {
  const client = open({ endpoint, concurrency, capacity: WAITING });
  for (let event = 0; event < WAITING; event += 1) client.publish(EVENT);
  const { sent, durationMs } = await client.telemetry.close({ deadlineMs: DEADLINE_MS });
  return { delivered: sent, durationMs };
}
