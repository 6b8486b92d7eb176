// A program whose Object.prototype is polluted while Node runs callbacks of its own: while a request of a client is under way, and while
// a relay accepts a connection. Argument: JSON of names. The other side is a worker, whose Object.prototype is its own. It prints JSON.
import { Worker } from 'node:worker_threads';
import { createTelemetry } from '../../src/index.js';
import { createRelay } from '../../src/relay/index.js';

/** What the program saw with one name. */
export interface Seen {
  name: string;
  /** Of the client: events that were sent. */
  sent: number;
  /** Of the relay: statuses or codes of errors, with the pollution and without it. */
  answers: unknown[];
  refused: number;
}

const names = JSON.parse(process.argv[2] ?? '') as string[];
const failures: string[] = [];
process.on('uncaughtException', (error) => failures.push(`uncaught: ${error.message}`));
process.on('unhandledRejection', (error) => failures.push(`unhandled: ${String(error)}`));

/** Says its port, says when a request has arrived and answers when it is told to, and makes a request when it gets a port. */
const OTHER_SIDE = `
  const { parentPort } = require('node:worker_threads');
  const http = require('node:http');
  let response;
  const server = http.createServer((request, made) => {
    response = made;
    parentPort.postMessage('arrived');
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
  parentPort.on('message', (port) => {
    if (port === 0) return response.writeHead(200, { connection: 'close' }).end('ok');
    http
      .get({ host: '127.0.0.1', port, path: '/healthz', agent: false }, (answer) => {
        answer.resume().on('end', () => parentPort.postMessage(answer.statusCode));
      })
      .on('error', ({ code }) => parentPort.postMessage(code));
  });`;

const worker = new Worker(OTHER_SIDE, { eval: true });
let heard: (message: unknown) => void = () => {};
worker.on('message', (message: unknown) => heard(message));
const next = (): Promise<unknown> => new Promise((resolve) => (heard = resolve));

function pollute(name: string): void {
  // oxlint-disable-next-line eslint/no-extend-native -- this is the pollution
  Object.defineProperty(Object.prototype, name, { value: 1, configurable: true, enumerable: true, writable: true });
}

const port = await next();
const relay = createRelay({ listen: '127.0.0.1:0', forward: `http://127.0.0.1:${Number(port)}`, env: {} });
const address = await relay.listen();
const results: Seen[] = [];
for (const name of names) {
  const telemetry = createTelemetry({
    product: { name: 'acme', version: '1.0.0' },
    dbt: true,
    endpoint: `http://127.0.0.1:${Number(port)}`,
    env: {},
  });
  const arrived = next();
  telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
  const draining = telemetry.drain({ deadlineMs: 10_000 });
  await arrived;
  pollute(name);
  worker.postMessage(0); // oxlint-disable-line unicorn/require-post-message-target-origin -- a worker, no window
  await draining;
  Reflect.deleteProperty(Object.prototype, name);
  const { sent } = await telemetry.close();

  const answers: unknown[] = [];
  const refusedBefore = relay.stats().refusedConnections;
  for (const isPolluted of [true, false]) {
    const answered = next();
    if (isPolluted) pollute(name);
    worker.postMessage(address.port); // oxlint-disable-line unicorn/require-post-message-target-origin -- a worker, no window
    answers.push(await answered);
    Reflect.deleteProperty(Object.prototype, name);
  }
  results.push({ name, sent, answers, refused: relay.stats().refusedConnections - refusedBefore });
}
await relay.close();
await worker.terminate();
process.stdout.write(JSON.stringify({ results, failures }));
