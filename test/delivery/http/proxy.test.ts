import test from 'ava';
import { decideProxy, isExempt } from '../../../src/delivery/http/proxy.js';

type Env = Record<string, string>;

/** A decision as the tests write it: `direct`, `invalid SOURCE` or the URL of the proxy. */
function decision(target: string, env: Env, option?: string | false): string {
  const chosen = decideProxy(new URL(target), option, env);
  if (chosen.kind === 'proxied') return chosen.proxy.url.href;
  return chosen.kind === 'invalid' ? `invalid ${chosen.source}` : 'direct';
}

const HTTPS = 'https://example.org/v3/x';
const HTTP = 'http://example.org/v3/x';

const byEnvironment: readonly (readonly [string, Env, string])[] = [
  [HTTPS, {}, 'direct'],
  [HTTPS, { HTTPS_PROXY: 'http://proxy:3128' }, 'http://proxy:3128/'],
  [HTTPS, { https_proxy: 'http://proxy:3128' }, 'http://proxy:3128/'],
  [HTTPS, { https_proxy: 'http://lower:1', HTTPS_PROXY: 'http://upper:2' }, 'http://lower:1/'],
  [HTTPS, { HTTP_PROXY: 'http://proxy:3128' }, 'direct'],
  [HTTP, { HTTP_PROXY: 'http://proxy:3128' }, 'http://proxy:3128/'],
  [HTTP, { http_proxy: 'http://proxy:3128' }, 'http://proxy:3128/'],
  [HTTP, { HTTPS_PROXY: 'http://proxy:3128' }, 'direct'],
  [HTTP, { ALL_PROXY: 'http://proxy:3128' }, 'http://proxy:3128/'],
  [HTTPS, { all_proxy: 'https://proxy' }, 'https://proxy/'],
  [HTTPS, { HTTPS_PROXY: 'http://own:1', ALL_PROXY: 'http://all:2' }, 'http://own:1/'],
  [HTTPS, { https_proxy: '', HTTPS_PROXY: 'http://upper:2', ALL_PROXY: 'http://all:3' }, 'direct'],
  [HTTPS, { HTTPS_PROXY: '  ' }, 'direct'],
  [HTTPS, { HTTPS_PROXY: 'proxy.example:3128' }, 'http://proxy.example:3128/'],
  [HTTPS, { HTTPS_PROXY: ' http://proxy:3128 ' }, 'http://proxy:3128/'],
  [HTTPS, { HTTPS_PROXY: 'socks5://proxy:1080' }, 'invalid HTTPS_PROXY'],
  [HTTPS, { HTTPS_PROXY: 'pac+http://proxy/x.pac' }, 'invalid HTTPS_PROXY'],
  [HTTPS, { https_proxy: 'http://' }, 'invalid https_proxy'],
  [HTTPS, { ALL_PROXY: 'http://a b' }, 'invalid ALL_PROXY'],
  [HTTPS, { HTTPS_PROXY: 'http://proxy:99999' }, 'invalid HTTPS_PROXY'],
  [HTTPS, { HTTPS_PROXY: 'http://proxy', NO_PROXY: 'example.org' }, 'direct'],
  [HTTPS, { HTTPS_PROXY: 'nonsense://', NO_PROXY: '*' }, 'direct'],
  ['https://example.org:8443/', { HTTPS_PROXY: 'http://proxy', NO_PROXY: 'example.org:8443' }, 'direct'],
  [HTTPS, { HTTPS_PROXY: 'http://proxy', NO_PROXY: 'example.org:443' }, 'direct'],
  [HTTP, { HTTP_PROXY: 'http://proxy', NO_PROXY: 'example.org:80' }, 'direct'],
  [HTTP, { HTTP_PROXY: 'http://proxy', NO_PROXY: 'example.org:443' }, 'http://proxy/'],
];

for (const [target, env, expected] of byEnvironment) {
  test(`${target} with ${JSON.stringify(env)}: ${expected}`, (t) => {
    t.is(decision(target, env), expected);
  });
}

for (const host of ['localhost:8080', 'api.localhost', '127.0.0.1:8080', '127.8.9.10', '[::1]:8080']) {
  test(`${host} is never proxied, whatever option and variables say`, (t) => {
    const env = { HTTP_PROXY: 'http://proxy', HTTPS_PROXY: 'socks5://proxy', ALL_PROXY: 'http://proxy' };
    t.is(decision(`http://${host}/`, env), 'direct');
    t.is(decision(`https://${host}/`, env), 'direct');
    t.is(decision(`https://${host}/`, env, 'http://proxy'), 'direct');
    t.is(decision(`https://${host}/`, env, 'nonsense'), 'direct');
  });
}

test('the option comes before every variable, NO_PROXY included', (t) => {
  const env = { HTTPS_PROXY: 'http://variable', NO_PROXY: '*' };
  t.is(decision(HTTPS, env, 'http://option:1'), 'http://option:1/');
  t.is(decision(HTTPS, { HTTPS_PROXY: 'http://variable' }, false), 'direct');
  t.is(decision(HTTPS, {}, 'socks5://proxy'), 'invalid proxy');
  t.is(decision(HTTPS, {}, ''), 'invalid proxy');
});

test('credentials become a header and are removed from the URL', (t) => {
  const chosen = decideProxy(new URL(HTTPS), 'http://me:s%40cret%25@proxy:3128', {});
  t.true(chosen.kind === 'proxied');
  if (chosen.kind !== 'proxied') return;
  t.is(chosen.proxy.url.href, 'http://proxy:3128/');
  t.is(chosen.proxy.authorization, 'Basic bWU6c0BjcmV0JQ==');
});

test('credentials that are not percent-encoded are used as they are', (t) => {
  const chosen = decideProxy(new URL(HTTPS), 'http://me:100%@proxy:3128', {});
  t.is(chosen.kind === 'proxied' ? chosen.proxy.authorization : '', 'Basic bWU6MTAwJQ==');
});

test('a proxy without credentials gets no header', (t) => {
  const chosen = decideProxy(new URL(HTTPS), 'http://proxy:3128', {});
  t.is(chosen.kind === 'proxied' ? chosen.proxy.authorization : '', undefined);
});

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
