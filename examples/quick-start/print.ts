// Terminal output of the demonstration: plain text, with colours only in a terminal and without NO_COLOR.
const declined = (process.env['NO_COLOR'] ?? '') !== '';
const inColour = process.stdout.isTTY && !declined;

const painted = (code: number) => (text: string) => (inColour ? `\u001B[${code}m${text}\u001B[0m` : text);
export const bold = painted(1);
export const dim = painted(2);

/** Maximum line width: fits a terminal and the README. */
const WIDTH = 100;

export function print(line = ''): void {
  process.stdout.write(line === '' ? '\n' : `   ${line}\n`);
}

/** Prints the title of an act; the text below it is indented. */
export function heading(text: string): void {
  process.stdout.write(`\n${bold(text)}\n`);
}

/** Prints rows of cells in aligned columns; the first row is the header. */
export function table(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const [index, row] of rows.entries()) {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    print(index === 0 ? dim(line) : line);
  }
}

/** Prints a long text with line breaks only between its parts. */
export function wrapped(parts: readonly string[]): void {
  let line = '';
  for (const part of parts) {
    if (line.length + part.trimEnd().length > WIDTH - 3) {
      print(line.trimEnd());
      line = '';
    }
    line += part;
  }
  print(line.trimEnd());
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
