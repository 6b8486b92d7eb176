// Random and hostile requests: `npm run test:relay` sends 20,000.
import { connect } from 'node:net';
import test from 'ava';
import { collectGarbage } from '../helpers/collect-garbage.js';
import { admitLine } from '../../src/relay/event-lines.js';
import { parseTarget } from '../../src/relay/request-target.js';
import { chance, hostileBatch, hostileRequest } from './helpers/hostile-requests.js';
import { startRig } from './helpers/relay-rig.js';
import { proves } from '../helpers/promises.js';

/** The number of requests: 500 in `npm test`, 20,000 in `npm run test:relay`. */
const REQUESTS = Number(process.env['RELAY_FUZZ'] ?? 500);
/** The relay's page, and the stream that an open page follows. */
const PAGES = ['/', '/status/events', '/statusz'];
const AT_A_TIME = 32;
const MOST_GROWTH_MB = 40;

/** A connection without an answer or an end after this time is forgotten by the server. */
const FORGOTTEN_MS = 20_000;

const ANSWER = /^HTTP\/1\.1 (?:100|20[0247]|4\d\d|50[13]) /;

type End = 'answered' | 'closed' | 'nonsense' | 'forgotten';

/** Sends bytes and ends its side of the connection: at once, or with `half` after the first answer. */
function attack(port: number, bytes: Buffer, half: boolean): Promise<End> {
  return new Promise((resolve) => {
    let received = '';
    let end: End | undefined;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      if (half) socket.write(bytes);
      else socket.end(bytes);
    });
    socket.setEncoding('latin1');
    socket.setTimeout(FORGOTTEN_MS, () => {
      end = 'forgotten';
      socket.destroy();
    });
    socket.on('data', (text: string) => {
      received += text;
      if (half) socket.end();
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(end ?? (received === '' ? 'closed' : ANSWER.test(received) ? 'answered' : 'nonsense'));
    });
  });
}

async function heapMb(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

test(proves('relay-hostile-bytes', 'hostile bytes get an answer or a closed connection, and leave nothing in memory'), async (t) => {
  t.timeout(120_000 + REQUESTS * 50);
  const seed = Number(process.env['RELAY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const { port, store, relay, get } = await startRig(t, {
    headersTimeoutMs: 300,
    requestTimeoutMs: 600,
    keepAliveTimeoutMs: 300,
    maxEventsPerSecond: 1_000_000,
  });
  const ends: Record<End, number> = { answered: 0, closed: 0, nonsense: 0, forgotten: 0 };
  const random = chance(seed);
  const beforeMb = await heapMb();
  let left = REQUESTS;
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (left > 0) {
        left -= 1;
        const kind = random();
        const bytes =
          kind < 0.3 ? hostileBatch(random, port) : hostileRequest(random, port, kind < 0.5 ? PAGES[left % PAGES.length] : undefined);
        const end = await attack(port, bytes, random() < 0.1);
        ends[end] += 1;
        if (end === 'nonsense' || end === 'forgotten') t.log(end, JSON.stringify(bytes.toString('latin1').slice(0, 300)));
      }
    }),
  );
  t.log(`RELAY_SEED=${seed}`, ends, relay.stats().answers);
  t.deepEqual([ends.nonsense, ends.forgotten], [0, 0]);
  t.true(ends.answered > REQUESTS / 4);
  t.true(store().nextSeq > 0);
  const stored = [...store().waiting, ...store().settled].map(({ target }) => target);
  const lines = stored.filter((text) => text.startsWith('{'));
  t.true(lines.length > 0);
  // What is stored is admitted again as it is.
  for (const line of lines)
    t.deepEqual(admitLine(line, { isVerbatim: false, maxForwardBytes: 8000 }), { id: line.slice(7, 43), line, dropped: [] });
  const { published, sent, failed, dropped, pending } = relay.stats();
  t.is(published, sent + failed + dropped + pending);
  t.is((await get('/healthz')).status, 200);
  store().clear();
  const grownMb = (await heapMb()) - beforeMb;
  t.true(grownMb < MOST_GROWTH_MB, `${grownMb} MB stayed in memory`);
});

test(proves('relay-hostile-bytes', 'of hostile targets only declared fields are forwarded'), (t) => {
  const seed = Number(process.env['RELAY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`RELAY_SEED=${seed}`);
  const random = chance(seed);
  const allowed =
    /^\/v(?:3\/(?:dag_run|task_instance|dbt_docs_access)(?:\?[a-z_]+=[\w.%+~-]*(?:&[a-z_]+=[\w.%+~-]*)*)?|[12]\/[\w.%+~/:-]+)$/;
  let events = 0;
  for (let run = 0; run < REQUESTS * 20; run += 1) {
    const target = hostileRequest(random, 1).toString('latin1').split(' ')[1] ?? '';
    const found = parseTarget(target, { isVerbatim: false, maxForwardBytes: 8000 });
    if (found.kind !== 'event') continue;
    events += 1;
    if (!allowed.test(found.target)) t.fail(JSON.stringify(found.target));
  }
  t.true(events > 100);
});
