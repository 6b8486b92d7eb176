import { getEventListeners } from 'node:events';
import type { RequestListener } from 'node:http';
import test from 'ava';
import { fetchTransport } from '../../src/delivery/http/fetch-transport.js';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { systemClock } from '../../src/base/clock.js';
import { freePort, startHttp, startTcp, until } from '../helpers/loopback.js';
import { send, transportTo } from '../helpers/sending.js';
import { usageEvent } from '../helpers/usage-event.js';

const ok: RequestListener = (_request, response) => {
  response.end('ok');
};

const SENT: SendOutcome = { kind: 'sent' };
const ABORTED: SendOutcome = { kind: 'aborted' };
const CONNECT: SendOutcome = { kind: 'retryable', reason: 'connect' };
const NETWORK: SendOutcome = { kind: 'rejected', reason: 'network' };
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };

test('an event is one GET of the base and its target, byte for byte, with nothing that tells senders apart', async (t) => {
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
  [429, { 'retry-after': 'rubbish' }, { kind: 'retryable', reason: 'http_429' }],
  [429, { 'retry-after': '7' }, { kind: 'deferred', waitMs: 7000, reason: 'http_429' }],
  [503, { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }, { kind: 'deferred', waitMs: 20_000, reason: 'http_503' }],
];

for (const [status, headers, outcome] of answers) {
  test(`an answer of ${status} with ${JSON.stringify(headers)} gives ${JSON.stringify(outcome)}`, async (t) => {
    const server = await startHttp(t, (_request, response) => response.writeHead(status, headers).end());
    const clock = { ...systemClock, wallNow: () => Date.UTC(1994, 10, 6, 8, 49, 17) };
    t.deepEqual(await send(transportTo(t, server.port, {}, { clock })), outcome);
    t.is(server.targets.length, 1);
  });
}

test('a refused connection was not written to', async (t) => {
  t.deepEqual(await send(transportTo(t, await freePort())), CONNECT);
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

test('a look-up that never ends is cut by the connect timeout, and told that nobody waits', async (t) => {
  let released = 0;
  const lookup = () => () => {
    released += 1;
  };
  const started = performance.now();
  const transport = transportTo(t, 0, { endpoint: 'http://collector.test', connectTimeoutMs: 60 }, { lookup });
  t.deepEqual(await send(transport), CONNECT);
  t.true(performance.now() - started < 5000);
  await until(() => released === 1);
});

test('an attempt that ends while its connection is still sought was not written', async (t) => {
  const transport = transportTo(t, 0, { endpoint: 'http://collector.test', attemptTimeoutMs: 60 }, { lookup: () => {} });
  t.deepEqual(await send(transport), CONNECT);
});

test('a server that never answers is a timeout, not to be repeated', async (t) => {
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

const broken: readonly (readonly [string, string | undefined])[] = [
  ['a reset', undefined],
  ['no answer before the end', ''],
  ['an answer that is not HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['headers without an end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}`],
  ['a broken status line', 'HTTP/1.1 banana\r\n\r\n'],
];

for (const [name, text] of broken) {
  test(`${name} after the request was read ends unknown, not to be repeated`, async (t) => {
    const server = await startTcp(t, (socket) => {
      socket.once('data', () => {
        if (text === undefined) socket.resetAndDestroy();
        else socket.end(text);
      });
    });
    t.deepEqual(await send(transportTo(t, server.port)), NETWORK);
    t.is(server.connections.length, 1);
  });
}

test('a switch to another protocol, which nobody asked for, ends with the attempt', async (t) => {
  const server = await startTcp(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'));
  });
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), TIMEOUT);
});

test('a reset of a connection that was used before ends unknown too', async (t) => {
  const server = await startTcp(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      socket.once('data', () => socket.resetAndDestroy());
    });
  });
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport), SENT);
  t.deepEqual(await send(transport), NETWORK);
  t.is(server.connections.length, 1);
  t.deepEqual(await send(transport), SENT);
});

test('sends in turn use one connection', async (t) => {
  const server = await startHttp(t, ok);
  const transport = transportTo(t, server.port);
  for (let index = 0; index < 20; index += 1) t.deepEqual(await send(transport), SENT);
  t.is(server.connections.length, 1);
});

test('sends at a time use at most maxSockets connections', async (t) => {
  const server = await startHttp(t, ok);
  const transport = transportTo(t, server.port, { maxSockets: 3 });
  const outcomes = await Promise.all(Array.from({ length: 30 }, () => send(transport)));
  t.deepEqual(
    outcomes,
    Array.from({ length: 30 }, () => SENT),
  );
  t.is(server.connections.length, 3);
  t.is(server.targets.length, 30);
});

test('a send that never got a connection was not written', async (t) => {
  const server = await startHttp(t, () => {});
  // In turn: the first attempt, its connect, the second attempt.
  const limits = [20_000, 10_000, 100];
  const clock: typeof systemClock = {
    ...systemClock,
    setTimeout: (callback, ms) => systemClock.setTimeout(callback, limits.shift() ?? ms),
  };
  const transport = transportTo(t, server.port, { maxSockets: 1 }, { clock });
  const busy = new AbortController();
  const first = send(transport, undefined, busy.signal);
  await until(() => server.targets.length === 1);
  t.deepEqual(await send(transport), CONNECT);
  t.is(server.targets.length, 1);
  busy.abort();
  t.deepEqual(await first, ABORTED);
});

test('a URL over 8 KiB is refused before anything is loaded', async (t) => {
  const transport = transportTo(t, 0, { endpoint: 'http://127.0.0.1:9' }, { load: async () => Promise.reject(new Error('loaded')) });
  const rest = 8192 - 'http://127.0.0.1:9'.length;
  t.deepEqual(await send(transport, `/${'a'.repeat(rest)}`), { kind: 'refused', reason: 'too_large' });
  t.deepEqual(await send(transport, `/${'a'.repeat(rest - 1)}`), NETWORK);
});

test('an event that cannot be encoded, and more events than fit, are refused', async (t) => {
  const transport = transportTo(t, 9);
  const { signal } = new AbortController();
  const bad = {
    ...usageEvent(),
    requestTarget: () => {
      throw new Error('secret');
    },
  };
  t.deepEqual(await transport.send([bad], signal), { kind: 'refused', reason: 'invalid' });
  t.deepEqual(await transport.send([usageEvent(), usageEvent()], signal), { kind: 'refused', reason: 'invalid' });
  t.deepEqual(await transport.send([], signal), { kind: 'refused', reason: 'invalid' });
});

test('a load that fails rejects the sends that share it, and a later send loads again', async (t) => {
  let loads = 0;
  const load = async () => {
    loads += 1;
    throw new Error('no such package');
  };
  const transport = transportTo(t, 9, {}, { load });
  t.deepEqual(await Promise.all([send(transport), send(transport), send(transport)]), [NETWORK, NETWORK, NETWORK]);
  t.is(loads, 1);
  t.deepEqual(await send(transport), NETWORK);
  t.is(loads, 2);
});

test('an aborted signal ends a send at any time', async (t) => {
  const server = await startHttp(t, () => {});
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport, undefined, AbortSignal.abort()), ABORTED);
  t.is(server.connections.length, 0);

  const whileLoading = new AbortController();
  const early = send(transport, undefined, whileLoading.signal);
  whileLoading.abort();
  t.deepEqual(await early, ABORTED);

  const whileWaiting = new AbortController();
  const late = send(transport, undefined, whileWaiting.signal);
  await until(() => server.targets.length === 1);
  whileWaiting.abort();
  t.deepEqual(await late, ABORTED);
  await until(() => server.connections.every((socket) => socket.destroyed));
});

test('many sends share a signal without a leak, and leave no timer behind', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => {
    warnings.push(warning);
  };
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  const timers = new Set<unknown>();
  const clock: typeof systemClock = {
    ...systemClock,
    setTimeout: (callback, delayMs) => {
      const timer = systemClock.setTimeout(callback, delayMs);
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      timers.delete(timer);
      systemClock.clearTimeout(timer);
    },
  };
  const server = await startHttp(t, ok);
  const transport = transportTo(t, server.port, {}, { clock });
  const { signal } = new AbortController();
  for (let round = 0; round < 20; round += 1) {
    const sends = Array.from({ length: 50 }, () => send(transport, undefined, signal));
    t.is(getEventListeners(signal, 'abort').length, 1);
    await Promise.all(sends);
  }
  void transport.close?.();
  t.is(getEventListeners(signal, 'abort').length, 0);
  t.is(server.targets.length, 1000);
  t.is(timers.size, 0);
  t.deepEqual(warnings, []);
});

test('close ends what is under way at once, destroys connections, and later sends are aborted', async (t) => {
  const server = await startHttp(t, (request, response) => {
    if (request.url?.endsWith('?ok') === true) response.end();
  });
  const transport = transportTo(t, server.port);
  t.deepEqual(await send(transport, '/v3/x?ok'), SENT);
  const waiting = Promise.all([send(transport), send(transport)]);
  await until(() => server.targets.length === 3);
  void transport.close?.();
  t.deepEqual(await waiting, [ABORTED, ABORTED]);
  await until(() => server.connections.every((socket) => socket.destroyed));
  t.deepEqual(await send(transport), ABORTED);
  t.is(server.targets.length, 3);
  void transport.close?.();
});

test('close does not let queued sends connect', async (t) => {
  const server = await startHttp(t, () => {});
  const transport = transportTo(t, server.port, { maxSockets: 1 });
  const sends = [send(transport), send(transport), send(transport)];
  await until(() => server.targets.length === 1);
  void transport.close?.();
  t.deepEqual(await Promise.all(sends), [ABORTED, ABORTED, ABORTED]);
  t.deepEqual(await send(transportTo(t, server.port, { attemptTimeoutMs: 600 })), TIMEOUT);
  t.is(server.connections.length, 2);
});

test('close before or during the load opens nothing', async (t) => {
  const server = await startHttp(t, ok);
  const unused = transportTo(t, server.port);
  void unused.close?.();
  t.deepEqual(await send(unused), ABORTED);
  const loading = transportTo(t, server.port);
  const early = send(loading);
  void loading.close?.();
  t.deepEqual(await early, ABORTED);
  await send(transportTo(t, server.port));
  t.is(server.connections.length, 1);
});

test('a mistake in the options throws at construction, names the option and hides credentials', (t) => {
  t.throws(() => fetchTransport({ endpoint: 'https://me:secret@example.org' }), {
    instanceOf: TypeError,
    message: 'Expected `endpoint` to be an http or https URL without credentials, query or fragment, got "https://***@example.org".',
  });
});
