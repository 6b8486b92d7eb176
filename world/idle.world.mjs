// Servers that close idle connections, in the network lab: 40 ms from a packet to its answer, events that come seldom, some just when the
// server closes the connection; hosts that are busy or frozen meanwhile. At most one of 200 events may be lost, and none in the relay
// unless it is frozen: it may be so in the middle of a request.
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLab, SERVER } from './network/lab.mjs';

const SELDOM = join(import.meta.dirname, 'network', 'seldom.mjs');
const ROUND_TRIP_MS = 40;
const IDLE_MS = [500, 1000, 2000, 5000];
const EVENTS = 200;
const MOST_LOST = 1;
/** Ports of one idle time, one for each client. */
const MOST_CLIENTS = 40;

const failures = [];
const lab = await openLab({ roundTripMs: ROUND_TRIP_MS });
const portsOf = (idleMs) => 8000 + IDLE_MS.indexOf(idleMs) * MOST_CLIENTS;

function start({ idleMs, clients, ...job }) {
  const endpoints = Array.from({ length: clients }, (_, index) => `http://${SERVER}:${portsOf(idleMs) + index}/e`);
  return lab.start([SELDOM, JSON.stringify({ endpoints, rounds: EVENTS / clients, ...job })]);
}

/** @param begin starts a host; called again if the first one fails, since other work on the machine may have kept the server from reading */
async function judge(title, begin, mostLost, isLast = false) {
  const { code, stdout, stderr } = await begin().exit;
  const { sent, pending, reasons, wanted } = JSON.parse(stdout.trim().split('\n').at(-1));
  console.log(`${title}: ${sent} of ${wanted} delivered${sent === wanted ? '' : `, ${JSON.stringify(reasons)}, ${pending} wait`}`);
  const isWrong = code !== 0 || stderr !== '' || wanted - sent > mostLost;
  if (isWrong && !isLast) await judge(`${title}, once more`, begin, mostLost, true);
  else if (isWrong) failures.push(`${title}: ${wanted - sent} of ${wanted} lost, ended with ${code}: ${stderr}`);
}

/** Runs jobs at the same time: they wait nearly all of the time. They start one after the other, since a start takes processor time. */
async function together(jobs) {
  const judged = [];
  for (const { title, idleMs, ...job } of jobs) {
    for (const relay of [false, true]) {
      let child;
      const begin = () => (child = start({ ...job, idleMs, relay }));
      judged.push(judge(`server closes after ${idleMs} ms, ${title}${relay ? ', relay' : ''}`, begin, relay ? 0 : MOST_LOST));
      await Promise.race([once(child.stdout, 'data'), child.exit]);
    }
  }
  await Promise.all(judged);
}

/** Events that come at equal intervals, the clients spread over an interval. */
function regular(idleMs, everyMs, clients) {
  return { title: `an event each ${everyMs} ms`, idleMs, everyMs, clients, spreadMs: everyMs };
}

/**
 * Events that leave about when the server closes: its close takes half a round trip to arrive. A connection is a round trip old when its
 * request leaves, and the answer leaves the server half a round trip later.
 */
function crossing(idleMs, clients) {
  return { title: 'events that cross the close', idleMs, everyMs: idleMs + ROUND_TRIP_MS, clients, spreadMs: 2 * ROUND_TRIP_MS };
}

/** The clients' events leave in one instant, after the loop was busy for longer than the server keeps a connection. */
async function busy(idleMs, relay) {
  const name = `server closes after ${idleMs} ms, host busy for ${idleMs + 200} ms between events${relay ? ', relay' : ''}`;
  await judge(name, () => start({ idleMs, clients: 20, everyMs: 300, busyMs: idleMs + 200, relay }), relay ? 0 : MOST_LOST);
}

async function frozen(idleMs, relay) {
  const begin = () => {
    const child = start({ idleMs, clients: 10, everyMs: 100, spreadMs: 100, relay, rounds: 60 });
    void freeze(child);
    return child;
  };
  await judge(`server closes after ${idleMs} ms, frozen four times for 1.5 s${relay ? ', relay' : ''}`, begin, MOST_LOST);
}

async function freeze(child) {
  await sleep(1500);
  for (let time = 0; time < 4; time += 1) {
    child.kill('SIGSTOP');
    await sleep(1500);
    child.kill('SIGCONT');
    await sleep(700);
  }
}

try {
  for (const idleMs of IDLE_MS) await lab.startServer({ kind: 'http', port: portsOf(idleMs), ports: MOST_CLIENTS, idleMs });
  await together(
    IDLE_MS.toReversed().flatMap((idleMs) => [
      crossing(idleMs, { 500: 10, 1000: 20, 2000: 20, 5000: 40 }[idleMs]),
      regular(idleMs, 1000, 20),
      regular(idleMs, 300, 10),
    ]),
  );
  await Promise.all([busy(500, false), busy(500, true)]);
  await Promise.all([500, 1000].flatMap((idleMs) => [frozen(idleMs, false), frozen(idleMs, true)]));
} finally {
  await lab.close();
}
for (const what of failures) console.log(`FAILED: ${what}`);
process.exitCode = failures.length === 0 ? 0 : 1;
