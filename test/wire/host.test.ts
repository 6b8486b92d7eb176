import test from 'ava';
import { bareHost, isLocalhostName, isLoopback } from '../../src/wire/host.js';

for (const url of [
  'http://localhost',
  'http://LOCALHOST.:80',
  'http://a.b.localhost',
  'http://127.0.0.1',
  'http://127.1',
  'http://127.255.0.9',
  'http://2130706433',
  'http://[::1]:80',
  'http://[::ffff:127.0.0.1]',
]) {
  test(`loopback: ${url}`, (t) => {
    t.true(isLoopback(bareHost(new URL(url).hostname)));
  });
}

for (const url of [
  'http://localhost.example.org',
  'http://notlocalhost',
  'http://127.0.0.evil.net',
  'http://128.0.0.1',
  'http://10.0.0.1',
  'http://[::2]',
  'http://[::ffff:10.0.0.1]',
  'http://[7f::1]',
]) {
  test(`not loopback: ${url}`, (t) => {
    t.false(isLoopback(bareHost(new URL(url).hostname)));
  });
}

test('only localhost and names under it are loopback by name', (t) => {
  t.true(isLocalhostName('localhost'));
  t.true(isLocalhostName('x.localhost'));
  t.false(isLocalhostName('xlocalhost'));
  t.false(isLocalhostName('127.0.0.1'));
});
