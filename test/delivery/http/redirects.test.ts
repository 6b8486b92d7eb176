import test from 'ava';
import { isRedirect, nextHop, parseRedirectHost } from '../../../src/delivery/http/responses.js';

const ORIGIN = 'https://example.org';
const CURRENT = 'https://example.org/base/v3/dag_run?a=1';
const ALLOWED: ReadonlySet<string> = new Set(['other.example.net', '[2001:db8::1]']);

test('only 301, 302, 303, 307 and 308 ask to go elsewhere', (t) => {
  const redirects = Array.from({ length: 600 }, (_, status) => status).filter(isRedirect);
  t.deepEqual(redirects, [301, 302, 303, 307, 308]);
});

const followed: readonly (readonly [string, string])[] = [
  ['/elsewhere', 'https://example.org/elsewhere'],
  ['next?b=2', 'https://example.org/base/v3/next?b=2'],
  ['https://example.org/x', 'https://example.org/x'],
  ['https://EXAMPLE.org:443/x', 'https://example.org/x'],
  ['//example.org/x', 'https://example.org/x'],
  ['https://other.example.net/x', 'https://other.example.net/x'],
  ['https://OTHER.example.net:443/x', 'https://other.example.net/x'],
  ['https://[2001:db8:0::1]/x', 'https://[2001:db8::1]/x'],
  ['/x?airflow_version=2.10.1%252Bastro.1&a=%2A+b', 'https://example.org/x?airflow_version=2.10.1%252Bastro.1&a=%2A+b'],
  ['/x#fragment', 'https://example.org/x'],
];

for (const [location, expected] of followed) {
  test(`followed: ${location}`, (t) => {
    t.is(nextHop(location, CURRENT, ORIGIN, ALLOWED)?.href, expected);
  });
}

const refused: readonly (string | null)[] = [
  null,
  'http://example.org/x',
  'http://other.example.net/x',
  'https://example.org:8443/x',
  'https://other.example.net:8443/x',
  'https://sub.other.example.net/x',
  'https://sub.example.org/x',
  'https://example.org.evil.net/x',
  'https://me:secret@example.org/x',
  'https://me@example.org/x',
  'https://evil.net/x',
  '//evil.net/x',
  '\\\\evil.net/x',
  'ftp://example.org/x',
  'data:text/plain,x',
  'javascript:alert(1)',
  'https://',
  'https://exa mple.org',
  `/${'a'.repeat(8192)}`,
];

for (const location of refused) {
  test(`refused: ${String(location).slice(0, 60)}`, (t) => {
    t.is(nextHop(location, CURRENT, ORIGIN, ALLOWED), undefined);
  });
}

test('an http endpoint may lead to https, but not to another port of its own host', (t) => {
  const allowed = new Set(['example.org']);
  const current = 'http://example.org:8080/v3/x';
  t.is(nextHop('https://example.org/x', current, 'http://example.org:8080', allowed)?.href, 'https://example.org/x');
  t.is(nextHop('http://example.org/x', current, 'http://example.org:8080', allowed)?.href, 'http://example.org/x');
  t.is(nextHop('http://example.org:8080/x', current, 'http://example.org:8080', allowed)?.href, 'http://example.org:8080/x');
  t.is(nextHop('http://example.org:8081/x', current, 'http://example.org:8080', allowed), undefined);
});

test('once https, a chain never comes back to http, not even to the endpoint itself', (t) => {
  const hop = nextHop('http://example.org/x', 'https://other.example.net/y', 'http://example.org', ALLOWED);
  t.is(hop, undefined);
});

test('host names are taken as a URL spells them', (t) => {
  t.is(parseRedirectHost('Other.Example.NET'), 'other.example.net');
  t.is(parseRedirectHost('bücher.example'), 'xn--bcher-kva.example');
  t.is(parseRedirectHost('[2001:DB8::1]'), '[2001:db8::1]');
  t.is(parseRedirectHost('192.0.2.1'), '192.0.2.1');
});

for (const host of [
  '',
  'example.org:443',
  'https://example.org',
  'example.org/',
  '*.example.org',
  'a b',
  'me@example.org',
  '2001:db8::1',
  '[::',
  'a?b',
  'a#b',
  'a\\b',
]) {
  test(`no host name: ${JSON.stringify(host)}`, (t) => {
    t.is(parseRedirectHost(host), undefined);
  });
}
