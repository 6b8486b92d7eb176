import { readFileSync } from 'node:fs';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** A line of the output with `#` for each number. Undefined for a line that depends on the machine or the time. */
function shape(line: string): string | undefined {
  if (/&|HTTP\/1\.1|with a reason/.test(line) || line.trim() === '') return undefined;
  return line.replaceAll(/\d[\d,.]*/g, '#').replaceAll(/(?<=\S) +/g, ' ');
}

/** The lines that the README quotes from `npm start` and that are missing in the output, or in another order. */
export function notAsQuoted(output: readonly string[]): string[] {
  const quoted = [...README.matchAll(/^```text\n([\s\S]*?)^```$/gm)]
    .map(([, text = '']) => text)
    .find((text) => text.includes('DO_NOT_TRACK=1'));
  if (quoted === undefined) return ['The README does not quote it at all.'];
  const printed = output.map(shape);
  let from = 0;
  return quoted.split('\n').filter((line) => {
    const wanted = shape(line);
    if (wanted === undefined || line.trim() === '…') return false;
    const at = printed.indexOf(wanted, from);
    if (at >= 0) from = at + 1;
    return at < 0;
  });
}
