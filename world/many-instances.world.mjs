// Many instances in one process: 200 clients, then 200 relays, each with 50 events at once, for one endpoint. With the default timeouts no
// event may fail. The endpoint is a process of its own, over http and over TLS, and near or 50 ms away.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { fileURLToPath } from 'node:url';

const root = new URL('..', import.meta.url);
const INSTANCES = 200;
const EVENTS = 50;
/** What all transports of one process have together. */
const MAX_CONNECTIONS = 256;
const CLOSE = { deadlineMs: 60_000 };
const EVENT = { status: 'success', task_count: 3, acme_task_count: 3 };

const [, file, ownRole, delayMs] = process.argv;
if (ownRole === 'endpoint') serve(createServer, Number(delayMs));
else if (ownRole === 'secure-endpoint') serve(secureServer, Number(delayMs));
else if (ownRole === 'run') await runAll();
else {
  // The certificate authority of the tests must be known when the process starts.
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: fileURLToPath(new URL('test/vectors/tls/authority.pem', root)) };
  const [code] = await once(fork(file, ['run'], { env }), 'exit');
  process.exitCode = code ?? 1;
}

async function runAll() {
  for (const [role, url, delay] of [
    ['endpoint', 'http://127.0.0.1', 0],
    ['endpoint', 'http://127.0.0.1', 50],
    ['secure-endpoint', 'https://localhost', 0],
    ['secure-endpoint', 'https://localhost', 50],
  ]) {
    await measure(`clients, ${url}, ${delay} ms`, role, url, delay, runClients);
  }
  await measure('relays, http://127.0.0.1, 0 ms', 'endpoint', 'http://127.0.0.1', 0, runRelays);
}

async function measure(name, role, url, delay, run) {
  const endpoint = fork(file, [role, String(delay)]);
  const [{ port }] = await once(endpoint, 'message');
  const startedAt = performance.now();
  const reports = await run(`${url}:${port}/up`);
  const tookMs = Math.round(performance.now() - startedAt);
  endpoint.send('report');
  const [{ requests, most }] = await once(endpoint, 'message');
  endpoint.disconnect();
  const total = (key) => reports.reduce((sum, report) => sum + report[key], 0);
  const counts = Object.fromEntries(['published', 'sent', 'failed', 'dropped', 'pending'].map((key) => [key, total(key)]));
  console.log(`${INSTANCES} ${name}: ${JSON.stringify(counts)}, ${requests} requests over ${most} connections at most, ${tookMs} ms`);
  const all = INSTANCES * EVENTS;
  assert.deepEqual(counts, { published: all, sent: all, failed: 0, dropped: 0, pending: 0 });
  assert.equal(requests, all);
  assert.ok(most <= 2 * MAX_CONNECTIONS, 'connections, those that are closing included');
}

async function runClients(endpoint) {
  const { createTelemetry } = await import(new URL('dist/index.js', root));
  const product = { name: 'acme', version: '1.0.0' };
  const all = Array.from({ length: INSTANCES }, () => createTelemetry({ product, endpoint, env: {} }));
  for (let count = 0; count < EVENTS; count += 1) for (const each of all) each.publish('dag_run', EVENT);
  return Promise.all(all.map((each) => each.close(CLOSE)));
}

async function runRelays(forward) {
  const { createRelay } = await import(new URL('dist/relay/index.js', root));
  const all = Array.from({ length: INSTANCES }, () => createRelay({ listen: '127.0.0.1:0', forward, env: {} }));
  const addresses = await Promise.all(all.map((each) => each.listen()));
  await Promise.all(addresses.map(({ port }) => postAll(port)));
  return Promise.all(all.map((each) => each.close(CLOSE)));
}

async function postAll(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  const statuses = await Promise.all(Array.from({ length: EVENTS }, () => get(port, agent)));
  agent.destroy();
  assert.deepEqual([...new Set(statuses)], [200]);
}

function get(port, agent) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent, path: '/v3/dag_run?status=success' }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    sent.on('error', reject).end();
  });
}

function secureServer(listener) {
  const [key, cert] = ['server-key.pem', 'server.pem'].map((name) => readFileSync(new URL(`test/vectors/tls/${name}`, root)));
  return createSecureServer({ key, cert }, listener);
}

function serve(create, delay) {
  let [requests, open, most] = [0, 0, 0];
  const server = create((_request, response) => {
    requests += 1;
    setTimeout(() => response.writeHead(204).end(), delay);
  });
  server.on('connection', (socket) => {
    open += 1;
    most = Math.max(most, open);
    socket.on('close', () => (open -= 1));
  });
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
  process.on('message', () => process.send({ requests, most }));
  process.on('disconnect', () => process.exit());
}
