/** Where lines of prose end: a terminal beside an editor shows them whole. */
const WIDTH = 100;

/** What would become a list, a heading, a quote or a rule at the start of a line. */
const STARTS_A_BLOCK = /^(?:[-+*=]+$|>|#{1,6}$|\d+[.)]$)/;

/** A word, with the whole of any code span or link that begins in it. */
const WORDS = /(?:`+[^`]*`+|\[[^\]]*\]\([^)]*\)|[^\s`]|`)+/g;

/** Text as a code span, whatever is in it (CommonMark 0.31, 6.1). A line break becomes a space. */
export function codeSpan(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${line}${pad}${fence}`;
}

/** A sentence that somebody declared, as prose: on one line, and with nothing outside of code spans that would be HTML. */
export function prose(text: string): string {
  return text
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/`[^`]*`|</g, (found) => (found === '<' ? '\\<' : found));
}

/** One paragraph, broken where a line is full, but not in a code span or a link. `first` begins the first line, `rest` the others. */
export function paragraph(text: string, first = '', rest = ''): string {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const [word] of text.matchAll(WORDS)) {
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

/** A list of sentences. */
export function bullets(items: readonly string[]): string {
  return list(items.map((item) => [item]));
}

/** A list with several sentences an item: each starts on a line of its own, and is broken like a paragraph. */
export function list(items: readonly (readonly string[])[]): string {
  return items.map((lines) => lines.map((line, index) => paragraph(line, index === 0 ? '- ' : '  ', '  ')).join('\\\n')).join('\n');
}

/** A table of Markdown cells. A pipe is escaped in code spans too, as GitHub's tables want it. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map(tableRow).join('\n');
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replace(/\s+/g, ' ').replaceAll('|', '\\|')).join(' | ')} |`;
}
