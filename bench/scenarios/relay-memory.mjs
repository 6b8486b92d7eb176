// The resident memory of a relay whose spool is full, above that of an empty one, and how long it takes to start. Its endpoint refuses
// connections, as when a spool fills up.
import { refusingUrl } from '../harness/collector.mjs';
import { fill } from '../harness/requests.mjs';
import { startServer, withFolder } from '../harness/server.mjs';

const MIB = 1024 * 1024;
/** What a start allocates is over by then. */
const CALM_MS = 2000;

export const EMPTY = 'relay, empty spool';
export const FULL = 'relay, full spool of 64 MiB';

export function plan({ quick }) {
  return quick ? [] : [EMPTY, FULL].map((row) => ({ row, rounds: 5, params: { isFull: row === FULL }, capMs: 300_000 }));
}

/** The figures of a relay that was started with the spool of an earlier process. */
export async function measure({ isFull, flags, collects = false }) {
  const forward = await refusingUrl();
  return withFolder(async (spool) => {
    const filled = isFull ? await fillSpool(spool, forward) : 0;
    const relay = await startServer('relay', { spool, forward }, flags);
    try {
      await new Promise((resolve) => setTimeout(resolve, CALM_MS));
      const { residentBytes, highestResidentBytes, pending } = await relay.ask(collects);
      return {
        residentMiB: residentBytes / MIB,
        highestMiB: highestResidentBytes / MIB,
        startMs: relay.startMs,
        events: pending,
        broken: pending === filled ? [] : [`${pending} of ${filled} events are in the spool`],
      };
    } finally {
      await relay.close();
    }
  });
}

async function fillSpool(spool, forward) {
  const relay = await startServer('relay', { spool, forward });
  try {
    return await fill(relay.url);
  } finally {
    await relay.close();
  }
}
