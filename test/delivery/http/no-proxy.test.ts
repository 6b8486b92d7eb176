import test from 'ava';
import { isExempt } from '../../../src/delivery/http/proxy.js';

const exempt: readonly (readonly [string, string, number])[] = [
  ['*', 'example.org', 443],
  ['other.net, *', 'example.org', 443],
  ['example.org', 'example.org', 443],
  ['Example.ORG', 'example.org', 443],
  ['example.org.', 'example.org', 443],
  ['example.org', 'sub.example.org', 443],
  ['.example.org', 'sub.example.org', 443],
  ['.example.org', 'example.org', 443],
  ['*.example.org', 'a.b.example.org', 443],
  ['org', 'example.org', 443],
  ['a.net,example.org', 'example.org', 443],
  ['a.net example.org', 'example.org', 443],
  [' , example.org ,', 'example.org', 443],
  ['example.org:443', 'example.org', 443],
  ['.example.org:8443', 'sub.example.org', 8443],
  ['10.1.2.3', '10.1.2.3', 80],
  ['10.1.2.3:80', '10.1.2.3', 80],
  ['10.0.0.0/8', '10.255.1.2', 80],
  ['2001:db8::1', '2001:db8::1', 80],
  ['[2001:db8::1]', '2001:db8::1', 80],
  ['[2001:db8::1]:80', '2001:db8::1', 80],
  ['2001:db8::/32', '2001:db8:1::9', 80],
];

for (const [list, host, port] of exempt) {
  test(`NO_PROXY=${list} exempts ${host}:${port}`, (t) => {
    t.true(isExempt(host, port, { NO_PROXY: list }));
    t.true(isExempt(host, port, { no_proxy: list }));
  });
}

const proxied: readonly (readonly [string, string, number])[] = [
  ['', 'example.org', 443],
  [' , ', 'example.org', 443],
  ['ample.org', 'example.org', 443],
  ['sub.example.org', 'example.org', 443],
  ['example.org:80', 'example.org', 443],
  ['example.org.evil.net', 'example.org', 443],
  ['.', 'example.org', 443],
  ['2.3', '10.1.2.3', 80],
  ['10.1.2.3:81', '10.1.2.3', 80],
  ['11.0.0.0/8', '10.1.2.3', 80],
  ['10.0.0.0/33', '10.1.2.3', 80],
  ['10.0.0.0/x', '10.1.2.3', 80],
  ['10.0.0.0/', '10.1.2.3', 80],
  ['10.0.0.0/8', 'example.org', 80],
  ['example.org/8', 'example.org', 80],
  ['2001:db8::/32', '2001:db9::1', 80],
  ['[2001:db8::1]:81', '2001:db8::1', 80],
];

for (const [list, host, port] of proxied) {
  test(`NO_PROXY=${list} does not exempt ${host}:${port}`, (t) => {
    t.false(isExempt(host, port, { NO_PROXY: list }));
  });
}

test('the lower-case variable is read first, and without either nothing is exempt', (t) => {
  t.false(isExempt('example.org', 443, { no_proxy: 'other.net', NO_PROXY: '*' }));
  t.true(isExempt('example.org', 443, { no_proxy: '*', NO_PROXY: 'other.net' }));
  t.false(isExempt('example.org', 443, {}));
});
