// The total cost of an event, on and off the host's path, with a transport that does nothing: copy, queue, encoding, accounts.
import { openClient } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const EVENTS = 20_000;
const ENCODED = 1000;
/** A number with a plus sign in its text, which is percent-encoded for each event. */
const PERCENT_ENCODED = { ...EVENT, duration: 1e21 };
/** Encodes nothing, so that encoded events are counted by the calls of `encodeURIComponent`. */
const asksForNothing = { send: () => Promise.resolve({ kind: 'sent' }) };

export const UNASKED = 'ours, target not asked for';

export function plan({ quick }) {
  return ['p-queue add', 'naive', 'ours', UNASKED].map((row) => ({ row, rounds: quick ? 1 : 5, params: { row } }));
}

export async function measure({ row }) {
  const client = await openClient(row === UNASKED ? 'ours' : row, {
    capacity: EVENTS,
    ...(row === UNASKED && { transport: asksForNothing }),
  });
  await handOver(client, EVENT, 5000);
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  await handOver(client, EVENT, EVENTS);
  const tookMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(before);
  return {
    nsPerEvent: (tookMs * 1e6) / EVENTS,
    cpuNsPerEvent: ((user + system) * 1e3) / EVENTS,
    ...(row.startsWith('ours') && { encodedPercent: (100 * (await encodings(client))) / ENCODED }),
  };
}

/** How often something is percent-encoded for events that need it once each. */
async function encodings(client) {
  const { encodeURIComponent: original } = globalThis;
  let calls = 0;
  globalThis.encodeURIComponent = (text) => {
    calls += 1;
    return original(text);
  };
  await handOver(client, PERCENT_ENCODED, ENCODED);
  globalThis.encodeURIComponent = original;
  return calls;
}

function handOver({ publish, settle }, given, events) {
  for (let event = 0; event < events; event += 1) publish(given);
  return settle();
}
