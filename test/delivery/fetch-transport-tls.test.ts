import test from 'ava';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { startHttp, startTcp, tlsPath } from '../helpers/loopback.js';
import { runSender } from '../helpers/run-sender.js';
import { send, transportTo } from '../helpers/sending.js';

const SENT: SendOutcome = { kind: 'sent' };
const CONNECT: SendOutcome = { kind: 'retryable', reason: 'connect' };

test('a private authority is trusted by NODE_EXTRA_CA_CERTS, and one connection serves many sends', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const job = { options: { endpoint: `https://collector.test:${server.port}/base` }, sends: 3 };
  const end = await runSender(t, job, { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname });
  t.deepEqual(end.outcomes, [SENT, SENT, SENT]);
  t.is(server.connections.length, 1);
  t.is(end.code, 0);
  t.is(end.stderr, '');
});

test('a certificate for another name was not written to', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const job = { options: { endpoint: `https://other.test:${server.port}` } };
  const end = await runSender(t, job, { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname });
  t.deepEqual(end.outcomes, [CONNECT]);
  t.is(server.targets.length, 0);
});

test('a certificate that nobody vouches for was not written to', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  t.deepEqual(await send(transportTo(t, 0, { endpoint: `https://127.0.0.1:${server.port}` })), CONNECT);
  t.is(server.targets.length, 0);
});

test('a server that speaks no TLS was not written to', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end());
  t.deepEqual(await send(transportTo(t, 0, { endpoint: `https://127.0.0.1:${server.port}` })), CONNECT);
  t.is(server.targets.length, 0);
});

test('a handshake that is broken off was not written to', async (t) => {
  for (const breakOff of ['end', 'resetAndDestroy'] as const) {
    const server = await startTcp(t, (socket) => {
      socket.once('data', () => socket[breakOff]());
    });
    t.deepEqual(await send(transportTo(t, 0, { endpoint: `https://127.0.0.1:${server.port}` })), CONNECT);
  }
});

test('a handshake that never ends is cut by the connect timeout', async (t) => {
  const server = await startTcp(t, (socket) => socket.resume());
  const started = performance.now();
  const options = { endpoint: `https://127.0.0.1:${server.port}`, connectTimeoutMs: 80 };
  t.deepEqual(await send(transportTo(t, 0, options)), CONNECT);
  t.true(performance.now() - started < 5000);
});

test('a plain endpoint that speaks TLS ends unknown: it has read the request', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const outcome = await send(transportTo(t, server.port));
  t.deepEqual(outcome, { kind: 'rejected', reason: 'network' });
});
