import { once } from 'node:events';
import { get, IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import type { ExecutionContext } from 'ava';

import test from 'ava';

import { answer } from '../../src/testing/collector-faults.js';
import { startCollector } from '../../src/testing/index.js';
import type { Collector, FaultSource } from '../../src/testing/index.js';
import { until } from '../helpers/loopback.js';
import { RawClient } from '../helpers/raw-client.js';
import { settle } from '../helpers/virtual-clock.js';

async function start(t: ExecutionContext, faults: FaultSource): Promise<Collector> {
  const collector = await startCollector({ faults });
  t.teardown(() => collector.close());
  return collector;
}

/** Makes a request and waits for its answer. By then the collector has handled everything before it. */
async function roundTrip(collector: Collector): Promise<void> {
  collector.setFaults({ kind: 'ok' });
  const client = new RawClient(collector.port).get();
  await client.until(/\r\n\r\n/);
  client.socket.destroy();
}

test('ok: a client that closes before the answer gets none', async (t) => {
  const collector = await start(t, { kind: 'ok', delayMs: 60_000 });
  const client = new RawClient(collector.port).get();
  await collector.waitFor(1);
  client.socket.destroy();
  await until(() => collector.openConnections === 0);
  t.is(collector.requests[0]?.status, null);
  t.is(collector.answered2xx, 0);
});

test('ok: there is no answer on a closed connection', async (t) => {
  const connection = new Socket();
  const request = new IncomingMessage(connection);
  const response = new ServerResponse(request);
  answer({ kind: 'ok', delayMs: 1 }, { request, response, connection, onStatus: () => t.fail() });
  connection.destroy();
  await once(connection, 'close');
  await sleep(20);
  t.false(response.writableEnded);
});

test('status: it has headers and a body', async (t) => {
  const collector = await start(t, {
    kind: 'status',
    status: 503,
    headers: { 'Retry-After': '3600', 'x-list': ['a', 'b'] },
    body: 'later',
  });
  const client = new RawClient(collector.port).get();
  await client.until(/later/);
  t.regex(client.received, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
  t.regex(client.received, /\r\nRetry-After: 3600\r\n/);
  t.regex(client.received, /\r\nx-list: a\r\nx-list: b\r\n/);
  t.regex(client.received, /\r\nContent-Length: 5\r\n/);
  t.is(collector.answered2xx, 0);
  client.socket.destroy();
});

test('ok: the answer comes after delayMs', async (t) => {
  const collector = await start(t, { kind: 'ok', delayMs: 50, body: Buffer.from('late') });
  const begunAt = performance.now();
  const client = new RawClient(collector.port).get();
  await collector.waitFor(1);
  t.is(collector.requests[0]?.status, null);
  t.is(collector.answered2xx, 0);
  await client.until(/late/);
  t.true(performance.now() - begunAt >= 49);
  t.is(collector.requests[0]?.status, 200);
  t.is(collector.answered2xx, 1);
  client.socket.destroy();
});

test('reset: it follows the head of the request', async (t) => {
  const collector = await start(t, { kind: 'reset' });
  const client = new RawClient(collector.port).get();
  t.is(await client.closed, 'ECONNRESET');
  t.is(client.received, '');
  t.is(collector.requests.length, 1);
  t.is(collector.requests[0]?.status, null);
  t.is(collector.answered2xx, 0);
});

test('reset: in the body, it follows status 200', async (t) => {
  const collector = await start(t, { kind: 'reset', when: 'body' });
  let ending = '';
  // A client that is too busy to read before the reset sees an early end instead (libuv reports both as one). That is rare, so try again.
  for (let tries = 1; tries <= 10 && ending !== 'ECONNRESET'; tries += 1) {
    const client = new RawClient(collector.port).get();
    ending = await client.closed;
    t.regex(client.received, /^HTTP\/1\.1 200 OK\r\n/);
    t.regex(client.received, /\r\ncontent-length: 1024\r\n[^]*\r\n\r\na part$/i);
    t.is(collector.requests.at(-1)?.status, 200);
    t.is(collector.answered2xx, tries);
  }
  t.is(ending, 'ECONNRESET');
});

test('reset: on accept, it uses one entry of the list', async (t) => {
  const collector = await start(t, [{ kind: 'reset', when: 'connect' }, { kind: 'ok' }]);
  const client = new RawClient(collector.port);
  t.is(await client.closed, 'ECONNRESET');
  t.is(collector.connections, 1);
  t.is(collector.requests.length, 0);
  const next = new RawClient(collector.port).get();
  await next.until(/200 OK/);
  t.regex(next.received, /200 OK/);
  next.socket.destroy();
});

test('reset: a connection that is open already is reset at its next request', async (t) => {
  const collector = await start(t, [{ kind: 'ok' }, { kind: 'reset', when: 'connect' }]);
  const client = new RawClient(collector.port).get();
  await client.until(/200 OK[^]*\r\n\r\n/);
  client.get();
  t.is(await client.closed, 'ECONNRESET');
  t.deepEqual(
    collector.requests.map(({ status }) => status),
    [200, null],
  );
});

test('reset: a function is called for requests only', async (t) => {
  const collector = await start(t, () => ({ kind: 'reset', when: 'connect' }));
  t.is(await new RawClient(collector.port).get().closed, 'ECONNRESET');
  t.is(collector.requests.length, 1);
});

test('hang: the request is read and never answered', async (t) => {
  const collector = await start(t, { kind: 'hang' });
  const client = new RawClient(collector.port).get();
  await collector.waitFor(1);
  await roundTrip(collector);
  t.is(client.received, '');
  t.is(collector.requests[0]?.status, null);
  client.socket.destroy();
  await until(() => collector.openConnections === 0);
});

test('hang: the connection is accepted and never read', async (t) => {
  const collector = await start(t, { kind: 'hang', after: 'connect' });
  const client = new RawClient(collector.port).get();
  // More than the buffers of the kernel: the rest stays in the buffer of the client.
  client.socket.write(Buffer.alloc(64 * 1024 * 1024));
  await until(() => collector.connections === 1);
  await roundTrip(collector);
  t.is(client.received, '');
  t.true(client.socket.writableLength > 0);
  t.is(collector.requests.length, 1, 'the request of the round trip');
  client.socket.destroy();
});

test('hang: a connection that is not read counts as open after a reset', async (t) => {
  const collector = await start(t, { kind: 'hang', after: 'connect' });
  const client = new RawClient(collector.port).get();
  await until(() => collector.connections === 1);
  await roundTrip(collector);
  client.socket.resetAndDestroy();
  await client.closed;
  await until(() => collector.openConnections === 1);
  const other = new RawClient(collector.port).get();
  await other.until(/200 OK/);
  t.is(collector.openConnections, 2, 'although one of the two was reset');
});

test('drip: the body comes a few bytes at a time and never ends', async (t) => {
  const collector = await start(t, { kind: 'drip', intervalMs: 1, bytes: 3 });
  const client = new RawClient(collector.port).get();
  await client.until(/(3\r\nxxx\r\n){5}/);
  t.regex(client.received, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n3\r\nxxx\r\n/);
  t.is(collector.answered2xx, 1);
  t.false(client.socket.closed);
  client.socket.destroy();
  await until(() => collector.openConnections === 0);
});

test('drip: a head that never ends is no answer', async (t) => {
  const collector = await start(t, { kind: 'drip', intervalMs: 1, part: 'head' });
  const client = new RawClient(collector.port).get();
  await client.until(/x-drip: x{5}/);
  t.regex(client.received, /^HTTP\/1\.1 200 OK\r\nx-drip: x+$/);
  t.is(collector.requests[0]?.status, null);
  t.is(collector.answered2xx, 0);
  client.socket.destroy();
});

test('endless: the body continues as long as the client reads', async (t) => {
  const collector = await start(t, { kind: 'endless' });
  let read = 0;
  await new Promise<void>((resolve) => {
    const asked = get(collector.url, { agent: false }, (response: IncomingMessage) => {
      t.is(response.statusCode, 200);
      response.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read > 5_000_000) asked.destroy();
      });
      response.on('error', () => {});
      response.on('close', resolve);
    });
  });
  t.true(read > 5_000_000);
  t.is(collector.answered2xx, 1);
  await until(() => collector.openConnections === 0);
});

test('endless: the body stops for a client that does not read', async (t) => {
  const connection = new Socket();
  const request = new IncomingMessage(connection);
  // A response without a socket is like a client that does not read.
  const response = new ServerResponse(request);
  answer({ kind: 'endless' }, { request, response, connection, onStatus: () => {} });
  await settle(100);
  const waiting = response.writableLength;
  t.true(waiting > 0 && waiting < 512 * 1024);
  await settle(100);
  t.is(response.writableLength, waiting);
  connection.destroy();
});

test('bomb: small on the wire, huge when unpacked', async (t) => {
  const collector = await start(t, [{ kind: 'bomb', unpackedMiB: 8 }, { kind: 'bomb' }]);
  const fetchBomb = () =>
    new Promise<IncomingMessage>((resolve) => {
      get(collector.url, { agent: false }, resolve);
    });
  const response = await fetchBomb();
  t.is(response.headers['content-encoding'], 'gzip');
  t.true(Number(response.headers['content-length']) < 12_000);
  let unpacked = 0;
  for await (const chunk of response.pipe(createGunzip())) unpacked += (chunk as Buffer).length;
  t.is(unpacked, 8 * 1024 * 1024);

  const whole = await fetchBomb();
  t.true(Number(whole.headers['content-length']) < 1024 * 1024);
  whole.destroy();
});

test('redirect: to another URL, or to the requested one', async (t) => {
  const collector = await start(t, [
    { kind: 'redirect', location: 'https://elsewhere.invalid/' },
    { kind: 'redirect', to: 'self', status: 307 },
  ]);
  const client = new RawClient(collector.port).get();
  await client.until(/\r\n\r\n/);
  t.regex(client.received, /^HTTP\/1\.1 302 Found\r\nlocation: https:\/\/elsewhere\.invalid\/\r\n/i);
  const second = new RawClient(collector.port).get('/v3/dag_run?a=b');
  await second.until(/\r\n\r\n/);
  t.regex(second.received, /^HTTP\/1\.1 307 Temporary Redirect\r\nlocation: \/v3\/dag_run\?a=b\r\n/i);
  t.is(collector.answered2xx, 0);
});

test('not_http: an SSH greeting, or any bytes', async (t) => {
  const collector = await start(t, [{ kind: 'not_http' }, { kind: 'not_http', bytes: Buffer.from([0, 1, 2]) }]);
  const client = new RawClient(collector.port).get();
  t.is(await client.closed, 'ended');
  t.is(client.received, 'SSH-2.0-OpenSSH_9.6\r\n');
  const second = new RawClient(collector.port).get();
  await second.closed;
  t.is(second.received, '\0\u0001\u0002');
  t.deepEqual(
    collector.requests.map(({ status }) => status),
    [null, null],
  );
});

test('truncated: the body is shorter than its content-length', async (t) => {
  const collector = await start(t, { kind: 'truncated' });
  const client = new RawClient(collector.port).get();
  t.is(await client.closed, 'ended');
  t.regex(client.received, /^HTTP\/1\.1 200 OK\r\n[^]*content-length: 1024\r\n[^]*\r\n\r\ntruncated$/i);
  t.is(collector.answered2xx, 1);
});

for (const [faults, message] of [
  [[], 'startCollector: faults must not be an empty list'],
  [{ kind: 'explode' }, /^startCollector: unknown fault explode; known are ok, /],
  [[{ kind: 'ok' }, {}], /^startCollector: unknown fault undefined/],
  [{ kind: 'status' }, 'startCollector: status of status must be an integer from 200 to 599, got undefined'],
  [{ kind: 'status', status: 101 }, 'startCollector: status of status must be an integer from 200 to 599, got 101'],
  [{ kind: 'ok', status: 200.5 }, 'startCollector: status of ok must be an integer from 200 to 599, got 200.5'],
  [{ kind: 'drip' }, 'startCollector: intervalMs of drip must be above 0, got undefined'],
] as const) {
  test(`a bad list of faults is a TypeError: ${JSON.stringify(faults)}`, async (t) => {
    await t.throwsAsync(startCollector({ faults: faults as unknown as FaultSource }), { instanceOf: TypeError, message });
  });
}
