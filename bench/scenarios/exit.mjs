// How long a process lives after its last line, with 100 events just published: by the behaviour of the endpoint, and with or without the
// call that the client's documentation asks for.
import { writeSync } from 'node:fs';
import { openClient, RIVALS } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const EVENTS = 100;
/** After this time the process is killed, and the table says "more than". */
export const CAP_MS = 20_000;

const ENDPOINTS = { answers: 'collector', 'refuses connections': 'refusing', 'says nothing': 'silent' };

/** The process must end as a host's would. */
export const endsByItself = true;

export function plan({ quick }) {
  const rows = ['ours', 'naive', ...(quick ? [] : RIVALS)];
  return rows.flatMap((row) =>
    Object.entries(ENDPOINTS).flatMap(([what, kind]) =>
      [true, false].flatMap((closes) => {
        const isDead = kind !== 'collector';
        if (quick && row !== 'ours') return [];
        return {
          row,
          column: `${what}, ${closes ? 'close' : 'no close'}`,
          rounds: quick ? 1 : row === 'ours' ? 5 : isDead ? 1 : 3,
          params: { row, closes },
          collector: { kind: isDead ? kind : RIVALS.includes(row) ? 'batch' : 'get' },
          capMs: CAP_MS,
          // Clients that wait for a dead endpoint use no processor time, so they can run at the same time.
          together: row !== 'ours' && isDead,
        };
      }),
    ),
  );
}

export async function measure({ row, closes, endpoint }) {
  const client = await openClient(row, { endpoint });
  for (let event = 0; event < EVENTS; event += 1) client.publish(EVENT);
  writeSync(1, `${JSON.stringify({ calledAtMs: Date.now() })}\n`);
  if (closes) await client.close();
}

export function judge({ calledAtMs }, { events = 0 }, { endedAtMs, exitCode, killed }) {
  return {
    exitMs: killed ? CAP_MS : endedAtMs - calledAtMs,
    exitCode: killed ? null : exitCode,
    deliveredPercent: (100 * events) / EVENTS,
  };
}
