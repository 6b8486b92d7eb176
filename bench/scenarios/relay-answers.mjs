// How many requests of 64 connections a relay with a spool answers, and how many a bare server of node:http that answers 204. The client is
// node:http in a process of its own, the same for all.
import { refusingUrl } from '../harness/collector.mjs';
import { answersPerS } from '../harness/requests.mjs';
import { startServer, withFolder } from '../harness/server.mjs';

const LOAD = { connections: 64, forMs: 3000 };

export const BARE = 'bare server of node:http';
export const AWAY = 'relay, endpoint down';
export const SENDING = 'relay, and sending';

export function plan({ quick }) {
  const rows = quick ? [] : [BARE, AWAY, SENDING];
  return rows.map((row) => ({ row, rounds: 5, params: { row }, collector: { kind: 'get' } }));
}

export function measure({ row, endpoint }) {
  return withFolder(async (spool) => {
    const forward = row === SENDING ? endpoint : await refusingUrl();
    const server = await (row === BARE ? startServer('bare') : startServer('relay', { spool, forward, maxSpoolBytes: 2 ** 30 }));
    try {
      await answersPerS(server.url, { ...LOAD, forMs: 1000 });
      return await answersPerS(server.url, LOAD);
    } finally {
      await server.close();
    }
  });
}
