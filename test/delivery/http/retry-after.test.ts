import test from 'ava';
import { retryAfterMs } from '../../../src/delivery/http/responses.js';

/** Sun, 06 Nov 1994 08:49:37 GMT: the date that RFC 9110 writes in its three forms. */
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
