import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';
import { COSMOS_ENDPOINT } from '../../src/base/constants.js';
import type { MetricValue } from '../../src/wire/python.js';
import { quote, quotePlus, urlencode } from '../../src/wire/python.js';
import { readVectors } from '../helpers/vectors.js';

interface UrlVectors {
  cases: { name: string; event_type: string; metrics: [string, MetricValue][]; url: string }[];
}

for (const { name, event_type: type, metrics, url } of (readVectors('urls.json') as UrlVectors).cases) {
  test(`urls.json: ${name}`, (t) => {
    t.is(`${COSMOS_ENDPOINT}/v3/${type}?${urlencode(Object.fromEntries(metrics))}`, url);
  });
}

/** Written by hand from what `quote_plus` and `quote` of Python's urllib give. */
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

test('every text reads back as itself, and nothing of it is left that a query could be cut at', (t) => {
  fc.assert(
    fc.property(anyText(), (text) => {
      const quoted = quotePlus(text);
      return /^[\w.~+%-]*$/.test(quoted) && decodeURIComponent(quoted.replaceAll('+', ' ')) === text.toWellFormed();
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
