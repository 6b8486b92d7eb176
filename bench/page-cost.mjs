// What the relay's page costs a relay while one client follows it: node bench/page-cost.mjs [--rounds N], after `npm run build`.
// Each round is one relay that forwards the same events alone, followed, followed and alone; the next round begins with a follower. The
// clients and the endpoint are other processes. It fails above the limit.
import { once } from 'node:events';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startCollector } from './harness/collector.mjs';
import { fill } from './harness/requests.mjs';
import { startServer, withFolder } from './harness/server.mjs';
import { ratios as ratiosOf, spread } from './harness/stats.mjs';

const WARM_UP = 10_000;
const EVENTS = 10_000;
const IDLE_MS = 5000;
const LOOK_MS = 50;
/** The most processor time an event with a follower, as a ratio. */
const MOST = 1.05;

const { values: given } = parseArgs({ options: { rounds: { type: 'string', default: '7' } } });
const rounds = Number(given.rounds);

/** Follows the page as a browser does, and reads all of it. @returns How to stop, and how many snapshots came. */
async function follow(url) {
  let frames = 0;
  const request = get(`${url}/status/events`);
  const [response] = await once(request, 'response');
  if (response.statusCode !== 200) throw new Error(`the stream answers ${response.statusCode}`);
  response.setEncoding('utf8').on('data', (text) => (frames += text.split('data: ').length - 1));
  response.on('error', () => {});
  await once(response, 'data');
  return () => {
    request.destroy();
    return frames;
  };
}

/** Sends events, waits until they are delivered, and returns the processor time of each in microseconds. */
async function cpuOf(relay, events) {
  const before = await relay.ask();
  const accepted = await fill(relay.url, events);
  if (accepted !== events) throw new Error(`the relay accepted ${accepted} of ${events}`);
  for (;;) {
    const now = await relay.ask();
    if (now.sent - before.sent === events) return (now.cpuUs - before.cpuUs) / events;
    await sleep(LOOK_MS);
  }
}

/** The processor time of a second without events, in microseconds. */
async function idle(relay) {
  const before = await relay.ask();
  const startedAtMs = performance.now();
  await sleep(IDLE_MS);
  const after = await relay.ask();
  return (after.cpuUs - before.cpuUs) / ((performance.now() - startedAtMs) / 1000);
}

const words = (values, digits) => {
  const { median, min, max } = spread(values);
  return `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
};

const collector = await startCollector({ kind: 'get' });
const alone = [];
const followed = [];
const idleAlone = [];
const idleFollowed = [];
let frames = 0;
for (let round = 0; round < rounds; round += 1) {
  await withFolder(async (folder) => {
    const relay = await startServer('relay', { forward: collector.url, spool: folder });
    try {
      await cpuOf(relay, WARM_UP);
      const sums = { alone: 0, followed: 0 };
      for (const isFollowed of round % 2 === 0 ? [false, true, true, false] : [true, false, false, true]) {
        const stop = isFollowed ? await follow(relay.url) : () => 0;
        sums[isFollowed ? 'followed' : 'alone'] += (await cpuOf(relay, EVENTS)) / 2;
        frames += stop();
        await sleep(LOOK_MS);
      }
      alone.push(sums.alone);
      followed.push(sums.followed);
      idleAlone.push(await idle(relay));
      const stop = await follow(relay.url);
      idleFollowed.push(await idle(relay));
      stop();
    } finally {
      await relay.close();
    }
  });
}
await collector.close();

const ratios = ratiosOf(followed, alone);
console.log(`${rounds} rounds of four times ${EVENTS} events, with ${frames} snapshots; median (lowest to highest)`);
console.log(`alone:    ${words(alone, 1)} us an event; idle ${words(idleAlone, 0)} us a second`);
console.log(`followed: ${words(followed, 1)} us an event; idle ${words(idleFollowed, 0)} us a second`);
console.log(`ratio:    ${words(ratios, 3)}, at most ${MOST}`);
process.exitCode = spread(ratios).median <= MOST ? 0 : 1;
