import test from 'ava';
import { proves } from '../../helpers/promises.js';
import { isRedirect, nextHop, parseRedirectHost, retryAfterMs, statusOutcome } from '../../../src/delivery/http/responses.js';

const clock = { wallNow: () => 0 };

function headers(retryAfter: string | null): { get(name: string): string | null } {
  return { get: (name) => (name === 'retry-after' ? retryAfter : null) };
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

for (const status of [200, 201, 202, 204, 299]) {
  test(`${status} is sent, whatever Retry-After says`, (t) => {
    t.deepEqual(statusOutcome(status, headers('60'), clock), { kind: 'sent' });
  });
}

for (const status of [408, 425, 429, 500, 502, 503, 504, 506, 507, 508, 510, ...range(520, 530), 561, 598, 599]) {
  test(proves('retry-status', `${status} is retryable, and deferred with a Retry-After`), (t) => {
    const retryable = { kind: 'retryable', reason: `http_${status}` };
    t.deepEqual(statusOutcome(status, headers(null), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('rubbish'), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('-5'), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('0'), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('60'), clock), { kind: 'deferred', waitMs: 60_000, reason: `http_${status}` });
    t.deepEqual(statusOutcome(status, headers('86400'), clock), { kind: 'deferred', waitMs: 300_000, reason: `http_${status}` });
  });
}

for (const status of [300, 304, 305, 400, 401, 403, 404, 407, 410, 413, 414, 431, 499, 501, 505, 511, 600, 999]) {
  test(`${status} is rejected, whatever Retry-After says`, (t) => {
    t.deepEqual(statusOutcome(status, headers('60'), clock), { kind: 'rejected', reason: `http_${status}` });
  });
}

/** Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110 for its three forms of a date. */
const THEN = 784_111_777_000;

const cases: readonly (readonly [string | null, number, number | undefined])[] = [
  [null, 0, undefined],
  ['', 0, undefined],
  ['0', 0, 0],
  ['7', 0, 7000],
  [' 7 ', 0, 7000],
  ['300', 0, 300_000],
  ['301', 0, 300_000],
  ['3600', 0, 300_000],
  ['99999999999999999999999999', 0, 300_000],
  ['-7', 0, undefined],
  ['+7', 0, undefined],
  ['1.5', 0, undefined],
  ['1e3', 0, undefined],
  ['0x10', 0, undefined],
  ['7, 8', 0, undefined],
  ['soon', 0, undefined],
  ['NaN', 0, undefined],
  ['1994', THEN, 300_000],
  ['Sun, 06 Nov 1994 08:49:37 GMT', THEN - 20_000, 20_000],
  ['Sunday, 06-Nov-94 08:49:37 GMT', THEN - 20_000, 20_000],
  ['Sun Nov  6 08:49:37 1994', THEN - 20_000, 20_000],
  ['Sun, 06 Nov 1994 08:49:37 GMT', THEN, 0],
  ['Sun, 06 Nov 1994 08:49:37 GMT', THEN + 1000, 0],
  ['Sun, 06 Nov 1994 08:49:37 GMT', THEN - 3_600_000, 300_000],
  ['Sun, 06 Nov 1994 08:49:37', THEN, undefined],
  ['Sun, 06 Nov 1994 08:49:37 PST', THEN, undefined],
  ['Sun, 06 Foo 1994 08:49:37 GMT', THEN, undefined],
  ['1994-11-06T08:49:37Z', THEN, undefined],
];

for (const [header, now, expected] of cases) {
  test(`Retry-After ${JSON.stringify(header)} read at ${now} asks for ${String(expected)} ms`, (t) => {
    t.is(retryAfterMs(header, now), expected);
  });
}

const BY_SERVER = Date.UTC(2026, 0, 1, 12);
const dates: readonly (readonly [string, string | null, number, number])[] = [
  ['Thu, 01 Jan 2026 12:00:10 GMT', 'Thu, 01 Jan 2026 12:00:00 GMT', BY_SERVER + 10_000, 10_000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', 'Thu, 01 Jan 2026 12:00:00 GMT', 0, 10_000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', ' Thursday, 01-Jan-26 12:00:00 GMT ', BY_SERVER + 86_400_000, 10_000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', 'Thu Jan  1 12:00:00 2026', BY_SERVER - 86_400_000, 10_000],
  ['Thu, 01 Jan 2026 13:00:00 GMT', 'Thu, 01 Jan 2026 12:00:00 GMT', BY_SERVER + 3_600_000, 300_000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', null, BY_SERVER + 4000, 6000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', 'today', BY_SERVER + 4000, 6000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', 'Thu, 99 Jan 2026 12:00:00 GMT', BY_SERVER + 4000, 6000],
  ['Thu, 01 Jan 2026 12:00:10 GMT', '1767268800', BY_SERVER + 4000, 6000],
  ['10', 'Thu, 01 Jan 2026 12:00:00 GMT', BY_SERVER + 3_600_000, 10_000],
];

for (const [retryAfter, date, wallMs, waitMs] of dates) {
  test(proves('retry-after', `${retryAfter} in an answer of ${String(date)}, read at ${wallMs}, asks for ${waitMs} ms`), (t) => {
    const answer = new Map([
      ['retry-after', retryAfter],
      ['date', date],
    ]);
    const outcome = statusOutcome(503, { get: (name) => answer.get(name) ?? null }, { wallNow: () => wallMs });
    t.deepEqual(outcome, { kind: 'deferred', waitMs, reason: 'http_503' });
  });
}

test('a date that is not after the date of the answer is no pause', (t) => {
  const same = 'Thu, 01 Jan 2026 12:00:00 GMT';
  t.deepEqual(statusOutcome(503, { get: () => same }, { wallNow: () => 0 }), { kind: 'retryable', reason: 'http_503' });
});

const ORIGIN = 'https://example.org';
const CURRENT = 'https://example.org/base/v3/dag_run?a=1';
const ALLOWED: ReadonlySet<string> = new Set(['other.example.net', '[2001:db8::1]']);

test('only 301, 302, 303, 307 and 308 are redirects', (t) => {
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
  test(`redirect followed: ${location}`, (t) => {
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
  test(`redirect refused: ${String(location).slice(0, 60)}`, (t) => {
    t.is(nextHop(location, CURRENT, ORIGIN, ALLOWED), undefined);
  });
}

test('an http endpoint may redirect to https, but not to another port of its own host', (t) => {
  const allowed = new Set(['example.org']);
  const current = 'http://example.org:8080/v3/x';
  t.is(nextHop('https://example.org/x', current, 'http://example.org:8080', allowed)?.href, 'https://example.org/x');
  t.is(nextHop('http://example.org/x', current, 'http://example.org:8080', allowed)?.href, 'http://example.org/x');
  t.is(nextHop('http://example.org:8080/x', current, 'http://example.org:8080', allowed)?.href, 'http://example.org:8080/x');
  t.is(nextHop('http://example.org:8081/x', current, 'http://example.org:8080', allowed), undefined);
});

test('a redirect never leads from https to http, not even to the endpoint itself', (t) => {
  const hop = nextHop('http://example.org/x', 'https://other.example.net/y', 'http://example.org', ALLOWED);
  t.is(hop, undefined);
});

test('allowed redirect hosts are spelled as in a URL', (t) => {
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
  test(`not a host name: ${JSON.stringify(host)}`, (t) => {
    t.is(parseRedirectHost(host), undefined);
  });
}
