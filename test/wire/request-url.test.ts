import test from 'ava';
import { isTooLong, MAX_URL_BYTES, parseEndpoint, requestUrl } from '../../src/wire/url.js';
import { readVectors } from '../helpers/vectors.js';

const accepted: readonly (readonly [string | URL, string])[] = [
  ['https://example.org', 'https://example.org'],
  ['https://example.org/', 'https://example.org'],
  ['https://example.org/base///', 'https://example.org/base'],
  ['HTTP://Example.ORG:80/Base', 'http://example.org/Base'],
  ['http://127.0.0.1:8080/a%20b/', 'http://127.0.0.1:8080/a%20b'],
  ['http://[::1]:9/', 'http://[::1]:9'],
  [new URL('https://example.org/base/'), 'https://example.org/base'],
];

for (const [given, base] of accepted) {
  test(`an endpoint is taken as its base: ${String(given)}`, (t) => {
    t.is(parseEndpoint(given, 'endpoint'), base);
  });
}

const refused: readonly (readonly [unknown, string])[] = [
  ['https://me:secret@example.org/base', '"https://***@example.org/base"'],
  ['https://secret@example.org', '"https://***@example.org"'],
  ['https://example.org/?token=secret', '"https://example.org/?..."'],
  ['https://example.org/?', '"https://example.org/?..."'],
  ['https://example.org/#secret', '"https://example.org/#..."'],
  [new URL('https://me:secret@example.org/'), '"https://***@example.org/"'],
  ['ftp://example.org', '"ftp://example.org"'],
  ['example.org/base', '"example.org/base"'],
  ['', '""'],
  [undefined, 'undefined'],
  [null, 'null'],
  [7, '7'],
  [{ href: 'https://example.org' }, 'an object'],
  [['https://example.org'], 'an array'],
];

for (const [index, [given, shown]] of refused.entries()) {
  test(`an endpoint is refused, and shown as ${shown} (${index})`, (t) => {
    t.throws(() => parseEndpoint(given, 'endpoint'), {
      instanceOf: TypeError,
      message: `Expected endpoint to be an http or https URL without credentials, query or fragment, got ${shown}.`,
    });
  });
}

test('the message names the option it was given', (t) => {
  t.throws(() => parseEndpoint('', 'ACME_TELEMETRY_ENDPOINT'), { message: /^Expected ACME_TELEMETRY_ENDPOINT to be / });
});

test('a base and a target make the recorded URLs', (t) => {
  const { cases } = readVectors('urls.json') as { cases: readonly { url: string }[] };
  t.true(cases.length > 0);
  for (const { url } of cases) {
    const at = url.indexOf('/v3/');
    t.is(requestUrl(parseEndpoint(`${url.slice(0, at)}/`, 'endpoint'), url.slice(at)), url);
  }
});

test('a URL may have 8192 bytes and no more, counted as it travels', (t) => {
  t.is(MAX_URL_BYTES, 8192);
  t.false(isTooLong('a'.repeat(8192)));
  t.true(isTooLong('a'.repeat(8193)));
  t.true(isTooLong('é'.repeat(4097)));
  t.false(isTooLong('é'.repeat(4096)));
});
