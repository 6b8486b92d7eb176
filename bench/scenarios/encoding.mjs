// What turning one event into a request target costs, beside URLSearchParams with the same facts.
import { open } from '../adapters/ours.mjs';
import { freshEvent } from '../harness/sample-event.mjs';
import { median } from '../harness/stats.mjs';

const EVENTS = 5000;
const REPEATS = 9;

const ENCODERS = {
  'ours: requestTarget()': (event) => event.requestTarget(),
  'URLSearchParams': (event) => `/v3/${event.type}?${new URLSearchParams(event.metrics).toString()}`,
};

export function plan({ quick }) {
  return Object.keys(ENCODERS).map((row) => ({ row, rounds: quick ? 1 : 5, params: { row } }));
}

export async function measure({ row }) {
  const encode = ENCODERS[row];
  const nsPerEvent = [];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) nsPerEvent.push(timeOf(encode, await builtEvents()));
  return { nsPerEvent: median(nsPerEvent.slice(2)) };
}

/** Events as a transport is handed them, new ones each time: nobody encodes the same event twice. */
async function builtEvents() {
  const built = [];
  const keeping = {
    maxBatchSize: EVENTS,
    send(events) {
      built.push(...events);
      return Promise.resolve({ kind: 'sent' });
    },
  };
  const client = open({ transport: keeping, capacity: EVENTS });
  for (let event = 0; event < EVENTS; event += 1) client.publish(freshEvent(event));
  await client.close();
  return built;
}

function timeOf(encode, events) {
  let characters = 0;
  const startedAtMs = performance.now();
  for (const event of events) characters += encode(event).length;
  const tookMs = performance.now() - startedAtMs;
  if (characters === 0) throw new Error('nothing was encoded');
  return (tookMs * 1e6) / events.length;
}
