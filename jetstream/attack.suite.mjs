// What an operator, a server, or the network may do to a queue that relays share: each time the accounts of every relay balance, no confirmed
// event is missing, and what comes twice is counted.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import * as client from '@nats-io/transport-node';
import { jetstreamTransport } from '../dist/jetstream/index.js';
import { startCollector } from '../dist/testing/index.js';
import { accountOf } from './accounts.mjs';
import { Checks, event, never, quick, startFront, startRelay, until } from './lib.mjs';
import { startNats } from './server.mjs';

const folder = mkdtempSync(join(tmpdir(), 'cosmos-nats-attack-'));
const nats = await startNats();
const checks = new Checks();
const { check } = checks;
const operator = await client.connect({ servers: nats.url });

async function api(what, body) {
  const answer = await operator.request(`$JS.API.${what}`, body === undefined ? '' : JSON.stringify(body), { timeout: 5000 });
  return answer.json();
}

const configOf = (name, more) => ({
  name,
  subjects: [`${name}.events`],
  retention: 'workqueue',
  discard: 'new',
  storage: 'file',
  max_bytes: 2 ** 20,
  ...more,
});

const numbered = (count, more = '') => `/v3/dag_run?status=success&task_count=${count}${more}`;
const numbersAt = ({ requests }) => requests.map(({ url }) => Number(/task_count=(\d+)/.exec(url)?.[1]));
const isQueued = ([status, text]) => status === 204 || text.startsWith('accepted by the queue');

/** The stream is deleted while relays use it; once more while they hold events whose number comes again. */
async function deletedStream() {
  const { ask, collector, relay, end } = await startRelay(nats.url, { stream: 'DELETED' });
  await ask(numbered(1));
  await until(() => relay.stats().sent === 1);
  await api('STREAM.DELETE.DELETED');
  const answer = await ask(numbered(2));
  check(answer[1] === 'accepted in memory only', 'stream deleted: the event is in memory');
  check(await until(() => relay.stats().sent === 2), 'stream deleted: it is made anew, and the event delivered');
  check(isQueued(await ask(numbered(3))), 'stream deleted: the queue takes events again');
  check(await until(() => relay.stats().sent === 3), 'stream deleted: an event whose number there was before is delivered');
  const { report, isBalanced } = await end(1000);
  check(isBalanced && numbersAt(collector).join() === '1,2,3', `stream deleted: the accounts balance (${report.sent} sent)`);
}

/** The events that a relay holds are all that is left of a stream which was deleted. */
async function heldOfDeletedStream() {
  const hung = await startSlow();
  const { ask, relay, end } = await startRelay(nats.url, { stream: 'ORPHANS' }, { forward: hung.url, attemptTimeoutMs: 20_000 });
  for (let count = 1; count <= 3; count += 1) await ask(numbered(count));
  await until(() => relay.stats().published === 3);
  await api('STREAM.DELETE.ORPHANS');
  await ask(numbered(4));
  check(
    await until(() => relay.stats().store.queue.isReachable && relay.stats().store.queue.held === 0),
    'orphans: the stream is made anew',
  );
  const { report, isBalanced } = await end(300);
  const { published, pending, sent, droppedBy } = report;
  // The first three are nowhere now. The fourth is in the new stream.
  check(
    isBalanced && published === 4 && sent === 0 && report.failed + (droppedBy.deadline ?? 0) >= 3 && pending <= 1,
    `orphans: ${published} published, ${report.failed} failed, dropped ${JSON.stringify(droppedBy)}, ${pending} pending`,
  );
  hung.end();
}

/** The consumer is deleted: it is made anew, and what waits comes again. */
async function deletedConsumer() {
  const { ask, collector, relay, end } = await startRelay(nats.url, { stream: 'CONSUMER' });
  await ask(numbered(1));
  await until(() => relay.stats().sent === 1);
  await api('CONSUMER.DELETE.CONSUMER.relays');
  await ask(numbered(2));
  check(await until(() => relay.stats().sent === 2, 20_000), 'consumer deleted: it is made anew, and the event delivered');
  const { isBalanced } = await end(1000);
  check(isBalanced && numbersAt(collector).join() === '1,2', 'consumer deleted: the accounts balance');
}

async function otherSettings() {
  const log = [];
  const logger = { debug: () => undefined, warn: (text) => log.push(text) };
  const { ask, relay, end } = await startRelay(nats.url, { stream: 'OTHER' }, { logger });
  await ask(numbered(1));
  await until(() => relay.stats().sent === 1);
  await api('STREAM.DELETE.OTHER');
  await api('STREAM.CREATE.OTHER', configOf('OTHER', { retention: 'limits' }));
  // The first is taken by what is there now; the relay sees it when it is asked for events, or when it connects.
  await api('CONSUMER.DELETE.OTHER.relays');
  // It finds out when its request for events has no sign of life.
  await until(() => !relay.stats().store.queue.isReachable, 20_000);
  check((await ask(numbered(2)))[1] === 'accepted in memory only', 'other settings: the event is in memory');
  check((await ask('/readyz'))[1].includes('cannot be reached'), 'other settings: /readyz says that there is no queue');
  await api('STREAM.DELETE.OTHER');
  check(await until(() => relay.stats().sent === 2), 'other settings: without that stream the relay makes its own');
  check((await end(1000)).isBalanced, 'other settings: the accounts balance');
  for (const { title, consumer, words } of [
    { title: 'a consumer that gives events up', consumer: { max_deliver: 3 }, words: 'max_deliver' },
    { title: 'a consumer that is not asked', consumer: { deliver_subject: 'elsewhere' }, words: 'asked for events' },
  ]) {
    const name = `CONSUMER_${words.slice(0, 3)}`;
    await api(`STREAM.CREATE.${name}`, configOf(name));
    const config = { durable_name: 'relays', ack_policy: 'explicit', deliver_policy: 'all', ...consumer };
    await api(`CONSUMER.DURABLE.CREATE.${name}.relays`, { stream_name: name, config });
    const error = await startRelay(nats.url, { stream: name }).catch((caught) => caught);
    check(error.code === 'stream_unfit' && error.message.includes(words), `${title}: ${error.message}`);
  }
}

/** The endpoint is slower than the server waits: the events are redelivered to nobody while their relay lives. */
async function slowEndpoint() {
  const options = { stream: 'SLOW', ackWaitMs: 1000 };
  const relays = [];
  for (let index = 0; index < 2; index += 1)
    relays.push(await startRelay(nats.url, options, { attemptTimeoutMs: 20_000, concurrency: 2, forward: slow.url }));
  for (let count = 1; count <= 4; count += 1) await relays[0].ask(numbered(count));
  await until(() => slow.numbers.length >= 2);
  await sleep(3500);
  slow.answer();
  await until(() => slow.numbers.length >= 4);
  await sleep(300);
  const reports = await Promise.all(relays.map(({ end }) => end(3000)));
  const twice = reports.reduce((sum, { report }) => sum + report.store.maybeSentTwice, 0);
  check(
    [1, 2, 3, 4].every((count) => slow.numbers.filter((each) => each === count).length === 1) &&
      twice === 0 &&
      reports.every(({ isBalanced }) => isBalanced),
    `slow endpoint: each event is sent once in ${slow.numbers.length} requests, ${twice} count as maybe twice`,
  );
}

/** An endpoint that answers when it is told to. */
async function startSlow() {
  const numbers = [];
  const waiting = [];
  let isOpen = false;
  const server = createHttpServer((request, response) => {
    numbers.push(Number(/task_count=(\d+)/.exec(request.url)?.[1]));
    if (isOpen) response.end();
    else waiting.push(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    numbers,
    answer: () => {
      isOpen = true;
      for (const response of waiting.splice(0)) response.end();
    },
    end: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A server whose messages are small: events at its limit, with headers above it, and far above it. */
async function limits() {
  const small = await startNats(['-c', write('small.conf', 'max_payload: 4096')]);
  try {
    const transport = jetstreamTransport({ ...quick, servers: small.url, stream: 'SMALL' });
    const { ask, relay, end } = await startRelay(small.url, { stream: 'SMALL' }, { verbatim: true });
    const outcomeOf = async (bytes) => {
      const outcome = await transport.send([event(numbered(1, `&x=${'x'.repeat(bytes)}`).slice(0, bytes))], never);
      const { kind, reason } = outcome.outcomes?.[0] ?? outcome;
      return reason ?? kind;
    };
    const seen = {};
    for (const bytes of [3800, 3950, 4090, 4096, 4097, 10_000_000]) seen[bytes] = await outcomeOf(bytes);
    check(
      seen[3800] === 'sent' && Object.entries(seen).every(([bytes, what]) => Number(bytes) === 3800 || what === 'too_large'),
      `a server with messages of 4096 bytes: ${JSON.stringify(seen)}`,
    );
    check((await ask(numbered(1, `&x=${'x'.repeat(4050)}`)))[0] === 503, 'an event that its headers make too large is refused');
    check(relay.stats().store.queue.isReachable && isQueued(await ask(numbered(2))), 'and the connection is kept');
    // Accepted while the limit is not known, and too large when it is.
    await small.stop();
    await until(() => !relay.stats().store.queue.isReachable);
    const [, text] = await ask(numbered(3, `&x=${'x'.repeat(4050)}`));
    await small.start();
    await until(() => relay.stats().store.queue.isReachable && relay.stats().store.queue.held === 0);
    const { report, isBalanced } = await end(1000);
    check(
      text === 'accepted in memory only' && report.droppedBy.unreadable === 1 && isBalanced,
      `an event in memory that proves too large is dropped and counted: ${JSON.stringify(report.droppedBy)}`,
    );
    void transport.close();
  } finally {
    await small.end();
  }
}

/** What an account may store. */
async function accountLimits() {
  const none = accountOf({ mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 });
  const little = accountOf({ mem_storage: 0, disk_storage: 20_000, streams: 1, consumer: 1 });
  for (const { title, account } of [
    { title: 'an account without JetStream', account: none },
    { title: 'an account with little room', account: little },
  ]) {
    const server = await startNats(['-c', write(`${account === none ? 'none' : 'little'}.conf`, account.config)]);
    const credentialsFile = write('limited.creds', account.credentials);
    try {
      const started = await startRelay(server.url, { credentialsFile }).catch((error) => error);
      check(started.code === 'stream_unfit', `${title}: ${started.message}`);
      if (account === none) continue;
      const own = await client.connect({ servers: server.url, authenticator: client.credsAuthenticator(Buffer.from(account.credentials)) });
      await own.request('$JS.API.STREAM.CREATE.COSMOS_TELEMETRY', JSON.stringify(configOf('COSMOS_TELEMETRY', { max_bytes: -1 })));
      await own.close();
      const hung = await startSlow();
      const { ask, end } = await startRelay(server.url, { credentialsFile }, { forward: hung.url });
      const answers = [];
      for (let count = 0; count < 120; count += 1) answers.push(await ask(numbered(count, `&x=${'x'.repeat(300)}`)));
      const taken = answers.filter(isQueued).length;
      const refused = answers.filter(([status]) => status === 503).length;
      hung.answer();
      await until(() => hung.numbers.length === taken);
      const { isBalanced } = await end(2000);
      check(taken > 10 && refused > 10 && taken + refused === 120, `${title}: ${taken} taken, ${refused} refused with 503`);
      check(isBalanced && hung.numbers.length === taken, `${title}: what was taken is delivered`);
      hung.end();
    } finally {
      await server.end();
    }
  }
}

/** Connections that end at once: a relay dials more and more seldom. */
async function reconnectStorm() {
  let dials = 0;
  const server = createServer((socket) => {
    dials += 1;
    socket.on('error', () => undefined);
    const inner = connect(nats.port, '127.0.0.1');
    inner.on('error', () => undefined);
    socket.on('data', (bytes) => inner.write(bytes));
    inner.on('data', (bytes) => socket.write(bytes));
    socket.on('close', () => inner.destroy());
    // Long enough to find the stream, and to be taken for a success.
    setTimeout(() => socket.destroy(), 60).unref();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { end, ask } = await startRelay(`nats://127.0.0.1:${server.address().port}`, { stream: 'STORM' });
  await ask(numbered(1));
  await sleep(5000);
  const { isBalanced } = await end(500);
  check(dials <= 12 && isBalanced, `connections that end after 60 ms: ${dials} dials in 5 s, and the accounts balance`);
  server.close();
}

/** The connection ends after each message, one after the other; everything that was confirmed arrives, and what arrives twice is counted. */
async function cutAnywhere() {
  const bad = [];
  let cuts = 0;
  for (let after = 1; after <= 24; after += 1) {
    const front = await startFront(nats.port);
    const stream = `CUT_${after}`;
    const { ask, collector, relay, end } = await startRelay(front.url, { stream, publishTimeoutMs: 400, ackWaitMs: 1000 });
    front.cutAfter(after);
    const confirmed = [];
    for (let count = 1; count <= 4; count += 1) {
      const [status] = await ask(numbered(count));
      if (status === 200) confirmed.push(count);
    }
    await until(() => relay.stats().sent >= confirmed.length && relay.stats().store.queue.held === 0, 5000);
    const { report, isBalanced } = await end(1000);
    const arrived = numbersAt(collector);
    const twice = arrived.length - new Set(arrived).size;
    cuts += front.cuts;
    const isMissing = confirmed.some((count) => !arrived.includes(count));
    if (!isBalanced || isMissing || twice > report.store.maybeSentTwice) bad.push(`${after}: ${arrived.join()} of ${confirmed.join()}`);
    front.end();
  }
  check(bad.length === 0 && cuts >= 12, `cut after each of 24 messages (${cuts} cuts): ${bad.join('; ') || 'nothing is missing'}`);
}

/** A relay is killed after each message; another one delivers what the queue confirmed. */
async function killedAnywhere() {
  const collector = await startCollector();
  const bad = [];
  for (let after = 1; after <= 10; after += 1) {
    const front = await startFront(nats.port);
    const options = { servers: front.url, forward: collector.url, stream: `KILL_${after}`, ackWaitMs: 1000 };
    const child = spawn(process.execPath, [join(import.meta.dirname, 'relay-program.mjs'), JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    const [url] = await once(createInterface({ input: child.stdout }), 'line');
    front.cutAfter(2 * after, () => child.kill('SIGKILL'));
    const confirmed = [];
    for (let count = 1; count <= 5; count += 1) {
      try {
        const response = await fetch(`${url}${numbered(1000 * after + count)}`);
        if ((await response.text()).startsWith('accepted by the queue')) confirmed.push(1000 * after + count);
      } catch {
        // It is dead.
      }
    }
    child.kill('SIGKILL');
    await ended;
    const { relay, end } = await startRelay(nats.url, { stream: options.stream }, { forward: collector.url });
    await until(() => confirmed.every((count) => numbersAt(collector).includes(count)), 5000);
    const missing = confirmed.filter((count) => !numbersAt(collector).includes(count));
    const mine = numbersAt(collector).filter((count) => Math.trunc(count / 1000) === after);
    const twice = mine.length - new Set(mine).size;
    if (missing.length > 0 || twice > relay.stats().store.maybeSentTwice) bad.push(`${after}: missing ${missing.join()}, ${twice} twice`);
    if (!(await end(1000)).isBalanced) bad.push(`${after}: unbalanced`);
    front.end();
  }
  await collector.close();
  check(bad.length === 0, `killed after each of 10 moments: ${bad.join('; ') || 'no confirmed event is missing, doubles are counted'}`);
}

function write(name, text) {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const slow = await startSlow();
try {
  for (const attack of [
    deletedStream,
    heldOfDeletedStream,
    deletedConsumer,
    otherSettings,
    slowEndpoint,
    limits,
    accountLimits,
    reconnectStorm,
    cutAnywhere,
    killedAnywhere,
  ])
    await attack();
} finally {
  slow.end();
  await operator.close();
  await nats.end();
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = checks.isFine ? 0 : 1;
