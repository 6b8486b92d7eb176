// The store and the transport where the network refuses, is silent, resets, or the stream is full; and processes that end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import * as client from '@nats-io/transport-node';
import { createTelemetry } from '../dist/index.js';
import { jetstreamTransport } from '../dist/jetstream/index.js';
import { refusedPort, silentServer } from '../dist/testing/index.js';
import { Checks, EVENT, event, never, quick, startFront, startRelay, until } from './lib.mjs';
import { startNats } from './server.mjs';

const GRACE_MS = 50;
const nats = await startNats();
const checks = new Checks();
const { check } = checks;

try {
  // A relay, and a server that is away and comes back.
  for (const mode of ['reset', 'silent']) {
    const front = await startFront(nats.port);
    const { relay, ask, end } = await startRelay(front.url, { stream: `AWAY_${mode}` });
    check((await ask())[1].startsWith('accepted by the queue'), `${mode}: at first the queue takes an event`);
    check((await ask('/readyz'))[1].includes('before it is on disk'), `${mode}: /readyz says that the queue does not sync`);
    // A message that is lost on its way to the relay comes again only after the time that the server waits for its acknowledgement.
    check(await until(() => relay.stats().sent === 1), `${mode}: and the relay sends it`);
    front.set(mode);
    const startedAtMs = performance.now();
    const [status, text] = await ask();
    check(status === 200 && text === 'accepted in memory only', `${mode}: then it is in memory, and the answer says so`);
    check(performance.now() - startedAtMs < 1000, `${mode}: the client does not wait`);
    check(await until(async () => (await ask('/readyz'))[1].includes('cannot be reached')), `${mode}: /readyz says so`);
    const { published, pending, sent } = relay.stats();
    check(published === pending + sent, `${mode}: what is in memory is pending`);
    front.set('open');
    check(await until(() => relay.stats().sent >= 2), `${mode}: it is delivered when the queue is back`);
    const { report, isBalanced } = await end(1000);
    check(report.sent === 2 && report.dropped === 0 && isBalanced, `${mode}: the accounts balance`);
    front.end();
  }

  // No server at all: the relay starts, keeps events in memory, and counts at its end what it loses.
  {
    const { ask, end } = await startRelay(`nats://127.0.0.1:${await refusedPort()}`);
    check((await ask())[1] === 'accepted in memory only', 'refused: the event is in memory');
    const { report, tookMs, isBalanced } = await end(200);
    check(report.droppedBy.deadline === 1 && isBalanced, 'refused: it is counted as lost at the end');
    check(tookMs < 200 + 1000 + GRACE_MS, `refused: the close takes ${Math.round(tookMs)} ms`);
  }
  {
    const silent = await silentServer();
    const servers = silent.url.replace('http:', 'nats:');
    const required = await startRelay(servers, { required: true }).catch((error) => error);
    check(required.name === 'JetstreamError' && required.code === 'unreachable', `silent: ${required.message}`);
    const { ask, end } = await startRelay(servers);
    await ask();
    const { report, tookMs, isBalanced } = await end(100);
    check(report.dropped === 1 && isBalanced && tookMs < 100 + 1000 + GRACE_MS, `silent: the close takes ${Math.round(tookMs)} ms`);
    await silent.close();
  }

  // A full stream refuses, and has room again when its events are sent.
  {
    const connection = await client.connect({ servers: nats.url });
    const config = { name: 'FULL', subjects: ['FULL.events'], retention: 'workqueue', discard: 'new', storage: 'file', max_bytes: 4096 };
    await connection.request('$JS.API.STREAM.CREATE.FULL', JSON.stringify(config));
    const transport = jetstreamTransport({ ...quick, servers: nats.url, stream: 'FULL' });
    const outcome = await transport.send(
      Array.from({ length: 40 }, () => event()),
      never,
    );
    const kinds = outcome.outcomes.map(({ kind, reason }) => reason ?? kind);
    const taken = kinds.filter((kind) => kind === 'sent').length;
    check(
      taken > 0 && kinds.slice(taken).every((kind) => kind === 'stream_full'),
      `full: ${taken} of 40 are sent, the others may be retried`,
    );
    const { ask, relay, end } = await startRelay(nats.url, { stream: 'FULL' });
    check(await until(() => relay.stats().sent === taken), 'full: a relay sends what the host published');
    check((await ask())[1].startsWith('accepted by the queue'), 'full: there is room again');
    check((await end(1000)).isBalanced, 'full: the accounts balance');
    void transport.close();
    await connection.request(
      '$JS.API.STREAM.CREATE.LIMITS',
      JSON.stringify({ ...config, name: 'LIMITS', subjects: ['LIMITS.events'], retention: 'limits' }),
    );
    const unfit = await startRelay(nats.url, { stream: 'LIMITS' }).catch((error) => error);
    check(unfit.code === 'stream_unfit', `unfit: ${unfit.message}`);
    await connection.close();
  }

  // A repeat with the same id is stored once.
  {
    const transport = jetstreamTransport({ ...quick, servers: nats.url, stream: 'AWAY_reset' });
    const one = event();
    const kinds = [await transport.send([one], never), await transport.send([one], never)].map(({ kind }) => kind);
    const { relay, end } = await startRelay(nats.url, { stream: 'AWAY_reset' });
    await until(() => relay.stats().sent > 0);
    await sleep(200);
    check(kinds.join() === 'sent,sent' && relay.stats().sent === 1, 'a repeat with the same id is delivered once');
    await end(1000);
    void transport.close();
  }

  // Two relays that get the same event by POST: the queue takes its id once.
  {
    const relays = [await startRelay(nats.url, { stream: 'TWICE' }), await startRelay(nats.url, { stream: 'TWICE' })];
    const line = `${JSON.stringify({ id: crypto.randomUUID(), time: '2026-11-28T22:30:00.000Z', event: 'dag_run', status: 'success' })}\n`;
    const answers = [];
    for (const { url } of relays) {
      const headers = { 'content-type': 'application/x-ndjson' };
      const response = await fetch(`${url}/astronomer-cosmos/v3/events`, { method: 'POST', headers, body: line });
      answers.push(await response.text());
    }
    await until(() => relays.some(({ relay }) => relay.stats().sent > 0));
    await sleep(200);
    const reports = await Promise.all(relays.map(({ end }) => end(1000)));
    const counts = reports.map(({ report: { accepted, duplicates } }) => `${accepted}+${duplicates}`);
    const arrived = relays.reduce((sum, { collector }) => sum + collector.requests.length, 0);
    check(
      arrived === 1 && counts.join() === '1+0,0+1' && answers.every((text) => text.startsWith('accepted by the queue')),
      `the same event at two relays is delivered once; accepted + duplicates: ${counts.join(', ')}`,
    );
  }

  // The transport, whatever the network does: the outcome, and the end of the client within its deadline.
  const hung = await silentServer();
  const cut = await startFront(nats.port);
  cut.set('reset');
  const ways = {
    refused: [`nats://127.0.0.1:${await refusedPort()}`, 'connect'],
    silent: [hung.url.replace('http:', 'nats:'), 'connect'],
    reset: [cut.url, 'connect'],
  };
  for (const [name, [servers, reason]] of Object.entries(ways)) {
    const transport = jetstreamTransport({ ...quick, servers });
    const outcome = await transport.send([event()], never);
    void transport.close();
    check(outcome.kind === 'retryable' && outcome.reason === reason, `${name}: the outcome is ${outcome.reason}`);
    const telemetry = createTelemetry({
      product: { name: 'acme', version: '1.2.0' },
      transport: jetstreamTransport({ client, servers }),
      env: {},
    });
    telemetry.reportRun({ status: 'success', tasks: [{ taskId: 'build', owned: true, status: 'success' }] });
    const startedAtMs = performance.now();
    const { published, sent, failed, dropped } = await telemetry.close({ deadlineMs: 200 });
    const tookMs = performance.now() - startedAtMs;
    check(
      published > 0 && published === failed + dropped && sent === 0,
      `${name}: ${published} events, ${failed} failed, ${dropped} dropped`,
    );
    check(tookMs < 200 + GRACE_MS, `${name}: the client closes in ${Math.round(tookMs)} ms of 200`);
  }
  await hung.close();
  cut.end();

  // A process that sent an event, and neither drains nor closes, ends by itself.
  const ending = `
    import * as client from '@nats-io/transport-node';
    import { jetstreamTransport } from '../dist/jetstream/index.js';
    const transport = jetstreamTransport({ client, servers: '${nats.url}', stream: 'FULL' });
    const event = { id: crypto.randomUUID(), type: 'dag_run', metrics: {}, requestTarget: () => '${EVENT}' };
    const { kind } = await transport.send([event], new AbortController().signal);
    console.log(kind, performance.now());
    process.on('exit', () => console.log('ends', performance.now()));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', ending], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  const overdue = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await once(child, 'close');
  clearTimeout(overdue);
  const [, sentAt, endedAt] = /^sent ([\d.]+)\nends ([\d.]+)/.exec(output) ?? [];
  check(Number(endedAt) - Number(sentAt) < GRACE_MS, `an idle connection holds no process (${output.trim().replaceAll('\n', ', ')})`);
} finally {
  await nats.end();
}
process.exitCode = checks.isFine ? 0 : 1;
