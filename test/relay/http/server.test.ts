// The limits of the HTTP server, and input that is no HTTP.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, ListenOptions, Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Answers } from '../../../src/relay/http/answers.js';
import { boundedServer, ConnectionLimit, startListening, startServers } from '../../../src/relay/http/server.js';
import { exchange, get as getFrom, startRig, statuses } from '../helpers/relay-rig.js';
import { until } from '../helpers/until.js';

const EVENT = '/v3/dag_run?status=success';

/** A connection that sends its first bytes and then waits. */
function slow(
  t: ExecutionContext,
  port: number,
  first: string,
  host = '127.0.0.1',
): { socket: Socket; received: () => string; closed: Promise<void> } {
  let received = '';
  const socket = connect(port, host, () => socket.write(first));
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
  await once(socket, 'connect');
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
  const { port, get, relay, log } = await startRig(t, { maxConnections: 3 });
  const held = Array.from({ length: 3 }, () => slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`));
  await until(() => held.every(({ received }) => received().includes(' 204 ')));
  const fourth = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await fourth.closed;
  t.is(fourth.received(), '');
  t.is(relay.stats().refusedConnections, 1);
  t.is(log.filter((line) => line.startsWith('[telemetry] connection_refused: ')).length, 1);
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
  let refused = 0;
  const server = boundedServer(
    { headersTimeoutMs: 1000, requestTimeoutMs: 1000, keepAliveTimeoutMs: 1000 },
    new ConnectionLimit(1, () => (refused += 1)),
    new Answers(),
    (_request, response) => response.end(),
  );
  const { port } = await startListening(server, { host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  t.notThrows(() => server.emit('error', Object.assign(new Error('accept ENOBUFS'), { code: 'ENOBUFS' })));
  t.is(refused, 1);
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

/** The outcome of each of many connections that are opened in one instant: the status of its answer, or 0 for none. */
async function storm(port: number, connections: number): Promise<Map<number, number>> {
  const request = `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`;
  const received = await Promise.all(Array.from({ length: connections }, () => exchange(port, request, 20_000)));
  const counts = new Map<number, number>();
  for (const status of received.map((text) => statuses(text)[0] ?? 0)) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

test.serial('400 connections in one instant are all answered', async (t) => {
  const { port, relay } = await startRig(t);
  t.deepEqual([...(await storm(port, 400))], [[204, 400]]);
  t.like(relay.stats(), { answers: { 204: 400 }, refusedConnections: 0 });
});

test.serial('of 400 connections in one instant, those beyond `maxConnections` are counted', async (t) => {
  const { port, relay, store } = await startRig(t, { maxConnections: 50 });
  // No event is stored before the last connection has come: none of the first 50 makes room.
  store().hold();
  const outcomes = storm(port, 400);
  await until(() => relay.stats().refusedConnections === 350);
  store().release();
  t.deepEqual(Object.fromEntries(await outcomes), { 0: 350, 204: 50 });
  t.like(relay.stats(), { answers: { 204: 50 }, refusedConnections: 350 });
});

/** Sends bytes, ends its side of the connection, and collects what comes until the other side ends, too. */
function sendAndEnd(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => (received += text));
    socket.on('error', () => undefined);
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      resolve(received);
    });
    socket.end(bytes);
  });
}

test('a client that ends its side after its request gets its answer', async (t) => {
  const { port, relay, store } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  store().hold();
  const requests = [
    `GET ${EVENT} HTTP/1.1\r\n${host}\r\n`,
    `GET ${EVENT} HTTP/1.0\r\n${host}\r\n`,
    `GET /healthz HTTP/1.1\r\n${host}\r\nGET ${EVENT} HTTP/1.1\r\n${host}\r\n`,
    `GET ${EVENT} HTTP/1.1\r\n${host}\r\nBAD\r\n\r\n`,
  ].map(async (bytes) => statuses(await sendAndEnd(port, bytes)));
  t.deepEqual(statuses(await sendAndEnd(port, `GET ${EVENT} HTTP/1.1\r\n${host}`)), [400], 'a request that ends in its head');
  t.is(await sendAndEnd(port, ''), '');
  store().release();
  t.deepEqual(await Promise.all(requests), [[204], [204], [200, 204], [204, 400]]);
  t.deepEqual(relay.stats().answers, { 200: 1, 204: 4, 400: 2 });
});

test('a request beyond the last one of a connection is counted', async (t) => {
  const answers = new Answers();
  const limits = { headersTimeoutMs: 1000, requestTimeoutMs: 1000, keepAliveTimeoutMs: 1000 };
  const server = boundedServer(limits, new ConnectionLimit(1, () => undefined), answers, (_request, response) => {
    answers.send(response, 'alive');
  });
  server.maxRequestsPerSocket = 2;
  const { port } = await startListening(server, { host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  t.deepEqual(statuses(await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3), 500)), [200, 200, 503]);
  t.deepEqual(answers.counts(), { 200: 2, 503: 1 });
});

test('`localhost` is both loopback addresses, with one limit of connections', async (t) => {
  const { address, relay, port } = await startRig(t, { listen: 'localhost:0', metricsListen: 'localhost:0', maxConnections: 1 });
  t.is(address.url, `http://localhost:${port}`);
  const families = hasIpv6() ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
  for (const host of families) {
    t.is((await getFrom(port, EVENT, {}, host)).status, 204, host);
    t.is((await getFrom(Number(new URL(address.metricsUrl ?? '').port), '/healthz', {}, host)).status, 200, host);
  }
  const [first = '', last = ''] = [families[0], families.at(-1)];
  const held = slow(t, port, `GET ${EVENT} HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`, first);
  await until(() => held.received().includes(' 204 '));
  const second = slow(t, port, '', last);
  await second.closed;
  t.is(relay.stats().refusedConnections, 1);
  await relay.close({ deadlineMs: 0 });
  for (const host of families) await t.throwsAsync(getFrom(port, EVENT, {}, host), { code: 'ECONNREFUSED' });
});

/** A server that cannot listen at an address. */
function refusing(code: string, addresses: readonly string[], tried: string[]): Server {
  const server = createServer();
  const listen = server.listen.bind(server) as (options: ListenOptions, listening: () => void) => Server;
  return Object.assign(server, {
    listen: (options: ListenOptions, listening: () => void) => {
      tried.push(options.host ?? '');
      if (addresses.includes(options.host ?? '')) return server.emit('error', Object.assign(new Error(code), { code }));
      return listen(options, listening);
    },
  });
}

test('a machine with one address family listens at `localhost` all the same', async (t) => {
  for (const code of ['EADDRNOTAVAIL', 'EAFNOSUPPORT']) {
    for (const missing of ['127.0.0.1', '::1']) {
      if (missing === '127.0.0.1' && !hasIpv6()) continue;
      const servers: Server[] = [];
      const create = (): Server => {
        const server = refusing(code, [missing], []);
        servers.push(server);
        return server;
      };
      const { host, port } = await startServers(create, { host: 'localhost', port: 0 });
      t.is(host, 'localhost');
      t.deepEqual(
        servers.filter(({ listening }) => listening).map((server) => (server.address() as AddressInfo).port),
        [port],
      );
      for (const server of servers) server.close();
    }
    await t.throwsAsync(
      startServers(() => refusing(code, ['127.0.0.1', '::1'], []), { host: 'localhost', port: 0 }),
      { code },
    );
  }
});

test('a free port is one that both families have; a port that one of them lacks is taken', async (t) => {
  const tried: string[] = [];
  const servers: Server[] = [];
  const create = (taken: number) => () => {
    const server = refusing('EADDRINUSE', servers.length < taken ? ['::1'] : [], tried);
    servers.push(server);
    return server;
  };
  t.teardown(() => servers.map((server) => server.close()));
  if (hasIpv6()) {
    await startServers(create(4), { host: 'localhost', port: 0 });
    t.deepEqual(tried, ['127.0.0.1', '::1', '127.0.0.1', '::1', '127.0.0.1', '::1']);
    t.is(servers.filter(({ listening }) => listening).length, 2);
  }
  for (const port of [0, 1]) {
    const error = await t.throwsAsync(startServers(() => refusing('EADDRINUSE', ['127.0.0.1', '::1'], tried), { host: 'localhost', port }));
    t.is((error as NodeJS.ErrnoException).code, 'EADDRINUSE');
  }
});

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === '::1'));
}
