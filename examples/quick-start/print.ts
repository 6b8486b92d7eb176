// Terminal output of the demonstration. It fits the terminal's width; styleText leaves colours out where the terminal, NO_COLOR or a pipe
// has none.
import { stripVTControlCharacters, styleText } from 'node:util';

/** Columns of the terminal, or what COLUMNS says about the reader of a pipe. At most 100: longer lines are hard to read. */
const WIDTH = Math.min(process.stdout.columns || Number(process.env['COLUMNS']) || 80, 100);
const INDENT = '   ';

const painted = (format: 'bold' | 'green' | 'red') => (text: string) => styleText(format, text, { stream: process.stdout });
export const bold = painted('bold');
export const green = painted('green');
export const red = painted('red');

const widthOf = (text: string) => stripVTControlCharacters(text).length;

/** Prints the title of an act; the text below it is indented. */
export function heading(text: string): void {
  process.stdout.write('\n');
  wrapped(words(bold(text)), '');
}

export function print(text: string): void {
  wrapped(words(text));
}

const words = (text: string) => text.split(/(?<= )/);

/** Prints a long text with line breaks only between its parts. */
export function wrapped(parts: readonly string[], indent = INDENT): void {
  let line = '';
  for (const part of parts) {
    if (line !== '' && widthOf(indent + line + part.trimEnd()) > WIDTH) {
      process.stdout.write(`${indent}${line.trimEnd()}\n`);
      line = '';
    }
    line += part;
  }
  process.stdout.write(`${indent}${line.trimEnd()}\n`);
}

/** Starts a row of a table with its name, so that a reader sees what the demonstration waits for. */
export function startRow(name: string): void {
  process.stdout.write(INDENT + name.padEnd(12));
}

/** Ends a row with up to five cells of at most seven characters: 60 columns. */
export function endRow(cells: readonly string[]): void {
  const padded = cells.map((cell) => ' '.repeat(Math.max(2, 9 - widthOf(cell))) + cell);
  process.stdout.write(`${padded.join('')}\n`);
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
