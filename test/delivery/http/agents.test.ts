import type { Agent, RequestListener } from 'node:http';
import { Socket } from 'node:net';
import { createServer } from 'node:https';
import test from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { Connections } from '../../../src/delivery/http/agents.js';
import { AddressHistory } from '../../../src/delivery/http/address-history.js';
import { startLimit } from '../../../src/delivery/pacing.js';
import { underWay } from '../../../src/delivery/under-way.js';
import type { SendOutcome } from '../../../src/delivery/transport.js';
import { startHttpProxy } from '../../helpers/http-proxy.js';
import { freePort, listen, startHttp, startTcp, tlsFile, tlsPath, until } from '../../helpers/loopback.js';
import { runSender } from '../../helpers/run-sender.js';
import { send, STILL, transportTo, unconnected } from '../../helpers/sending.js';
import { proves } from '../../helpers/promises.js';

const ok: RequestListener = (_request, response) => {
  response.end('ok');
};

const ABORTED: SendOutcome = { kind: 'aborted' };
const SENT: SendOutcome = { kind: 'sent' };
const BUSY: SendOutcome = { kind: 'deferred', waitMs: 50, reason: 'busy' };
const TRUST = { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname };

test('sends one after the other use one connection', async (t) => {
  const server = await startHttp(t, ok);
  const transport = transportTo(t, server.port, {}, { clock: STILL });
  for (let index = 0; index < 20; index += 1) t.deepEqual(await send(transport), SENT);
  t.is(server.connections.length, 1);
});

test(
  proves('reuse-short', 'a connection is used again within 250 ms of its last answer, and not later, however late its timer runs'),
  async (t) => {
    const server = await startHttp(t, ok);
    let nowMs = 0;
    const transport = transportTo(t, server.port, {}, { clock: { ...systemClock, now: () => nowMs } });
    const connectionsAfter = async (idleMs: number): Promise<number> => {
      nowMs += idleMs;
      t.deepEqual(await send(transport), SENT);
      return server.connections.length;
    };
    t.is(await connectionsAfter(0), 1);
    t.is(await connectionsAfter(250), 1);
    t.is(await connectionsAfter(251), 2);
    t.is(await connectionsAfter(5000), 3);
  },
);

test(proves('reuse-short', 'a connection is not used again if the server says that it closes or will soon close it'), async (t) => {
  for (const headers of [{ connection: 'close' }, { 'keep-alive': 'timeout=0' }, { 'keep-alive': 'timeout=1' }]) {
    const server = await startHttp(t, (_request, response) => response.writeHead(200, headers).end());
    const transport = transportTo(t, server.port, {}, { clock: STILL });
    t.deepEqual(await send(transport), SENT);
    t.deepEqual(await send(transport), SENT);
    t.is(server.connections.length, 2, JSON.stringify(headers));
  }
});

test(proves('reuse-short', 'after a reset of a connection that was used before, none is used again for ten minutes'), async (t) => {
  const asked: unknown[] = [];
  const server = await startHttp(t, (request, response) => {
    asked.push(request.headers.connection);
    if (asked.length === 2) request.socket.resetAndDestroy();
    else response.end();
  });
  let nowMs = 0;
  const transport = transportTo(t, server.port, {}, { clock: { ...systemClock, now: () => nowMs } });
  const sends = async (): Promise<string> => (await send(transport)).kind;
  t.deepEqual([await sends(), await sends(), await sends(), await sends()], ['sent', 'rejected', 'sent', 'sent']);
  t.is(server.connections.length, 3);
  nowMs += 600_000;
  t.deepEqual([await sends(), await sends()], ['sent', 'sent']);
  t.is(server.connections.length, 4);
  t.deepEqual(asked, ['keep-alive', 'keep-alive', 'close', 'close', 'keep-alive', 'keep-alive']);
});

test(
  proves('reuse-short', 'a connection that is too old is taken out of the list of its agent, wherever it is: Node takes the last one'),
  (t) => {
    let nowMs = 0;
    const clock = { ...systemClock, now: () => nowMs };
    const connections = new Connections({
      clock,
      connectTimeoutMs: 1,
      lookup: () => {},
      startLimit,
      underWay,
      history: new AddressHistory(),
    });
    const [old, fresh] = [new Socket(), new Socket()];
    connections.keeps(old);
    nowMs = 300;
    connections.keeps(fresh);
    const agent = { freeSockets: { first: [fresh, old], second: [old] } };
    connections.prune(agent as unknown as Agent);
    t.deepEqual(agent.freeSockets, { first: [fresh] } as object);
    t.deepEqual([old.destroyed, fresh.destroyed], [true, false]);
    fresh.destroy();
    connections.prune(agent as unknown as Agent);
    t.deepEqual(agent.freeSockets, {} as object);
  },
);

test('concurrent sends use at most maxSockets connections at a time', async (t) => {
  let mostOpen = 0;
  const server = await startHttp(t, (_request, response) => {
    mostOpen = Math.max(mostOpen, server.connections.filter((socket) => !socket.destroyed).length);
    response.end('ok');
  });
  const transport = transportTo(t, server.port, { maxSockets: 3 }, { clock: STILL });
  const outcomes = await Promise.all(Array.from({ length: 30 }, () => send(transport)));
  t.deepEqual(
    outcomes,
    Array.from({ length: 30 }, () => SENT),
  );
  t.is(mostOpen, 3);
  t.is(server.targets.length, 30);
});

test('a send that does not get its turn was not tried, and can come back', async (t) => {
  const server = await startHttp(t, () => {});
  const transport = transportTo(t, server.port, { maxSockets: 1, attemptTimeoutMs: 60_000 });
  const busy = new AbortController();
  const first = send(transport, undefined, busy.signal);
  await until(() => server.targets.length === 1);
  t.deepEqual(await send(transport), BUSY);
  t.is(server.targets.length, 1);
  busy.abort();
  t.deepEqual(await first, ABORTED);
});

test(proves('tls-extra-ca', 'a private authority is trusted by NODE_EXTRA_CA_CERTS, and one connection serves many sends'), async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const job = { options: { endpoint: `https://collector.test:${server.port}/base` }, sends: 3, isStill: true };
  const end = await runSender(t, job, { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname });
  t.deepEqual(end.outcomes, [SENT, SENT, SENT]);
  t.is(server.connections.length, 1);
  t.is(end.code, 0);
  t.is(end.stderr, '');
});

test('a server with a certificate for another name was not written to', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const job = { options: { endpoint: `https://other.test:${server.port}` } };
  const end = await runSender(t, job, { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname });
  t.deepEqual(end.outcomes, [unconnected('tls_untrusted')]);
  t.is(server.targets.length, 0);
});

test('a server that wants a certificate of the client read nothing, also if the client was ready before it said so', async (t) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    let requests = 0;
    const tls = { cert: tlsFile('server.pem'), key: tlsFile('server-key.pem'), ca: tlsFile('authority.pem') };
    const server = createServer({ ...tls, maxVersion, requestCert: true, rejectUnauthorized: true }, () => (requests += 1));
    const { port, connections } = await listen(t, server);
    const job = { options: { endpoint: `https://collector.test:${port}` } };
    t.deepEqual((await runSender(t, job, TRUST)).outcomes, [unconnected('tls')], maxVersion);
    t.is(connections.length, 1);
    t.is(requests, 0);
  }
});

test('a server with an untrusted certificate was not written to', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  t.deepEqual(await send(transportTo(t, 0, { endpoint: `https://127.0.0.1:${server.port}` })), unconnected('tls_untrusted'));
  t.is(server.targets.length, 0);
});

test('a server that speaks no TLS was not written to', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end());
  t.deepEqual(await send(transportTo(t, 0, { endpoint: `https://127.0.0.1:${server.port}` })), unconnected('tls'));
  t.is(server.targets.length, 0);
});

test('a server that breaks off the handshake was not written to', async (t) => {
  for (const breakOff of ['end', 'resetAndDestroy'] as const) {
    const server = await startTcp(t, (socket) => {
      socket.once('data', () => socket[breakOff]());
    });
    t.deepEqual(await send(transportTo(t, 0, { endpoint: `https://127.0.0.1:${server.port}` })), unconnected('reset'));
  }
});

test('a handshake that never ends is cut by the connect timeout', async (t) => {
  const server = await startTcp(t, (socket) => socket.resume());
  const started = performance.now();
  const options = { endpoint: `https://127.0.0.1:${server.port}`, connectTimeoutMs: 80 };
  t.deepEqual(await send(transportTo(t, 0, options)), unconnected('slow'));
  t.true(performance.now() - started < 5000);
});

test('an http endpoint that speaks TLS has read the request, so it is not retried', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const outcome = await send(transportTo(t, server.port));
  // The server closes or resets: which of the two is seen first, is chance.
  t.like(outcome, { kind: 'rejected', reason: 'network' });
});

test('an http endpoint behind an http proxy gets each request over a new connection: the proxy may close a kept one', async (t) => {
  const hosts: (string | undefined)[] = [];
  const server = await startHttp(t, (request, response) => {
    hosts.push(request.headers.host, request.headers['proxy-authorization']);
    response.end();
  });
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const transport = transportTo(t, 0, {
    endpoint: 'http://collector.test:8080/base',
    env: { HTTP_PROXY: `http://me:s%40cret@127.0.0.1:${proxy.port}` },
  });
  t.deepEqual(await send(transport, '/v3/x?a=%2B'), SENT);
  t.deepEqual(await send(transport, '/v3/x?b=1'), SENT);
  t.deepEqual(server.targets, ['/base/v3/x?a=%2B', '/base/v3/x?b=1']);
  t.deepEqual(hosts, ['collector.test:8080', undefined, 'collector.test:8080', undefined]);
  t.deepEqual(proxy.asked, ['GET http://collector.test:8080/base/v3/x?a=%2B', 'GET http://collector.test:8080/base/v3/x?b=1']);
  t.deepEqual(proxy.authorizations, ['Basic bWU6c0BjcmV0', 'Basic bWU6c0BjcmV0']);
  t.is(proxy.connections.length, 2);
});

test('an https endpoint is reached through a tunnel, over one connection', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const proxyUrl = `http://me:s%40cret@127.0.0.1:${proxy.port}`;
  const env = { ...TRUST, HTTPS_PROXY: proxyUrl, DEBUG: '*' };
  const end = await runSender(t, { options: { endpoint: 'https://collector.test/base' }, sends: 3, isStill: true }, env);
  t.deepEqual(end.outcomes, [SENT, SENT, SENT]);
  t.deepEqual(proxy.asked, ['CONNECT collector.test:443']);
  t.deepEqual(proxy.authorizations, ['Basic bWU6c0BjcmV0']);
  t.is(server.connections.length, 1);
  // DEBUG=* makes every library of the host log.
  t.regex(end.stderr, /https-proxy-agent/);
  t.notRegex(end.stderr, /s%40cret|s@cret|bWU6c0BjcmV0|dag_run\?/);
  t.is(end.code, 0);
  t.true(end.lingeredMs < 1500);
});

test('a proxy with an https URL gets TLS, for http and https endpoints', async (t) => {
  const plain = await startHttp(t, (_request, response) => response.end());
  const secure = await startHttp(t, (_request, response) => response.end(), true);
  const toPlain = await startHttpProxy(t, { targetPort: plain.port, secure: true });
  const toSecure = await startHttpProxy(t, { targetPort: secure.port, secure: true });
  const first = await runSender(
    t,
    { options: { endpoint: 'http://collector.test' }, sends: 2 },
    { ...TRUST, http_proxy: `https://proxy.test:${toPlain.port}` },
  );
  const second = await runSender(
    t,
    { options: { endpoint: 'https://collector.test' }, sends: 2, isStill: true },
    { ...TRUST, https_proxy: `https://proxy.test:${toSecure.port}` },
  );
  t.deepEqual(first.outcomes, [SENT, SENT]);
  t.deepEqual(second.outcomes, [SENT, SENT]);
  t.deepEqual(toPlain.asked, [
    'GET http://collector.test/v3/dag_run?status=success',
    'GET http://collector.test/v3/dag_run?status=success',
  ]);
  t.deepEqual(toSecure.asked, ['CONNECT collector.test:443']);
  t.is(toPlain.connections.length, 2);
});

test('through a tunnel, a certificate must match the endpoint, whether a name or an address', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end(), true);
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const env = { ...TRUST, HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` };
  const outcome = async (host: string): Promise<SendOutcome | undefined> =>
    (await runSender(t, { options: { endpoint: `https://${host}` } }, env)).outcomes[0];
  t.deepEqual(await outcome('192.0.2.10'), SENT);
  t.deepEqual(await outcome('192.0.2.11'), unconnected('tls_untrusted'));
  t.deepEqual(await outcome('other.test'), unconnected('tls_untrusted'));
  t.is(server.targets.length, 1);
});

for (const refusal of [302, 403, 407, 502]) {
  test(`a tunnel refused with ${refusal} is a failed connection, with nothing sent`, async (t) => {
    const proxy = await startHttpProxy(t, { refusal });
    const transport = transportTo(t, 0, { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${proxy.port}` });
    t.deepEqual(await send(transport), unconnected(refusal === 407 ? 'proxy_auth' : 'proxy_refused'));
    t.deepEqual(await send(transport), unconnected(refusal === 407 ? 'proxy_auth' : 'proxy_refused'));
    t.deepEqual(proxy.asked, ['CONNECT collector.test:443', 'CONNECT collector.test:443']);
  });
}

test("an http proxy that asks for credentials has forwarded nothing; its other answers count as the endpoint's", async (t) => {
  const strict = await startHttpProxy(t, { refusal: 407 });
  const busy = await startHttpProxy(t, { refusal: 503 });
  const endpoint = 'http://collector.test';
  t.deepEqual(await send(transportTo(t, 0, { endpoint, proxy: `http://127.0.0.1:${strict.port}` })), unconnected('proxy_auth'));
  t.deepEqual(await send(transportTo(t, 0, { endpoint, proxy: `http://127.0.0.1:${busy.port}` })), {
    kind: 'retryable',
    reason: 'http_503',
  });
});

for (const scheme of ['http', 'https']) {
  test(`a dead proxy is a failed connection for ${scheme}`, async (t) => {
    const transport = transportTo(t, 0, { endpoint: `${scheme}://collector.test`, proxy: `http://127.0.0.1:${await freePort()}` });
    t.deepEqual(await send(transport), unconnected('refused'));
  });
}

test('a tunnel obeys the connect timeout, whether proxy or endpoint is silent', async (t) => {
  const silent = await startTcp(t, (socket) => socket.resume());
  const mute = await startHttpProxy(t, { targetPort: silent.port });
  const started = performance.now();
  for (const { port } of [silent, mute]) {
    const transport = transportTo(t, 0, { endpoint: 'https://collector.test', connectTimeoutMs: 100, proxy: `http://127.0.0.1:${port}` });
    t.deepEqual(await send(transport), unconnected('slow'));
  }
  t.true(performance.now() - started < 8000);
  t.is(mute.asked.length, 1);
  await until(() => [...silent.connections, ...mute.connections].every((socket) => socket.destroyed));
});

for (const [name, answer] of [
  ['that is not HTTP', 'SSH-2.0-x\r\n\r\n'],
  ['without an end', 'HTTP/1.1 200 OK\r\n'],
  ['cut short', ''],
] as const) {
  test(`an answer of the proxy ${name} is a failed connection`, async (t) => {
    const proxy = await startTcp(t, (socket) => {
      socket.once('data', () => socket.end(answer));
    });
    const transport = transportTo(t, 0, {
      endpoint: 'https://collector.test',
      connectTimeoutMs: 2000,
      proxy: `http://127.0.0.1:${proxy.port}`,
    });
    t.deepEqual(await send(transport), unconnected('proxy_refused'));
  });
}

test('close aborts a tunnel that is opening', async (t) => {
  const silent = await startTcp(t, (socket) => socket.resume());
  const transport = transportTo(t, 0, { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${silent.port}` });
  const sending = send(transport);
  await until(() => silent.connections.length === 1);
  const started = performance.now();
  void transport.close?.();
  t.deepEqual(await sending, { kind: 'aborted' });
  await until(() => silent.connections[0]?.destroyed === true);
  t.true(performance.now() - started < 5000);
});

test('close prevents a tunnel that has not started', async (t) => {
  const proxy = await startHttpProxy(t, { refusal: 403 });
  const options = { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${proxy.port}` };
  const transport = transportTo(t, 0, options);
  t.deepEqual(await send(transport), unconnected('proxy_refused'));
  const sending = send(transport);
  void transport.close?.();
  t.deepEqual(await sending, { kind: 'aborted' });
  t.deepEqual(await send(transportTo(t, 0, options)), unconnected('proxy_refused'));
  t.is(proxy.connections.length, 2);
});

for (const [name, options] of [
  ['by the option', { proxy: 'socks5://me:s3cret@proxy.test:1080' }],
  ['by the environment', { env: { https_proxy: 'socks5://me:s3cret@proxy.test:1080' } }],
] as const) {
  test(`an unusable proxy, set ${name}, warns once and fails every send`, async (t) => {
    const lines: string[] = [];
    const logger = { debug: (line: string) => lines.push(line), warn: (line: string) => lines.push(line) };
    const transport = transportTo(t, 0, { endpoint: 'https://collector.test', logger, ...options });
    for (let index = 0; index < 3; index += 1) t.deepEqual(await send(transport), { kind: 'rejected', reason: 'proxy_invalid' });
    const source = name === 'by the option' ? 'proxy' : 'https_proxy';
    t.deepEqual(lines, [`[telemetry] proxy_invalid: ${source} names no http or https proxy; nothing is sent`]);
  });
}

test('a redirect that needs an unusable proxy is not followed, and there is one warning', async (t) => {
  const lines: string[] = [];
  const logger = { debug: () => {}, warn: (line: string) => lines.push(line) };
  // A log repeats a line after a minute at the earliest; more time than that passes between the sends.
  let now = 0;
  const clock = { ...systemClock, now: () => (now += 100_000) };
  const server = await startHttp(t, (_request, response) => response.writeHead(302, { location: 'http://other.test/x' }).end());
  const options = { allowedRedirectHosts: ['other.test'], env: { all_proxy: 'socks5://proxy.test' }, logger };
  const transport = transportTo(t, server.port, options, { clock });
  for (let index = 0; index < 3; index += 1) t.deepEqual(await send(transport), { kind: 'rejected', reason: 'proxy_invalid' });
  t.is(server.targets.length, 3);
  t.is(lines.length, 1);
});

test(proves('proxy-loopback', 'loopback is reached directly, though every variable names a dead proxy'), async (t) => {
  const server = await startHttp(t, (_request, response) => response.end());
  const dead = `http://127.0.0.1:${await freePort()}`;
  const env = { HTTP_PROXY: dead, HTTPS_PROXY: dead, ALL_PROXY: dead, http_proxy: dead, https_proxy: dead };
  for (const host of ['127.0.0.1', 'localhost', 'api.localhost']) {
    t.deepEqual(await send(transportTo(t, 0, { endpoint: `http://${host}:${server.port}`, env })), SENT);
  }
  const end = await runSender(t, { options: { endpoint: `http://localhost:${server.port}` }, names: 'own' }, env);
  t.deepEqual(end.outcomes, [SENT]);
});
