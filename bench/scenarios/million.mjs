// A million publishes to an endpoint that never answers, with default limits: time on the host's path, growth of heap and resident memory,
// and whether every event is accounted for.
import { open } from '../adapters/ours.mjs';
import { EVENT } from '../harness/sample-event.mjs';
import { collected } from '../harness/memory.mjs';

const EVENTS = 1_000_000;
const KEPT_AT_MOST = 10_000;
const MIB = 1024 * 1024;
/** Twice the goal: a higher figure is not noise. */
const LEAK_MIB = 10;

export function plan({ quick }) {
  return [{ row: 'ours', rounds: quick ? 1 : 5, params: {}, flags: ['--expose-gc'], collector: { kind: 'silent' } }];
}

export async function measure({ endpoint }) {
  const { telemetry, publish } = open({ endpoint });
  // Fill the buffer and load everything first, as in a host that has run for a while.
  for (let event = 0; event < 2 * KEPT_AT_MOST; event += 1) publish(EVENT);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = await collected();
  const startedAtMs = performance.now();
  for (let event = 0; event < EVENTS; event += 1) publish(EVENT);
  const tookMs = performance.now() - startedAtMs;
  const after = await collected();
  const { published, sent, failed, dropped, pending } = telemetry.stats();
  const broken = [];
  if (published !== EVENTS + 2 * KEPT_AT_MOST) broken.push(`${published} events count as published`);
  if (published !== sent + failed + dropped + pending) broken.push('the accounts do not balance');
  if (pending > KEPT_AT_MOST + 6) broken.push(`${pending} events are kept`);
  const heapGrowthMiB = (after.heapBytes - before.heapBytes) / MIB;
  if (heapGrowthMiB > LEAK_MIB) broken.push(`the heap grew by ${Math.round(heapGrowthMiB)} MiB`);
  return {
    nsPerPublish: (tookMs / EVENTS) * 1e6,
    heapGrowthMiB,
    residentGrowthMiB: (after.residentBytes - before.residentBytes) / MIB,
    broken,
  };
}
