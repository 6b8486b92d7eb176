import test from 'ava';
import * as fc from 'fast-check';
import { pythonFloat, pythonStr } from '../../src/wire/python.js';

/** Written by hand from what `repr(float)` of Python 3 prints. */
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

test('pythonStr writes what str() of Python writes', (t) => {
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

test('pythonStr writes a whole number as an int, all of its digits, however large it is', (t) => {
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
