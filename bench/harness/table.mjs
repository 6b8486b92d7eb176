// Formatting of numbers and of Markdown tables, which are readable in a terminal too.

/** A number with about three significant digits and thousands separators. */
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

/** A Markdown table; every column except the first is aligned to the right. */
export function table(head, rows) {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column].length)));
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
