import test from 'ava';
import { ndjsonLine, readNdjsonLine } from '../../src/wire/ndjson.js';
import { collectGarbage } from '../helpers/collect-garbage.js';

const START = '{"id":"019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b","time":"2026-11-28T22:30:29.203Z","event":"backfill"';

test('long names of foreign lines and events are not kept in memory', async (t) => {
  await collectGarbage();
  const { heapUsed } = process.memoryUsage();
  for (let n = 0; n < 50; n += 1) {
    const name = `n${n}_`.padEnd(1_000_000, 'x');
    t.true('event' in readNdjsonLine(`${START},"${name}":1}`));
    t.true(ndjsonLine({ id: '7', type: 'backfill', metrics: { [`${name}y`]: 1 } }).endsWith('y":1.0}'));
  }
  await collectGarbage();
  t.true(process.memoryUsage().heapUsed - heapUsed < 20_000_000);
});
