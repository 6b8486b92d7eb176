// How the demonstration writes to the terminal: plain text, colours only where a person looks and has not declined them.
const declined = (process.env['NO_COLOR'] ?? '') !== '';
const inColour = process.stdout.isTTY && !declined;

const painted = (code: number) => (text: string) => (inColour ? `\u001B[${code}m${text}\u001B[0m` : text);
export const bold = painted(1);
export const dim = painted(2);

/** The widest line, so that it can be read in any terminal and quoted in any page. */
const WIDTH = 100;

export function print(line = ''): void {
  process.stdout.write(line === '' ? '\n' : `   ${line}\n`);
}

/** The title of an act; everything under it is indented. */
export function heading(text: string): void {
  process.stdout.write(`\n${bold(text)}\n`);
}

/** Rows of cells under a first row that names them, each column as wide as it must be. */
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

/** One long text, broken only between its parts. */
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
