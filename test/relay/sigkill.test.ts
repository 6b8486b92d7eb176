// A relay that is killed under load: `npm run test:relay` kills it ten times.
import path from 'node:path';
import test from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { makeFolder, RelayChild } from './helpers/relay-child.js';
import { chance } from './helpers/hostile-requests.js';
import { get } from './helpers/relay-rig.js';
import { proves } from '../helpers/promises.js';

/** The number of kills: 1 in `npm test`, 10 in `npm run test:relay`. */
const KILLS = Number(process.env['RELAY_KILLS'] ?? 1);
const CLIENTS = 16;
const CONCURRENCY = 6;

test(
  proves('relay-sigkill', 'a relay that is killed under load loses no acknowledged event, and counts those that may be sent twice'),
  async (t) => {
    t.timeout(60_000 + KILLS * 10_000);
    const seed = Number(process.env['RELAY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.log(`RELAY_SEED=${seed}, ${KILLS} kills`);
    const random = chance(seed);
    const collector = await startCollector({ faults: { kind: 'ok', delayMs: 5 } });
    t.teardown(() => collector.close());
    const args = [
      '--listen',
      '127.0.0.1:0',
      '--forward',
      `${collector.url}/up`,
      '--spool',
      path.join(makeFolder(t), 'spool'),
      '--concurrency',
      String(CONCURRENCY),
      '--log-level',
      'silent',
    ];
    const acknowledged: number[] = [];
    let next = 0;
    let maybeTwice = 0;

    for (let kill = 0; kill < KILLS; kill += 1) {
      const child = new RelayChild(t, args);
      const port = await child.port();
      maybeTwice += await child.metric('events_maybe_sent_twice_total');
      const load = { isOver: false };
      const clients = Array.from({ length: CLIENTS }, async () => {
        while (!load.isOver) {
          const count = next;
          next += 1;
          const status = await get(port, `/astronomer-cosmos/v3/dag_run?status=success&task_count=${count}`).then(
            (answer) => answer.status,
            () => 0,
          );
          if (status === 204) acknowledged.push(count);
          else load.isOver = true;
        }
      });
      const before = acknowledged.length;
      const least = before + 20 + Math.floor(random() * 400);
      while (acknowledged.length < least && !load.isOver) await new Promise((resolve) => setImmediate(resolve));
      child.process.kill('SIGKILL');
      t.is(await child.ended, 'SIGKILL');
      load.isOver = true;
      await Promise.all(clients);
      t.true(acknowledged.length > before);
    }

    const last = new RelayChild(t, args);
    maybeTwice += await last.metric('events_maybe_sent_twice_total');
    while ((await last.metric('events_pending')) > 0) await new Promise((resolve) => setImmediate(resolve));
    last.process.kill('SIGTERM');
    t.is(await last.ended, 0);

    const arrivals = new Map<number, number>();
    for (const { query } of collector.requests) {
      const count = Number(query[1]?.[1]);
      arrivals.set(count, (arrivals.get(count) ?? 0) + 1);
    }
    const missing = acknowledged.filter((count) => !arrivals.has(count));
    t.deepEqual(missing, []);
    const duplicates = [...arrivals.values()].reduce((sum, times) => sum + times - 1, 0);
    t.log(`${acknowledged.length} acknowledged, ${collector.requests.length} arrived, ${duplicates} twice, ${maybeTwice} counted as maybe`);
    t.true(duplicates <= maybeTwice);
    t.true(maybeTwice <= KILLS * CONCURRENCY, `${maybeTwice}`);
  },
);
