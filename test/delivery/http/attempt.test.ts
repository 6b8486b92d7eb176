import type { RequestListener } from 'node:http';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import type { FetchTransportParts } from '../../../src/delivery/http/fetch-transport.js';
import type { SendOutcome } from '../../../src/delivery/transport.js';
import { freePort, startHttp, startTcp, until, writeForever } from '../../helpers/loopback.js';
import { send, STILL, transportTo, unconnected } from '../../helpers/sending.js';
import { proves } from '../../helpers/promises.js';
import { settle } from '../../helpers/virtual-clock.js';

const ok: RequestListener = (_request, response) => {
  response.end('ok');
};

const SENT: SendOutcome = { kind: 'sent' };
const CONNECT: SendOutcome = { kind: 'retryable', reason: 'connect' };
const NETWORK = { kind: 'rejected', reason: 'network' } as const;
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };
const REFUSED: SendOutcome = { kind: 'rejected', reason: 'redirect_refused' };

test('an event is one GET of the base and its target, byte for byte, with nothing that distinguishes senders', async (t) => {
  const target = '/v3/dag_run?airflow_version=2.10.1%252Bastro.1&a=b+c%2A~d&e=%27f%27&g=';
  const seen: unknown[] = [];
  const server = await startHttp(t, (request, response) => {
    seen.push(request.method, request.url, request.headers);
    response.end();
  });
  const transport = transportTo(t, server.port);
  t.is(transport.maxBatchSize, 1);
  t.deepEqual(await send(transport, target), SENT);
  const headers = { accept: '*/*', connection: 'keep-alive', host: `127.0.0.1:${server.port}`, 'user-agent': 'cosmos-telemetry' };
  t.deepEqual(seen, ['GET', `/base${target}`, headers]);
});

const answers: readonly (readonly [number, Record<string, string>, SendOutcome])[] = [
  [200, {}, SENT],
  [204, {}, SENT],
  [304, {}, { kind: 'rejected', reason: 'http_304' }],
  [404, { 'retry-after': '7' }, { kind: 'rejected', reason: 'http_404' }],
  [407, {}, { kind: 'rejected', reason: 'http_407' }],
  [503, {}, { kind: 'retryable', reason: 'http_503' }],
  [511, {}, { kind: 'rejected', reason: 'http_511' }],
  [521, {}, { kind: 'retryable', reason: 'http_521' }],
  [530, { 'retry-after': '7' }, { kind: 'deferred', waitMs: 7000, reason: 'http_530' }],
  [429, { 'retry-after': 'rubbish' }, { kind: 'retryable', reason: 'http_429' }],
  [429, { 'retry-after': '7' }, { kind: 'deferred', waitMs: 7000, reason: 'http_429' }],
  [503, { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }, { kind: 'deferred', waitMs: 20_000, reason: 'http_503' }],
  [
    503,
    { date: 'Fri, 01 Jan 2027 00:00:00 GMT', 'retry-after': 'Fri, 01 Jan 2027 00:00:07 GMT' },
    { kind: 'deferred', waitMs: 7000, reason: 'http_503' },
  ],
];

for (const [status, headers, outcome] of answers) {
  test(`an answer of ${status} with ${JSON.stringify(headers)} gives ${JSON.stringify(outcome)}`, async (t) => {
    const server = await startHttp(t, (_request, response) => {
      response.sendDate = false;
      response.writeHead(status, headers).end();
    });
    const clock = { ...systemClock, wallNow: () => Date.UTC(1994, 10, 6, 8, 49, 17) };
    t.deepEqual(await send(transportTo(t, server.port, {}, { clock })), outcome);
    t.is(server.targets.length, 1);
  });
}

test('a refused connection was not written to', async (t) => {
  t.deepEqual(await send(transportTo(t, await freePort())), unconnected('refused'));
});

test('a name without an address was not written to', async (t) => {
  const transport = transportTo(
    t,
    0,
    { endpoint: 'http://collector.test' },
    {
      lookup: (_name, _options, callback) => queueMicrotask(() => callback(new Error('unknown'), '')),
    },
  );
  t.deepEqual(await send(transport), CONNECT);
});

test('a look-up may answer before it returns', async (t) => {
  const server = await startHttp(t, ok);
  const endpoint = `http://collector.test:${server.port}`;
  const failing = transportTo(t, 0, { endpoint }, { lookup: (_name, _options, callback) => callback(new Error('unknown'), '') });
  t.deepEqual(await send(failing), CONNECT);
  const answering = transportTo(
    t,
    0,
    { endpoint },
    { lookup: (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]) },
  );
  t.deepEqual(await send(answering), SENT);
});

test('a look-up that never ends is cut by the connect timeout, and cancelled', async (t) => {
  let released = 0;
  const lookup = () => () => {
    released += 1;
  };
  const started = performance.now();
  const transport = transportTo(t, 0, { endpoint: 'http://collector.test', connectTimeoutMs: 60 }, { lookup });
  t.deepEqual(await send(transport), unconnected('slow'));
  t.true(performance.now() - started < 5000);
  await until(() => released === 1);
});

test('an attempt that ends before its connection is open was not written', async (t) => {
  const transport = transportTo(t, 0, { endpoint: 'http://collector.test', attemptTimeoutMs: 60 }, { lookup: () => {} });
  t.deepEqual(await send(transport), unconnected('slow'));
});

test('a server that never answers is a timeout, which is not retried', async (t) => {
  const server = await startHttp(t, () => {});
  const started = performance.now();
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), TIMEOUT);
  t.true(performance.now() - started >= 599);
  t.true(performance.now() - started < 5000);
  await until(() => server.targets.length === 1);
  await until(() => server.connections[0]?.destroyed === true);
});

test('headers that drip are a timeout', async (t) => {
  const server = await startTcp(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const timer = setInterval(() => socket.write('x-drip: 1\r\n'), 10);
    socket.once('close', () => clearInterval(timer));
  });
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), TIMEOUT);
});

test('an answer counts by its status, whatever the size of its headers up to 64 KiB', async (t) => {
  const server = await startHttp(t, (_request, response) => response.writeHead(503, { 'x-cache': 'x'.repeat(60_000) }).end());
  t.deepEqual(await send(transportTo(t, server.port)), { kind: 'retryable', reason: 'http_503' });
});

const broken = [
  ['a reset', 'reset', undefined],
  ['no answer before the end', 'reset', ''],
  ['an answer that is not HTTP', 'parse', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['headers without an end', 'reset', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}`],
  ['a broken status line', 'parse', 'HTTP/1.1 banana\r\n\r\n'],
] as const;

for (const [name, cause, text] of broken) {
  test(`${name} after the request was read may be delivered, so it is not retried`, async (t) => {
    const server = await startTcp(t, (socket) => {
      socket.once('data', () => {
        if (text === undefined) socket.resetAndDestroy();
        else socket.end(text);
      });
    });
    t.deepEqual(await send(transportTo(t, server.port)), { ...NETWORK, cause });
    t.is(server.connections.length, 1);
  });
}

test('a switch to another protocol that was not requested ends the attempt', async (t) => {
  const server = await startTcp(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'));
  });
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600_000 })), NETWORK);
  await until(() => server.connections[0]?.destroyed === true);
});

test('after a reset of a connection that was used before, the request may be delivered', async (t) => {
  const server = await startTcp(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      socket.once('data', () => socket.resetAndDestroy());
    });
  });
  const transport = transportTo(t, server.port, {}, { clock: STILL });
  t.deepEqual(await send(transport), SENT);
  t.deepEqual(await send(transport), { ...NETWORK, cause: 'reset' });
  t.is(server.connections.length, 1);
  t.deepEqual(await send(transport), SENT);
});

test('a body of up to 64 KiB is read, and its connection used again', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(Buffer.alloc(65_536)));
  const transport = transportTo(t, server.port, {}, { clock: STILL });
  for (let index = 0; index < 5; index += 1) t.deepEqual(await send(transport), SENT);
  t.is(server.connections.length, 1);
});

test(proves('body-bound', 'a longer body is cut, and its connection destroyed'), async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(Buffer.alloc(1_000_000)));
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport), SENT);
  t.deepEqual(await send(transport), SENT);
  t.is(server.connections.length, 2);
  await until(() => server.connections.every((socket) => socket.destroyed));
});

test('an endless body is cut long before the time limit', async (t) => {
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
  test(`a body that drips ends with the attempt, and ${status} decides`, async (t) => {
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

test('a body that never comes ends with the attempt', async (t) => {
  const server = await startHttp(t, (_request, response) => response.writeHead(200, { 'content-length': '10' }).flushHeaders());
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), SENT);
});

const breaks: readonly (readonly [string, string])[] = [
  ['shorter than it said', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'],
  ['chunked without an end', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['of broken chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\nabc\r\n'],
];

for (const [name, text] of breaks) {
  test(proves('sent-ignores-body', `an event answered with 2xx is sent, though the body is ${name}`), async (t) => {
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
  // The server has written the headers together with the first byte of the body: the client reads them in one of the next turns.
  await settle(50);
  stop.abort();
  t.deepEqual(await sending, SENT);
});

// Alone, since it measures the time of the whole process.
test.serial(proves('body-bound', 'a gzip bomb is neither asked for nor decoded'), async (t) => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  t.true(bomb.length < 65_536);
  const asked: unknown[] = [];
  const server = await startHttp(t, (request, response) => {
    asked.push(request.headers['accept-encoding']);
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
  });
  const transport = transportTo(t, server.port, {}, { clock: STILL });
  t.deepEqual(await send(transport), SENT);
  const before = process.cpuUsage();
  t.deepEqual(await send(transport), SENT);
  t.true(process.cpuUsage(before).user < 100_000);
  t.deepEqual(asked, [undefined, undefined]);
  t.is(server.connections.length, 1);
});

/** Every name leads to this machine. */
const lookup: NonNullable<FetchTransportParts['lookup']> = (_name, options, callback) => {
  const address = { address: '127.0.0.1', family: 4 };
  process.nextTick(() => (options.all === true ? callback(null, [address]) : callback(null, address.address, 4)));
};

for (const status of [301, 302, 303, 307, 308]) {
  test(`${status} within the endpoint's origin is followed over the same connection`, async (t) => {
    const server = await startHttp(t, (request, response) => {
      if (request.url?.startsWith('/moved') === true) response.end('ok');
      else response.writeHead(status, { location: '/moved?a=%252B&b=%2A+c' }).end('gone there');
    });
    t.deepEqual(await send(transportTo(t, server.port, {}, { clock: STILL }), '/v3/x?a=%252B'), SENT);
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

test(proves('redirect-origin', 'another host is never contacted, unless it is allowed'), async (t) => {
  const other = await startHttp(t, (_request, response) => response.end());
  const server = await startHttp(t, (_request, response) => {
    response.writeHead(302, { location: `http://other.test:${other.port}/x` }).end();
  });
  t.deepEqual(await send(transportTo(t, server.port, {}, { lookup })), REFUSED);
  // An allowed host is allowed on the default port only.
  t.deepEqual(await send(transportTo(t, server.port, { allowedRedirectHosts: ['other.test'] }, { lookup })), REFUSED);
  t.is(other.connections.length, 0);
});

test('an allowed host is contacted, and one that cannot be reached received nothing', async (t) => {
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

test('redirects through a proxy reach an allowed host, with the query of Location unchanged', async (t) => {
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

test('a redirect with an endless body is followed over a new connection, and the old one is destroyed', async (t) => {
  const server = await startHttp(t, (request, response) => {
    if (request.url === '/end') response.end();
    else writeForever(response.writeHead(302, { location: '/end' }));
  });
  t.deepEqual(await send(transportTo(t, server.port)), SENT);
  t.is(server.connections.length, 2);
  await until(() => server.connections[0]?.destroyed === true);
});

test('all hops share one time limit', async (t) => {
  const server = await startHttp(t, (request, response) => {
    setTimeout(() => response.writeHead(302, { location: request.url }).end(), 250);
  });
  const started = performance.now();
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), { kind: 'rejected', reason: 'timeout' });
  t.true(performance.now() - started < 5000);
  t.true(server.targets.length <= 3);
});
