import http from 'node:http';
import test from 'ava';
import { freePort, startHttp, until } from '../helpers/loopback.js';
import { send, transportTo } from '../helpers/sending.js';

const { request } = http;

test.afterEach.always(() => {
  http.request = request;
});

/** What a host may do to all requests of its process: here, take them to an agent of its own. */
function takeOver(): void {
  http.request = ((url: string, options: http.RequestOptions) => request(url, { ...options, agent: false })) as typeof request;
}

test.serial('a request that the host took over may have been written, whatever becomes of it', async (t) => {
  const transport = transportTo(t, await freePort());
  t.deepEqual(await send(transport), { kind: 'retryable', reason: 'connect' });
  takeOver();
  t.deepEqual(await send(transport), { kind: 'rejected', reason: 'network' });
});

test.serial('a request that the host took over is bounded and counted all the same', async (t) => {
  takeOver();
  const server = await startHttp(t, (incoming, response) => {
    if (incoming.url === '/base/ok') response.end();
  });
  const transport = transportTo(t, server.port, { attemptTimeoutMs: 150 });
  t.deepEqual(await send(transport, '/ok'), { kind: 'sent' });
  t.deepEqual(await send(transport, '/silent'), { kind: 'rejected', reason: 'timeout' });
  await until(() => server.connections.every((socket) => socket.destroyed));
});

/** What an instrumentation may do to all requests of its process: look on. */
function lookOn(seen: http.ClientRequest[], onAnswer?: (status: number | undefined) => void): void {
  http.request = ((url: string, options: http.RequestOptions) => {
    const made = request(url, options);
    seen.push(made);
    if (onAnswer !== undefined) made.once('response', ({ statusCode }) => onAnswer(statusCode));
    return made;
  }) as typeof request;
}

test.serial('an answer comes here alone: node-fetch makes nothing of it', async (t) => {
  const server = await startHttp(t, (_incoming, response) => response.writeHead(503, { 'retry-after': '7' }).end('busy'));
  const seen: http.ClientRequest[] = [];
  lookOn(seen);
  const sending = send(transportTo(t, server.port));
  await until(() => seen.length === 1);
  t.is(seen[0]?.listenerCount('response'), 1);
  t.deepEqual(await sending, { kind: 'deferred', waitMs: 7000, reason: 'http_503' });
});

test.serial('whoever looks on hears of an answer, too', async (t) => {
  const server = await startHttp(t, (incoming, response) =>
    response.writeHead(incoming.url === '/base/busy' ? 503 : 200, { 'retry-after': '7' }).end('body'),
  );
  const seen: http.ClientRequest[] = [];
  const statuses: unknown[] = [];
  lookOn(seen, (status) => statuses.push(status));
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport, '/ok'), { kind: 'sent' });
  t.deepEqual(await send(transport, '/busy'), { kind: 'deferred', waitMs: 7000, reason: 'http_503' });
  t.deepEqual(statuses, [200, 503]);
  t.is(server.connections.length, 1);
});
