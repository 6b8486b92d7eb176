import { getEventListeners } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import test from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { checkTransportOptions, fetchTransport } from '../../../src/delivery/http/fetch-transport.js';
import type { FetchTransportOptions } from '../../../src/delivery/http/fetch-transport.js';
import type { SendOutcome } from '../../../src/delivery/transport.js';
import { startHttp, until } from '../../helpers/loopback.js';
import { send, transportTo } from '../../helpers/sending.js';
import { usageEvent } from '../../helpers/usage-event.js';

const ok: RequestListener = (_request, response) => {
  response.end('ok');
};

const SENT: SendOutcome = { kind: 'sent' };
const ABORTED: SendOutcome = { kind: 'aborted' };
const BUSY: SendOutcome = { kind: 'deferred', waitMs: 50, reason: 'busy' };
const NETWORK: SendOutcome = { kind: 'rejected', reason: 'network' };
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };
const INVALID: SendOutcome = { kind: 'refused', reason: 'invalid' };

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
  t.deepEqual(await transport.send([bad], signal), INVALID);
  t.deepEqual(await transport.send([usageEvent(), usageEvent()], signal), INVALID);
  t.deepEqual(await transport.send([], signal), INVALID);
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
      const timer = systemClock.setTimeout(() => {
        timers.delete(timer);
        callback();
      }, delayMs);
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      timers.delete(timer);
      systemClock.clearTimeout(timer);
    },
  };
  const server = await startHttp(t, ok);
  const transport = transportTo(t, server.port, { maxSockets: 50 }, { clock });
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

test('close aborts sends in flight at once and destroys connections; later sends are aborted', async (t) => {
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
  // The second and the third waited for their turn: they were not tried.
  t.deepEqual(await Promise.all(sends), [ABORTED, BUSY, BUSY]);
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

test('a signal aborts its own sends and no others', async (t) => {
  const held: ServerResponse[] = [];
  const server = await startHttp(t, (request, response) => {
    if (request.url === '/base/other') held.push(response);
  });
  const transport = transportTo(t, server.port);
  const first = new AbortController();
  const aborted = [send(transport, undefined, first.signal), send(transport, undefined, first.signal)];
  const other = send(transport, '/other');
  await until(() => server.targets.length === 3);
  first.abort();
  t.deepEqual(await Promise.all(aborted), [ABORTED, ABORTED]);
  held[0]?.end();
  t.deepEqual(await other, SENT);
});

test('a transport listens to 48 signals at most: the oldest idle ones lose their listener, one in use keeps it', async (t) => {
  const server = await startHttp(t, (request, response) => {
    if (request.url !== '/base/silent') response.end();
  });
  const transport = transportTo(t, server.port);
  const busy = new AbortController();
  const waiting = send(transport, '/silent', busy.signal);
  const signals = Array.from({ length: 100 }, () => new AbortController().signal);
  for (const signal of signals) await send(transport, undefined, signal);
  const listenedTo = signals.map((signal) => getEventListeners(signal, 'abort').length);
  t.deepEqual(listenedTo, [...Array<number>(53).fill(0), ...Array<number>(47).fill(1)]);
  busy.abort();
  t.deepEqual(await waiting, ABORTED);
});

test('a mistake in the options throws at construction, names the option and hides credentials', (t) => {
  t.throws(() => fetchTransport({ endpoint: 'https://me:secret@example.org' }), {
    instanceOf: TypeError,
    message: 'Expected `endpoint` to be an http or https URL without credentials, query or fragment, got "https://***@example.org".',
  });
});

const endpoint = 'https://example.org/base/';

test('an option that is not given has its default', (t) => {
  const { env, ...rest } = checkTransportOptions({ endpoint });
  t.is(env['PATH'], process.env['PATH']);
  t.deepEqual(rest, {
    endpoint: 'https://example.org/base',
    connectTimeoutMs: 5000,
    attemptTimeoutMs: 10_000,
    allowedRedirectHosts: new Set(),
    proxy: undefined,
    maxSockets: 24,
    logger: undefined,
  });
});

test('an option that is given is used', (t) => {
  const env = { HTTPS_PROXY: 'http://proxy' };
  const logger = { debug: () => {}, warn: () => {} };
  const given = {
    endpoint,
    connectTimeoutMs: 1,
    attemptTimeoutMs: 2,
    allowedRedirectHosts: ['Example.NET'],
    proxy: 'http://p',
    maxSockets: 3,
    logger,
  };
  const { env: used, ...rest } = checkTransportOptions({ ...given, env });
  t.is(used['HTTPS_PROXY'], 'http://proxy');
  t.deepEqual(rest, {
    ...given,
    endpoint: 'https://example.org/base',
    allowedRedirectHosts: new Set(['example.net']),
  });
  t.is(checkTransportOptions({ endpoint, proxy: false }).proxy, false);
});

test('a key given as undefined counts as not given', (t) => {
  const given = {
    endpoint,
    connectTimeoutMs: undefined,
    env: undefined,
    logger: undefined,
    proxy: undefined,
    allowedRedirectHosts: undefined,
  };
  t.is(checkTransportOptions(given as unknown as FetchTransportOptions).connectTimeoutMs, 5000);
});

const mistakes: readonly (readonly [unknown, string])[] = [
  [undefined, 'Expected `options of fetchTransport` to be an object, got undefined.'],
  ['https://me:secret@example.org', 'Expected `options of fetchTransport` to be an object, got "https://***@example.org".'],
  [{}, 'Expected `endpoint` to be an http or https URL without credentials, query or fragment, got undefined.'],
  [{ endpoint, timeoutMs: 7 }, 'Expected `options of fetchTransport` to have known keys only, got `timeoutMs` with 7.'],
  [
    { endpoint, Proxy: 'http://me:secret@proxy' },
    'Expected `options of fetchTransport` to have known keys only, got `Proxy` with "http://***@proxy".',
  ],
  [{ endpoint, connectTimeoutMs: 0 }, 'Expected `connectTimeoutMs` to be a number of milliseconds from 1 to 2147483647, got 0.'],
  [{ endpoint, attemptTimeoutMs: '1000' }, 'Expected `attemptTimeoutMs` to be a number of milliseconds from 1 to 2147483647, got "1000".'],
  [
    { endpoint, attemptTimeoutMs: Number.POSITIVE_INFINITY },
    'Expected `attemptTimeoutMs` to be a number of milliseconds from 1 to 2147483647, got Infinity.',
  ],
  [{ endpoint, maxSockets: -1 }, 'Expected `maxSockets` to be a whole number from 1 to 1000000, got -1.'],
  [{ endpoint, maxSockets: null }, 'Expected `maxSockets` to be a whole number from 1 to 1000000, got null.'],
  [
    { endpoint, allowedRedirectHosts: 'example.net' },
    'Expected `allowedRedirectHosts` to be a list of host names without scheme, port or wildcard, got "example.net".',
  ],
  [
    { endpoint, allowedRedirectHosts: ['*.net'] },
    'Expected `allowedRedirectHosts` to be a list of host names without scheme, port or wildcard, got an array.',
  ],
  [
    { endpoint, allowedRedirectHosts: [7] },
    'Expected `allowedRedirectHosts` to be a list of host names without scheme, port or wildcard, got an array.',
  ],
  [{ endpoint, proxy: true }, 'Expected `proxy` to be a URL or false, got true.'],
  [{ endpoint, env: null }, 'Expected `env` to be an object, got null.'],
  [{ endpoint, logger: console.log }, 'Expected `logger` to be an object with `debug()` and `warn()`, got a function.'],
  [{ endpoint, logger: { warn: () => {} } }, 'Expected `logger` to be an object with `debug()` and `warn()`, got an object.'],
];

for (const [index, [given, message]] of mistakes.entries()) {
  test(`${message} (${index})`, (t) => {
    t.throws(() => checkTransportOptions(given as FetchTransportOptions), { instanceOf: TypeError, message });
  });
}
