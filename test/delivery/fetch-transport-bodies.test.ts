import { gzipSync } from 'node:zlib';
import test from 'ava';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { startHttp, startTcp, until, writeForever } from '../helpers/loopback.js';
import { send, transportTo } from '../helpers/sending.js';

const SENT: SendOutcome = { kind: 'sent' };

test('a body of up to 64 KiB is read, and its connection used again', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(Buffer.alloc(65_536)));
  const transport = transportTo(t, server.port);
  for (let index = 0; index < 5; index += 1) t.deepEqual(await send(transport), SENT);
  t.is(server.connections.length, 1);
});

test('a longer body is cut, and its connection destroyed', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(Buffer.alloc(1_000_000)));
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport), SENT);
  t.deepEqual(await send(transport), SENT);
  t.is(server.connections.length, 2);
  await until(() => server.connections.every((socket) => socket.destroyed));
});

test('an endless body is cut long before the limit of time', async (t) => {
  const server = await startHttp(t, (_request, response) => writeForever(response));
  const started = performance.now();
  t.deepEqual(await send(transportTo(t, server.port)), SENT);
  t.true(performance.now() - started < 10_000);
  await until(() => server.connections.every((socket) => socket.destroyed));
});

for (const [status, outcome] of [
  [200, SENT],
  [404, { kind: 'rejected', reason: 'http_404' }],
  [503, { kind: 'retryable', reason: 'http_503' }],
] as const) {
  test(`a body that drips ends with the attempt, and ${status} stands`, async (t) => {
    const server = await startHttp(t, (_request, response) => {
      response.writeHead(status).write('x');
      const timer = setInterval(() => response.write('x'), 10);
      response.once('close', () => clearInterval(timer));
    });
    const started = performance.now();
    t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), outcome);
    t.true(performance.now() - started >= 599);
    t.true(performance.now() - started < 5000);
    await until(() => server.connections.every((socket) => socket.destroyed));
  });
}

test('a body that nobody sends ends with the attempt', async (t) => {
  const server = await startHttp(t, (_request, response) => response.writeHead(200, { 'content-length': '10' }).flushHeaders());
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), SENT);
});

const breaks: readonly (readonly [string, string])[] = [
  ['shorter than it said', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'],
  ['chunked without an end', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['of broken chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\nabc\r\n'],
];

for (const [name, text] of breaks) {
  test(`an event answered with 2xx is sent, though the body is ${name}`, async (t) => {
    const server = await startTcp(t, (socket) => {
      socket.once('data', () => socket.end(text));
    });
    t.deepEqual(await send(transportTo(t, server.port)), SENT);
  });
}

test('a reset in the body leaves the event sent', async (t) => {
  const server = await startTcp(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc', () => setTimeout(() => socket.resetAndDestroy(), 30));
    });
  });
  t.deepEqual(await send(transportTo(t, server.port)), SENT);
});

test('an abort in the body of a 2xx leaves the event sent', async (t) => {
  const server = await startHttp(t, (_request, response) => response.write('x'));
  const stop = new AbortController();
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), SENT);
  const sending = send(transport, undefined, stop.signal);
  await until(() => server.targets.length === 2);
  // The headers are written together with the first byte of the body; both are read within this time.
  setTimeout(() => stop.abort(), 200);
  t.deepEqual(await sending, SENT);
});

test('a gzip bomb is neither asked for nor decoded', async (t) => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  t.true(bomb.length < 65_536);
  const asked: unknown[] = [];
  const server = await startHttp(t, (request, response) => {
    asked.push(request.headers['accept-encoding']);
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
  });
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport), SENT);
  const before = process.cpuUsage();
  t.deepEqual(await send(transport), SENT);
  t.true(process.cpuUsage(before).user < 100_000);
  t.deepEqual(asked, [undefined, undefined]);
  t.is(server.connections.length, 1);
});
