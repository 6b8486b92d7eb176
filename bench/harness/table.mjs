// Numbers in words, and tables in Markdown that a terminal shows as well.

/** A number with three significant digits and separators: what a benchmark knows. */
export function figure(value) {
  if (value === null || value === undefined) return '-';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: Number.isInteger(value) ? 0 : digits });
}

/** A median with its spread: `12.3 (11.0 - 14.1)`. */
export function withSpread(found) {
  if (found === null) return '-';
  return found.min === found.max ? figure(found.median) : `${figure(found.median)} (${figure(found.min)} - ${figure(found.max)})`;
}

/** A table in Markdown; every column but the first is aligned to the right. */
export function table(head, rows) {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column].length)));
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
