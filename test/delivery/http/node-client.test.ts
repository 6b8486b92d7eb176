// The client of node:http alone, with which a relay forwards.
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { openNodeHttp } from '../../../src/delivery/http/client.js';
import type { Transport } from '../../../src/delivery/transport.js';
import { freePort, startHttp, until } from '../../helpers/loopback.js';
import { send, STILL, transportTo, unconnected } from '../../helpers/sending.js';

const ofNode = { ClientRequest: http.ClientRequest };

test.afterEach.always(() => {
  Object.assign(http, ofNode);
});

function overNodeHttp(t: ExecutionContext, port: number, options: Parameters<typeof transportTo>[2] = {}): Transport {
  return transportTo(t, port, options, { clock: STILL, load: openNodeHttp });
}

/** A server that never answers, and hands out the bytes of its first request. */
async function startRaw(t: ExecutionContext, answer = ''): Promise<{ port: number; bytes: () => string }> {
  let bytes = '';
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      bytes += chunk.toString('latin1');
      if (bytes.endsWith('\r\n\r\n')) socket.write(answer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, bytes: () => bytes };
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';

test.serial('it writes the same bytes as node-fetch', async (t) => {
  const first = await startRaw(t, OK);
  const second = await startRaw(t, OK);
  t.deepEqual(await send(transportTo(t, first.port, {}, { clock: STILL })), { kind: 'sent' });
  t.deepEqual(await send(overNodeHttp(t, second.port)), { kind: 'sent' });
  t.regex(second.bytes(), /^GET \/base\/v3\//);
  t.is(second.bytes(), first.bytes().replaceAll(`:${first.port}`, `:${second.port}`));
});

test.serial('statuses, headers and redirects lead to the same outcomes, over one connection', async (t) => {
  const server = await startHttp(t, (incoming, response) => {
    if (incoming.url === '/base/busy') response.writeHead(503, { 'retry-after': '7' }).end('busy');
    else if (incoming.url === '/base/moved') response.writeHead(307, { location: '/base/ok' }).end();
    else response.end('body');
  });
  const transport = overNodeHttp(t, server.port);
  t.deepEqual(await send(transport, '/busy'), { kind: 'deferred', waitMs: 7000, reason: 'http_503' });
  t.deepEqual(await send(transport, '/moved'), { kind: 'sent' });
  t.deepEqual(server.targets, ['/base/busy', '/base/moved', '/base/ok']);
  t.is(server.connections.length, 1);
});

test.serial('a request that is not written may be sent again; one that is reset may not', async (t) => {
  t.deepEqual(await send(overNodeHttp(t, await freePort())), unconnected('refused'));
  const server = await startHttp(t, ({ socket }) => socket.destroy());
  t.deepEqual(await send(overNodeHttp(t, server.port)), { kind: 'rejected', reason: 'network', cause: 'reset' });
});

test.serial('an answer that is no HTTP, and one that switches protocols, fail the event and close the connection', async (t) => {
  for (const answer of ['no HTTP\r\n\r\n', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n']) {
    const server = await startRaw(t, answer);
    const { kind, reason } = (await send(overNodeHttp(t, server.port))) as { kind: string; reason: string };
    t.deepEqual({ kind, reason }, { kind: 'rejected', reason: 'network' });
  }
});

test.serial('an attempt that is aborted closes its connection, and reports no error of its own', async (t) => {
  const server = await startHttp(t, () => undefined);
  const controller = new AbortController();
  const sending = send(overNodeHttp(t, server.port), '/silent', controller.signal);
  await until(() => server.targets.length === 1);
  controller.abort();
  t.deepEqual(await sending, { kind: 'aborted' });
  await until(() => server.connections.every((socket) => socket.destroyed));
});

// The types of Node leave the options out.
const Base = http.ClientRequest as unknown as new (url: URL, options: http.RequestOptions) => http.ClientRequest;

test.serial('a request over an agent of the host is counted as maybe written, and is closed when its time is up', async (t) => {
  Object.assign(http, {
    ClientRequest: class extends Base {
      constructor(url: URL, options: http.RequestOptions) {
        super(url, { ...options, agent: false });
      }
    },
  });
  t.deepEqual(await send(overNodeHttp(t, await freePort())), { kind: 'rejected', reason: 'network' });
  const server = await startHttp(t, (incoming, response) => {
    if (incoming.url === '/base/ok') response.end();
  });
  const transport = transportTo(t, server.port, { attemptTimeoutMs: 150 }, { load: openNodeHttp });
  t.deepEqual(await send(transport, '/ok'), { kind: 'sent' });
  t.deepEqual(await send(transport, '/silent'), { kind: 'rejected', reason: 'timeout' });
  await until(() => server.connections.every((socket) => socket.destroyed));
});

test.serial('what observes the requests of a host and listens to an answer gets it, too', async (t) => {
  const server = await startHttp(t, (_incoming, response) => response.writeHead(200).end('body'));
  const statuses: unknown[] = [];
  Object.assign(http, {
    ClientRequest: class extends Base {
      constructor(url: URL, options: http.RequestOptions) {
        super(url, options);
        this.once('response', ({ statusCode }) => statuses.push(statusCode));
      }
    },
  });
  t.deepEqual(await send(overNodeHttp(t, server.port)), { kind: 'sent' });
  t.deepEqual(statuses, [200]);
});

function refuse(): never {
  throw new Error('no requests here');
}

test.serial('a class of requests that throws ends the attempt, and nothing else', async (t) => {
  Object.assign(http, { ClientRequest: refuse });
  t.deepEqual(await send(overNodeHttp(t, await freePort())), { kind: 'rejected', reason: 'network' });
});
