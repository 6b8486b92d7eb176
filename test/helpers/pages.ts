// README.md and the pages of docs/, and the blocks of code in them.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export const pageOf = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8');

const docs = readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));

/** The paths of README.md and of the pages of docs/. */
export const PAGES: readonly string[] = ['README.md', ...docs.map((name) => `docs/${name}`)];

/** One block of code, and where it is. */
export interface Block {
  page: string;
  language: string;
  text: string;
}

/** The blocks of code of some pages. A language of two words is for examples that are no whole file. */
export function blocksOf(language: string, pages: readonly string[] = PAGES): Block[] {
  const found = pages.flatMap((page) => [...pageOf(page).matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map((match) => ({ page, match })));
  const blocks = found.map(({ page, match: [, name = '', text = ''] }) => ({ page, language: name, text }));
  return blocks.filter((block) => block.language === language);
}
