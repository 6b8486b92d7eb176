// A million events published in one turn of the host's loop, to an endpoint that answers, with default limits. Once the host's own work is
// done: the longest stretch without a turn of its loop, seen by a callback that asks for the next turn again and again, and the delays that
// `monitorEventLoopDelay` of node:perf_hooks sees every millisecond.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openClient } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const EVENTS = 1_000_000;
/** From the first turn on; clients that have sent everything earlier are watched for as long. */
const WATCH_MS = 3000;

export function plan({ quick }) {
  // The others keep each of a million events, which takes gigabytes.
  const rows = quick ? ['ours'] : ['ours', 'OpenTelemetry', 'PostHog'];
  return rows.map((row) => ({ row, rounds: quick ? 1 : 5, params: { row }, collector: { kind: row === 'ours' ? 'get' : 'batch' } }));
}

export async function measure({ row, endpoint }) {
  const client = await openClient(row, { endpoint });
  // As in a host that has run for a while.
  for (let event = 0; event < 2000; event += 1) client.publish(EVENT);
  await client.settle();
  const delays = monitorEventLoopDelay({ resolution: 1 });
  const startedAtMs = performance.now();
  for (let event = 0; event < EVENTS; event += 1) client.publish(EVENT);
  const endedAtMs = performance.now();
  delays.enable();
  const longestMs = await longestStretch(endedAtMs);
  delays.disable();
  return { hostMs: endedAtMs - startedAtMs, longestMs, p99Ms: delays.percentile(99) / 1e6 };
}

/** The longest time between two turns of the loop, the one before the first included. */
async function longestStretch(sinceMs) {
  await new Promise(setImmediate);
  const firstMs = performance.now();
  let lastMs = firstMs;
  let longestMs = firstMs - sinceMs;
  while (lastMs - firstMs < WATCH_MS) {
    await new Promise(setImmediate);
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  }
  return longestMs;
}
