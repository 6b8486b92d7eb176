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
