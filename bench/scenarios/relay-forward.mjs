// The relay's processor time for an event: accepting, storing and delivering it. The client and the endpoint are other processes.
import { fill } from '../harness/requests.mjs';
import { startServer, withFolder } from '../harness/server.mjs';

const WARM_UP = 5000;
const EVENTS = 20_000;
const LOOK_MS = 50;

export const SPOOL = 'relay, with a spool';

export function plan({ quick }) {
  const rows = quick ? [] : [SPOOL, 'relay, in memory only'];
  return rows.map((row) => ({ row, rounds: 5, params: { hasSpool: row === SPOOL }, collector: { kind: 'get' } }));
}

export function measure({ hasSpool, endpoint }) {
  return withFolder(async (folder) => {
    const relay = await startServer('relay', { forward: endpoint, ...(hasSpool && { spool: folder }) });
    try {
      const before = await forwarded(relay, WARM_UP, WARM_UP);
      const startedAtMs = performance.now();
      const after = await forwarded(relay, EVENTS, WARM_UP + EVENTS);
      const tookMs = performance.now() - startedAtMs;
      return { cpuUsPerEvent: (after.cpuUs - before.cpuUs) / EVENTS, eventsPerS: (EVENTS * 1000) / tookMs };
    } finally {
      await relay.close();
    }
  });
}

/** Sends events, and waits until the relay has delivered as many as `inAll`. */
async function forwarded(relay, events, inAll) {
  const accepted = await fill(relay.url, events);
  if (accepted !== events) throw new Error(`the relay accepted ${accepted} of ${events}`);
  for (;;) {
    const seen = await relay.ask();
    if (seen.sent === inAll) return seen;
    if (seen.pending === 0) throw new Error(`the relay delivered ${seen.sent} of ${inAll}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
