import { connect } from 'node:net';
import type { Socket } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { until } from './helpers/until.js';
import { Answers } from '../../src/relay/http/answers.js';
import { boundedServer, listenAt } from '../../src/relay/http/server.js';
import { exchange, startRig, statuses } from './helpers/relay-rig.js';

const EVENT = '/v3/dag_run?status=success';

/** A connection that says what it is told to say, and no more. */
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

test('a client that sends its head byte by byte is cut off', async (t) => {
  const { port } = await startRig(t, { headersTimeoutMs: 300 });
  const { socket, received, closed } = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: `);
  const drip = setInterval(() => socket.write('x'), 20);
  t.teardown(() => clearInterval(drip));
  await closed;
  t.deepEqual(statuses(received()), [408]);
});

test('a connection that says nothing, and one that is done, are let go', async (t) => {
  const { port } = await startRig(t, { headersTimeoutMs: 300, keepAliveTimeoutMs: 200 });
  const idle = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  const silent = slow(t, port, '');
  await idle.closed;
  t.deepEqual(statuses(idle.received()), [204]);
  await silent.closed;
  t.false(silent.received().includes('200'));
});

test('there are so many connections and no more, and room is made when one goes', async (t) => {
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

test('a client that asks and never reads the answers is cut off', async (t) => {
  const { port, get, relay } = await startRig(t, { maxConnections: 2, requestTimeoutMs: 300, headersTimeoutMs: 300 });
  const request = `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  // Whole requests, and such as stop in the middle: the one is cut by silence, the other is told first that it took too long.
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

test('a connection that cannot be accepted does not end the server', async (t) => {
  const server = boundedServer(
    { maxConnections: 1, headersTimeoutMs: 1000, requestTimeoutMs: 1000, keepAliveTimeoutMs: 1000 },
    new Answers(),
    (_request, response) => response.end(),
  );
  const { port } = await listenAt(server, { host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  t.notThrows(() => server.emit('error', Object.assign(new Error('accept ENOBUFS'), { code: 'ENOBUFS' })));
  t.regex(await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /);
});

test('requests of one connection are answered in their order', async (t) => {
  const { port } = await startRig(t);
  const head = (target: string, more = '') => `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${more}\r\n`;
  const received = await exchange(port, head(EVENT) + head('/nowhere') + head('/healthz') + head(EVENT, 'Connection: close\r\n'));
  t.deepEqual(statuses(received), [204, 404, 200, 204]);
});
