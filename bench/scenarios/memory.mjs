// The memory of a waiting event: bytes kept after a full garbage collection, with an endpoint that accepts connections and does not answer.
import { openClient, RIVALS } from '../adapters/index.mjs';
import { freshEvent } from '../harness/sample-event.mjs';
import { collected } from '../harness/memory.mjs';

const FLAGS = ['--expose-gc', '--max-old-space-size=6144'];
const COUNTS = [10_000, 100_000, 1_000_000];
const PLAIN = 'plain objects in a list';
const DEFAULT_BOUND = 'ours, default bound';

export function plan({ quick }) {
  const rows = [PLAIN, 'floor: emit, copy, ring', 'naive', 'ours', DEFAULT_BOUND, ...(quick ? [] : RIVALS)];
  const counts = quick ? COUNTS.slice(0, 1) : COUNTS;
  // A process of a gigabyte is measured once, because memory hardly varies. Segment keeps 17 kB per event, so it gets the fewest events.
  return counts.flatMap((count) =>
    rows
      .filter((row) => row !== 'Segment' || count === COUNTS[0])
      .map((row) => ({
        row,
        column: count.toLocaleString('en-US'),
        rounds: quick || count > 100_000 ? 1 : 3,
        params: { row, count },
        flags: FLAGS,
        collector: { kind: 'silent' },
        capMs: 300_000,
      })),
  );
}

export async function measure({ row, count, endpoint }) {
  // A global reference, so that it is not garbage-collected.
  const kept = (globalThis.kept = []);
  const options = { endpoint, ...(row !== DEFAULT_BOUND && { capacity: count + 1024 }) };
  const client =
    row === PLAIN ? { publish: (event) => kept.push({ ...event }) } : await openClient(row === DEFAULT_BOUND ? 'ours' : row, options);
  globalThis.client = client;
  // Memory that is allocated at the first events is not part of the figure.
  for (let event = 0; event < 100; event += 1) client.publish(freshEvent(event));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = await collected();
  for (let event = 0; event < count; event += 1) client.publish(freshEvent(event));
  const after = await collected();
  return { bytesPerEvent: (after.heapBytes - before.heapBytes) / count, residentMiB: after.residentBytes / 1024 / 1024 };
}
