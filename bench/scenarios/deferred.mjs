// The total cost of an event, on and off the host's path, with a transport that does nothing: copy, queue, encoding, accounts.
import { openClient } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const EVENTS = 20_000;

export function plan({ quick }) {
  return ['p-queue add', 'naive', 'ours'].map((row) => ({ row, rounds: quick ? 1 : 5, params: { row } }));
}

export async function measure({ row }) {
  const client = await openClient(row, { capacity: EVENTS });
  await handOver(client, 5000);
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  await handOver(client, EVENTS);
  const tookMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(before);
  return { nsPerEvent: (tookMs * 1e6) / EVENTS, cpuNsPerEvent: ((user + system) * 1e3) / EVENTS };
}

function handOver({ publish, settle }, events) {
  for (let event = 0; event < events; event += 1) publish(EVENT);
  return settle();
}
