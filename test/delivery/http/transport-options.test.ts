import test from 'ava';
import type { FetchTransportOptions } from '../../../src/delivery/http/transport-options.js';
import { checkTransportOptions } from '../../../src/delivery/http/transport-options.js';

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
  const given = { endpoint, connectTimeoutMs: 1, attemptTimeoutMs: 2, allowedRedirectHosts: ['Example.NET'], proxy: 'http://p', maxSockets: 3, env, logger };
  t.deepEqual(checkTransportOptions(given), { ...given, endpoint: 'https://example.org/base', allowedRedirectHosts: new Set(['example.net']) });
  t.is(checkTransportOptions({ endpoint, proxy: false }).proxy, false);
});

test('a key given as undefined counts as not given', (t) => {
  const given = { endpoint, connectTimeoutMs: undefined, env: undefined, logger: undefined, proxy: undefined, allowedRedirectHosts: undefined };
  t.is(checkTransportOptions(given as unknown as FetchTransportOptions).connectTimeoutMs, 400);
});

const mistakes: readonly (readonly [unknown, string])[] = [
  [undefined, 'options must be an object, not undefined'],
  ['https://me:secret@example.org', 'options must be an object, not "https://***@example.org"'],
  [{}, 'endpoint must be an http or https URL without credentials, query or fragment, not undefined'],
  [{ endpoint, timeoutMs: 7 }, 'unknown option "timeoutMs": 7'],
  [{ endpoint, Proxy: 'http://me:secret@proxy' }, 'unknown option "Proxy": "http://***@proxy"'],
  [{ endpoint, connectTimeoutMs: 0 }, 'connectTimeoutMs must be a whole number from 1 to 2147483647, not 0'],
  [{ endpoint, connectTimeoutMs: 1.5 }, 'connectTimeoutMs must be a whole number from 1 to 2147483647, not 1.5'],
  [{ endpoint, attemptTimeoutMs: '1000' }, 'attemptTimeoutMs must be a whole number from 1 to 2147483647, not "1000"'],
  [{ endpoint, attemptTimeoutMs: Number.POSITIVE_INFINITY }, 'attemptTimeoutMs must be a whole number from 1 to 2147483647, not Infinity'],
  [{ endpoint, maxSockets: -1 }, 'maxSockets must be a whole number from 1 to 2147483647, not -1'],
  [{ endpoint, maxSockets: null }, 'maxSockets must be a whole number from 1 to 2147483647, not null'],
  [{ endpoint, allowedRedirectHosts: 'example.net' }, 'allowedRedirectHosts must be an array of host names, not "example.net"'],
  [{ endpoint, allowedRedirectHosts: ['*.net'] }, 'allowedRedirectHosts must be an array of host names without scheme, port or wildcard, not "*.net"'],
  [{ endpoint, allowedRedirectHosts: [7] }, 'allowedRedirectHosts must be an array of host names without scheme, port or wildcard, not 7'],
  [{ endpoint, proxy: true }, 'proxy must be a URL or false, not true'],
  [{ endpoint, env: null }, 'env must be an object of strings, not null'],
  [{ endpoint, logger: console.log }, 'logger must be an object with debug and warn, not a value of type function'],
  [{ endpoint, logger: { warn: () => {} } }, 'logger must be an object with debug and warn, not a value of type object'],
];

for (const [given, message] of mistakes) {
  test(message, (t) => {
    t.throws(() => checkTransportOptions(given as FetchTransportOptions), { instanceOf: TypeError, message });
  });
}
