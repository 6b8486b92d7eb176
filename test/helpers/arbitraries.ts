import * as fc from 'fast-check';

const codePoint = fc.oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }));

/**
 * Texts of any code points except half surrogates. `fc.string({ unit: 'binary' })` makes the same, but first it builds a table of all
 * 1.1 million code points: about a second and 100 MB in each test file (fast-check 4.10).
 */
export function anyText({ maxLength }: { maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc
    .array(codePoint, maxLength === undefined ? {} : { maxLength })
    .map((codePoints) => codePoints.map((each) => String.fromCodePoint(each)).join(''));
}

const encodedText = anyText({ maxLength: 10 }).map(encodeURIComponent);

/** URLs of http and https. `fc.webUrl()` makes the same, and builds the table as well. */
export const webUrl: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom('http', 'https'), fc.domain(), fc.array(encodedText, { maxLength: 5 }), fc.option(encodedText))
  .map(([scheme, domain, segments, query]) => `${scheme}://${domain}${['', ...segments].join('/')}${query === null ? '' : `?${query}`}`);
