import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';
import { COSMOS_ENDPOINT } from '../../src/base/constants.js';
import { pythonFloat, pythonStr, quote, quotePlus, urlencode } from '../../src/wire/python.js';
import type { MetricValue } from '../../src/wire/python.js';
import { isTooLong, MAX_URL_BYTES, parseEndpoint, requestUrl } from '../../src/wire/url.js';
import { proves } from '../helpers/promises.js';
import { readVectors } from '../helpers/vectors.js';

/** Written by hand, from the output of `repr(float)` in Python 3. */
const FLOATS: readonly [number, string][] = [
  [0, '0.0'],
  [-0, '-0.0'],
  [7, '7.0'],
  [-7, '-7.0'],
  [7.5, '7.5'],
  [0.1, '0.1'],
  [0.1 + 0.2, '0.30000000000000004'],
  [1 / 3, '0.3333333333333333'],
  [100, '100.0'],
  [123_456.789, '123456.789'],
  [0.0001, '0.0001'],
  [0.000_123, '0.000123'],
  [0.000_099_99, '9.999e-05'],
  [0.000_01, '1e-05'],
  [0.000_012, '1.2e-05'],
  [0.000_000_1, '1e-07'],
  [1.5e-7, '1.5e-07'],
  [1e-10, '1e-10'],
  [1.25e-100, '1.25e-100'],
  [5e-324, '5e-324'],
  [2.225_073_858_507_201_4e-308, '2.2250738585072014e-308'],
  [2 ** 53, '9007199254740992.0'],
  [1e15, '1000000000000000.0'],
  [9_999_999_999_999_998, '9999999999999998.0'],
  [1e16, '1e+16'],
  [-1e16, '-1e+16'],
  [12_345_678_901_234_568, '1.2345678901234568e+16'],
  [1e21, '1e+21'],
  [1e22, '1e+22'],
  [1e100, '1e+100'],
  [1.797_693_134_862_315_7e308, '1.7976931348623157e+308'],
  [Infinity, 'inf'],
  [-Infinity, '-inf'],
  [NaN, 'nan'],
];

for (const [value, expected] of FLOATS) {
  test(`pythonFloat: ${expected}`, (t) => {
    t.is(pythonFloat(value), expected);
  });
}

test('pythonStr writes values as str() of Python does', (t) => {
  t.is(pythonStr('text'), 'text');
  t.is(pythonStr(''), '');
  t.is(pythonStr('None'), 'None');
  t.is(pythonStr(null), 'None');
  t.is(pythonStr(true), 'True');
  t.is(pythonStr(false), 'False');
  t.is(pythonStr(0), '0');
  t.is(pythonStr(-0), '0');
  t.is(pythonStr(7), '7');
  t.is(pythonStr(-42), '-42');
  t.is(pythonStr(1.5), '1.5');
  t.is(pythonStr(0.000_01), '1e-05');
});

test('pythonStr writes a whole number as an int with all its digits, however large it is', (t) => {
  t.is(pythonStr(9_007_199_254_740_991), '9007199254740991');
  t.is(pythonStr(9_007_199_254_740_992), '9007199254740992');
  t.is(pythonStr(123_456_789_012_345_680), '123456789012345680');
  t.is(pythonStr(1e16), '10000000000000000');
  t.is(pythonStr(1e21), '1000000000000000000000');
  t.is(pythonStr(-1e22), '-10000000000000000000000');
});

test('every float reads back as itself and looks like a float of Python', (t) => {
  const float = fc.double({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(float, (value) => {
      const text = pythonFloat(value);
      return Object.is(Number(text), value) && /^-?(?:\d+\.\d+|\d(?:\.\d+)?e[+-]\d{2,3})$/.test(text);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

interface UrlVectors {
  cases: { name: string; event_type: string; metrics: [string, MetricValue][]; url: string }[];
}

for (const { name, event_type: type, metrics, url } of (readVectors('urls.json') as UrlVectors).cases) {
  test(`urls.json: ${name}`, (t) => {
    t.is(`${COSMOS_ENDPOINT}/v3/${type}?${urlencode(Object.fromEntries(metrics))}`, url);
  });
}

/** Written by hand, from the results of `quote_plus` and `quote` of Python's urllib. */
const QUOTED: readonly [text: string, plus: string, plain: string][] = [
  ['', '', ''],
  ['AZaz09_.-~', 'AZaz09_.-~', 'AZaz09_.-~'],
  [' ', '+', '%20'],
  ['a b', 'a+b', 'a%20b'],
  ['+', '%2B', '%2B'],
  ['%', '%25', '%25'],
  ['%20', '%2520', '%2520'],
  ['%2F', '%252F', '%252F'],
  ['/', '%2F', '/'],
  ['*', '%2A', '%2A'],
  ["!'()", '%21%27%28%29', '%21%27%28%29'],
  ['&=?#', '%26%3D%3F%23', '%26%3D%3F%23'],
  ['\n\t\r\0', '%0A%09%0D%00', '%0A%09%0D%00'],
  ['é', '%C3%A9', '%C3%A9'],
  ['中', '%E4%B8%AD', '%E4%B8%AD'],
  ['🚀', '%F0%9F%9A%80', '%F0%9F%9A%80'],
  ['\u007F\u0080', '%7F%C2%80', '%7F%C2%80'],
  ['\uD83D', '%EF%BF%BD', '%EF%BF%BD'],
  ['\uDE80', '%EF%BF%BD', '%EF%BF%BD'],
  ['a\uDE80\uD83Db', 'a%EF%BF%BD%EF%BF%BDb', 'a%EF%BF%BD%EF%BF%BDb'],
];

for (const [text, plus, plain] of QUOTED) {
  test(`quotes ${JSON.stringify(text)}`, (t) => {
    t.is(quotePlus(text), plus);
    t.is(quote(text), plain);
  });
}

test('urlencode keeps the order of its pairs and quotes keys as it quotes values', (t) => {
  t.is(urlencode({ z: 1, a: 'x y', 'k&': null, e: true }), 'z=1&a=x+y&k%26=None&e=True');
  t.is(urlencode({}), '');
});

test('every text reads back as itself, and no character of it can split a query', (t) => {
  fc.assert(
    fc.property(anyText(), (text) => {
      const quoted = quotePlus(text);
      return /^[\w.~+%-]*$/.test(quoted) && decodeURIComponent(quoted.replaceAll('+', ' ')) === text.toWellFormed();
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

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
  test(`an endpoint is accepted and normalised: ${String(given)}`, (t) => {
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
  test(`an endpoint is refused and shown as ${shown} (${index})`, (t) => {
    t.throws(() => parseEndpoint(given, 'endpoint'), {
      instanceOf: TypeError,
      message: `Expected endpoint to be an http or https URL without credentials, query or fragment, got ${shown}.`,
    });
  });
}

test('the error names the option', (t) => {
  t.throws(() => parseEndpoint('', 'ACME_TELEMETRY_ENDPOINT'), { message: /^Expected ACME_TELEMETRY_ENDPOINT to be / });
});

test(proves('realm', 'parseEndpoint takes the URL object of another realm, and nothing that only looks like one'), (t) => {
  // The classes of jsdom and of `node:vm` are others than the global one.
  class OtherUrl {
    readonly href: unknown;
    constructor(href: unknown) {
      this.href = href;
    }
    get [Symbol.toStringTag](): string {
      return 'URL';
    }
  }
  t.is(parseEndpoint(new OtherUrl('https://collector.example/base/'), 'endpoint'), 'https://collector.example/base');
  const throwing = Object.defineProperty({}, Symbol.toStringTag, {
    get: () => {
      throw new Error('hostile');
    },
  });
  for (const other of [new OtherUrl(7), { href: 'https://collector.example' }, throwing]) {
    t.throws(() => parseEndpoint(other, 'endpoint'), { instanceOf: TypeError, message: /, got an object\.$/ });
  }
});

test('a base and a target give the recorded URLs', (t) => {
  const { cases } = readVectors('urls.json') as { cases: readonly { url: string }[] };
  t.true(cases.length > 0);
  for (const { url } of cases) {
    const at = url.indexOf('/v3/');
    t.is(requestUrl(parseEndpoint(`${url.slice(0, at)}/`, 'endpoint'), url.slice(at)), url);
  }
});

test('a URL may have 8192 bytes of UTF-8 and no more', (t) => {
  t.is(MAX_URL_BYTES, 8192);
  t.false(isTooLong('a'.repeat(8192)));
  t.true(isTooLong('a'.repeat(8193)));
  t.true(isTooLong('é'.repeat(4097)));
  t.false(isTooLong('é'.repeat(4096)));
});
