import test from 'ava';
import type { FetchTransportOptions } from '../../../src/delivery/http/fetch-transport.js';
import { checkTransportOptions } from '../../../src/delivery/http/fetch-transport.js';

const endpoint = 'https://example.org/base/';

test('what is not given has its default', (t) => {
  t.deepEqual(checkTransportOptions({ endpoint }), {
    endpoint: 'https://example.org/base',
    connectTimeoutMs: 400,
    attemptTimeoutMs: 1000,
    allowedRedirectHosts: new Set(),
    proxy: undefined,
    maxSockets: 24,
    env: process.env,
    logger: undefined,
  });
});

test('what is given is taken', (t) => {
  const env = { HTTPS_PROXY: 'http://proxy' };
  const logger = { debug: () => {}, warn: () => {} };
  const given = {
    endpoint,
    connectTimeoutMs: 1,
    attemptTimeoutMs: 2,
    allowedRedirectHosts: ['Example.NET'],
    proxy: 'http://p',
    maxSockets: 3,
    env,
    logger,
  };
  t.deepEqual(checkTransportOptions(given), {
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
  t.is(checkTransportOptions(given as unknown as FetchTransportOptions).connectTimeoutMs, 400);
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
