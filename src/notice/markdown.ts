// The Markdown that the notice consists of: code spans, paragraphs, lists and tables.

/** The line width of prose: a terminal shows it without wrapping. */
const WIDTH = 100;

/** A word that would begin a list, a heading, a quote or a rule at the start of a line. */
const STARTS_A_BLOCK = /^(?:[-+*=]+$|>|#{1,6}$|\d+[.)]$)/;

/** A word. A code span or link is never split. */
const WORDS = /(?:`+[^`]*`+|\[[^\]]*\]\([^)]*\)|[^\s`]|`)+/g;

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

/** One paragraph, wrapped outside of code spans and links. `first` begins the first line, `rest` the others. */
export function paragraph(text: string, first = '', rest = ''): string {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const { 0: word } of text.matchAll(WORDS)) {
    if (isEmpty) line += word;
    else if (line.length + 1 + word.length <= WIDTH || STARTS_A_BLOCK.test(word)) line += ` ${word}`;
    else {
      lines.push(line);
      line = rest + word;
    }
    isEmpty = false;
  }
  return [...lines, line].join('\n');
}

/** A list with one sentence an item. */
export function bullets(items: readonly string[]): string {
  return list(items.map((item) => [item]));
}

/** A list with several sentences an item. Each sentence begins a line and is wrapped like a paragraph. */
export function list(items: readonly (readonly string[])[]): string {
  return items.map((lines) => lines.map((line, index) => paragraph(line, index === 0 ? '- ' : '  ', '  ')).join('\\\n')).join('\n');
}

/** A table of Markdown cells. GitHub's tables need pipes escaped in code spans, too. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map(tableRow).join('\n');
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replace(/\s+/g, ' ').replaceAll('|', '\\|')).join(' | ')} |`;
}
