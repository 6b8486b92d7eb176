import test from 'ava';
import type { FetchTransportParts } from '../../src/delivery/http/fetch-transport.js';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { startHttp, until, writeForever } from '../helpers/loopback.js';
import { send, transportTo } from '../helpers/sending.js';

const SENT: SendOutcome = { kind: 'sent' };
const REFUSED: SendOutcome = { kind: 'rejected', reason: 'redirect_refused' };

/** Every name is this machine. */
const lookup: NonNullable<FetchTransportParts['lookup']> = (_name, options, callback) => {
  const address = { address: '127.0.0.1', family: 4 };
  process.nextTick(() => (options.all === true ? callback(null, [address]) : callback(null, address.address, 4)));
};

for (const status of [301, 302, 303, 307, 308]) {
  test(`${status} within the endpoint's origin is followed by the same connection`, async (t) => {
    const server = await startHttp(t, (request, response) => {
      if (request.url?.startsWith('/moved') === true) response.end('ok');
      else response.writeHead(status, { location: '/moved?a=%252B&b=%2A+c' }).end('gone there');
    });
    t.deepEqual(await send(transportTo(t, server.port), '/v3/x?a=%252B'), SENT);
    t.deepEqual(server.targets, ['/base/v3/x?a=%252B', '/moved?a=%252B&b=%2A+c']);
    t.is(server.connections.length, 1);
  });
}

for (const status of [300, 304, 305]) {
  test(`${status} is an answer, not a redirect`, async (t) => {
    const server = await startHttp(t, (_request, response) => response.writeHead(status, { location: '/moved' }).end());
    t.deepEqual(await send(transportTo(t, server.port)), { kind: 'rejected', reason: `http_${status}` });
    t.is(server.targets.length, 1);
  });
}

test('three hops are followed, a fourth is not', async (t) => {
  let hops = 0;
  const server = await startHttp(t, (request, response) => {
    const left = Number(request.url?.slice(-1));
    hops += 1;
    if (left === 0) response.end();
    else response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport, '/3'), SENT);
  t.is(hops, 4);
  t.deepEqual(await send(transport, '/4'), REFUSED);
  t.is(hops, 8);
});

test('a loop ends', async (t) => {
  const server = await startHttp(t, (request, response) => response.writeHead(307, { location: request.url }).end());
  t.deepEqual(await send(transportTo(t, server.port)), REFUSED);
  t.is(server.targets.length, 4);
});

test('another host is never contacted, unless it is allowed', async (t) => {
  const other = await startHttp(t, (_request, response) => response.end());
  const server = await startHttp(t, (_request, response) => {
    response.writeHead(302, { location: `http://other.test:${other.port}/x` }).end();
  });
  t.deepEqual(await send(transportTo(t, server.port, {}, { lookup })), REFUSED);
  // Allowed hosts are so on the default port only.
  t.deepEqual(await send(transportTo(t, server.port, { allowedRedirectHosts: ['other.test'] }, { lookup })), REFUSED);
  t.is(other.connections.length, 0);
});

test('an allowed host is contacted, and one that cannot be reached has got nothing', async (t) => {
  const names: string[] = [];
  const server = await startHttp(t, (_request, response) => response.writeHead(302, { location: 'http://Other.TEST/x' }).end());
  const transport = transportTo(
    t,
    server.port,
    { allowedRedirectHosts: ['other.test'] },
    {
      lookup: (name, _options, callback) => {
        names.push(name);
        process.nextTick(callback, new Error('unknown'), '');
      },
    },
  );
  t.deepEqual(await send(transport), { kind: 'retryable', reason: 'connect' });
  t.deepEqual(names, ['other.test']);
});

test('a proxied chain reaches an allowed host, with the query of the Location as it was', async (t) => {
  const proxy = await startHttp(t, (request, response) => {
    if (request.url?.startsWith('http://other.test/') === true) response.end();
    else response.writeHead(308, { location: 'http://other.test/v3/x?a=%252B&b=%2A' }).end();
  });
  const options = { endpoint: 'http://collector.test', allowedRedirectHosts: ['other.test'], proxy: `http://127.0.0.1:${proxy.port}` };
  t.deepEqual(await send(transportTo(t, 0, options), '/v3/x?a=1'), SENT);
  t.deepEqual(proxy.targets, ['http://collector.test/v3/x?a=1', 'http://other.test/v3/x?a=%252B&b=%2A']);
});

for (const location of ['http://me:secret@127.0.0.1:PORT/x', 'http://127.0.0.1:1/x', 'http://[bad', 'file:///etc/passwd', undefined]) {
  test(`a redirect to ${String(location)} is refused`, async (t) => {
    const server = await startHttp(t, (request, response) => {
      const port = request.socket.localPort ?? 0;
      response.writeHead(302, location === undefined ? {} : { location: location.replace('PORT', String(port)) }).end();
    });
    t.deepEqual(await send(transportTo(t, server.port)), REFUSED);
    t.is(server.targets.length, 1);
  });
}

test('a redirect with an endless body is followed by a new connection, and the old one destroyed', async (t) => {
  const server = await startHttp(t, (request, response) => {
    if (request.url === '/end') response.end();
    else writeForever(response.writeHead(302, { location: '/end' }));
  });
  t.deepEqual(await send(transportTo(t, server.port)), SENT);
  t.is(server.connections.length, 2);
  await until(() => server.connections[0]?.destroyed === true);
});

test('all hops share the one limit of time', async (t) => {
  const server = await startHttp(t, (request, response) => {
    setTimeout(() => response.writeHead(302, { location: request.url }).end(), 250);
  });
  const started = performance.now();
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), { kind: 'rejected', reason: 'timeout' });
  t.true(performance.now() - started < 5000);
  t.true(server.targets.length <= 3);
});
