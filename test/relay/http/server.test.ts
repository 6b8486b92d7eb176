// The limits of the HTTP server, and input that is no HTTP.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Answers } from '../../../src/relay/http/answers.js';
import { boundedServer, startListening } from '../../../src/relay/http/server.js';
import { exchange, startRig, statuses } from '../helpers/relay-rig.js';
import { until } from '../helpers/until.js';

const EVENT = '/v3/dag_run?status=success';

/** A connection that sends its first bytes and then waits. */
function slow(t: ExecutionContext, port: number, first: string): { socket: Socket; received: () => string; closed: Promise<void> } {
  let received = '';
  const socket = connect(port, '127.0.0.1', () => socket.write(first));
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => (received += text));
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      resolve();
    });
  });
  t.teardown(() => socket.destroy());
  return { socket, received: () => received, closed };
}

test('a client that sends its head byte by byte is disconnected', async (t) => {
  const { port } = await startRig(t, { headersTimeoutMs: 300 });
  const { socket, received, closed } = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: `);
  const drip = setInterval(() => socket.write('x'), 20);
  t.teardown(() => clearInterval(drip));
  await closed;
  t.deepEqual(statuses(received()), [408]);
});

test('a silent connection and an idle one are closed', async (t) => {
  const { port } = await startRig(t, { headersTimeoutMs: 300, keepAliveTimeoutMs: 200 });
  const idle = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  const silent = slow(t, port, '');
  await idle.closed;
  t.deepEqual(statuses(idle.received()), [204]);
  await silent.closed;
  t.false(silent.received().includes('200'));
});

test('a connection beyond `maxConnections` is closed, until another one ends', async (t) => {
  const { port, get } = await startRig(t, { maxConnections: 3 });
  const held = Array.from({ length: 3 }, () => slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`));
  await until(() => held.every(({ received }) => received().includes(' 204 ')));
  const fourth = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await fourth.closed;
  t.is(fourth.received(), '');
  const [first] = held;
  first?.socket.destroy();
  await first?.closed;
  let status = 0;
  while (status !== 204)
    status = await get(EVENT).then(
      (answer) => answer.status,
      () => 0,
    );
  t.is(status, 204);
});

test('a client that never reads its answers is disconnected', async (t) => {
  const { port, get, relay } = await startRig(t, { maxConnections: 2, requestTimeoutMs: 300, headersTimeoutMs: 300 });
  const request = `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  // Whole requests, and requests that stop in the middle: the first time out in silence, the second are answered 408 first.
  const closed = [request.repeat(500), request.repeat(500).slice(0, -10)].map((text) => {
    const socket = connect(port, '127.0.0.1');
    const feed = (): void => {
      while (socket.write(text));
    };
    socket
      .on('connect', feed)
      .on('drain', feed)
      .on('error', () => undefined)
      .pause();
    t.teardown(() => socket.destroy());
    return new Promise<void>((resolve) => {
      socket.on('close', () => {
        resolve();
      });
    });
  });
  await Promise.all(closed);
  t.is((await get('/healthz')).status, 200);
  t.true((relay.stats().answers['200'] ?? 0) > 500);
});

test('a connection that cannot be accepted does not stop the server', async (t) => {
  const server = boundedServer(
    { maxConnections: 1, headersTimeoutMs: 1000, requestTimeoutMs: 1000, keepAliveTimeoutMs: 1000 },
    new Answers(),
    (_request, response) => response.end(),
  );
  const { port } = await startListening(server, { host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  t.notThrows(() => server.emit('error', Object.assign(new Error('accept ENOBUFS'), { code: 'ENOBUFS' })));
  t.regex(await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /);
});

test('requests of one connection are answered in order', async (t) => {
  const { port } = await startRig(t);
  const head = (target: string, more = '') => `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${more}\r\n`;
  const received = await exchange(port, head(EVENT) + head('/nowhere') + head('/healthz') + head(EVENT, 'Connection: close\r\n'));
  t.deepEqual(statuses(received), [204, 404, 200, 204]);
});

test('broken input after a request is answered after that request', async (t) => {
  const { port, store } = await startRig(t);
  const request = `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  for (const [behind, status] of [
    ['BAD\r\n\r\n', 400],
    [`CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n`, 405],
  ] as const) {
    t.deepEqual(statuses(await exchange(port, request + behind)), [204, status], behind);
  }
  t.is(store().nextSeq, 2);
});

test('an Expect header is ignored', async (t) => {
  const { port, relay } = await startRig(t);
  t.deepEqual(
    statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nExpect: miracles\r\nConnection: close\r\n\r\n`)),
    [204],
  );
  t.deepEqual(relay.stats().answers, { 204: 1 });
});
