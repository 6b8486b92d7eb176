const GAP = 2;

/**
 * Rows in columns. The last column is wrapped to what is left of the width; a cell that is wider than its column has the line to
 * itself.
 *
 * @param widest How wide each column but the last may become, in characters.
 */
export function columns(rows: readonly (readonly string[])[], widest: readonly number[], width: number, indent: string): string[] {
  const widths = widest.map((limit, index) => Math.min(limit, Math.max(0, ...rows.map((row) => row[index]?.length ?? 0))));
  const left = widths.reduce((sum, each) => sum + each + GAP, indent.length);
  return rows.flatMap((row) => {
    const heads = row.slice(0, widths.length);
    const isWide = heads.some((cell, index) => cell.length > (widths[index] ?? 0));
    const head = indent + heads.map((cell, index) => cell.padEnd((widths[index] ?? 0) + GAP)).join('');
    const [first = '', ...rest] = wrap(row[widths.length] ?? '', width - left);
    const hanging = rest.map((line) => ' '.repeat(left) + line);
    return (isWide ? [head.trimEnd(), ' '.repeat(left) + first, ...hanging] : [head + first, ...hanging]).map((line) => line.trimEnd());
  });
}

/** Lines of at most this width; a word that is longer has a line to itself. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
