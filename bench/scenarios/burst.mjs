// Ten thousand events at once in a process that has not sent any, with defaults: how many arrive, over how many connections, and how long
// the caller is blocked.
import { openClient, RIVALS } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const EVENTS = 10_000;

export function plan({ quick }) {
  const sample = (row, kind) => ({ row, rounds: quick ? 1 : 3, params: { row }, collector: { kind } });
  return [...['naive', 'ours'].map((row) => sample(row, 'get')), ...(quick ? [] : RIVALS.map((row) => sample(row, 'batch')))];
}

export async function measure({ row, endpoint }) {
  const client = await openClient(row, { endpoint, concurrency: 6 });
  const startedAtMs = performance.now();
  for (let event = 0; event < EVENTS; event += 1) client.publish(EVENT);
  const heldMs = performance.now() - startedAtMs;
  await client.settle();
  const tookMs = performance.now() - startedAtMs;
  return { heldMs, tookMs };
}

export function judge(values, { events, sockets }) {
  return { ...values, deliveredPercent: (100 * events) / EVENTS, sockets };
}
