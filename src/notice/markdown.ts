// The Markdown that the notice consists of: code spans, sentences, lists and tables. A paragraph, an item of a list and
// a row are one line each.

/** Any text as a code span (CommonMark 0.31, 6.1). A line break becomes a space. */
export function codeSpan(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(({ 0: run }) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${line}${pad}${fence}`;
}

/** A declared sentence as prose: on one line, with `<` escaped outside of code spans, so that it cannot begin HTML. */
export function prose(text: string): string {
  return text
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/`[^`]*`|</g, (found) => (found === '<' ? '\\<' : found));
}

/** A list with one line an item. */
export function bullets(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join('\n');
}

/** A table (GitHub Flavored Markdown 0.29, 4.10). */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(heads), row(heads.map(() => '---')), ...rows.map(row)].join('\n');
}

/** A `|` is escaped, also in code spans: it would end its cell there, too. */
function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
