import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { startCollector } from '../src/testing/index.js';
import { pageOf, ROOT } from './helpers/pages.js';
import { runChild } from './helpers/run-child.js';
import { compileSnippets } from './helpers/snippets.js';

/** The page of each entry point. */
const PAGES: Record<string, string> = {
  'index.md': 'src/index.ts',
  'cli.md': 'src/cli/index.ts',
  'relay.md': 'src/relay/index.ts',
  'testing.md': 'src/testing/index.ts',
  'bullmq.md': 'src/bullmq/index.ts',
  'ndjson.md': 'src/delivery/ndjson/index.ts',
};
const textOf = (page: string) => pageOf(`docs/reference/${page}`);

/** What the page says of each export, by name. */
function partsOf(page: string): Map<string, string> {
  const parts = textOf(page).split(/^### /m).slice(1);
  return new Map(parts.map((part) => [(/^[\w\\]+/.exec(part)?.[0] ?? '').replaceAll('\\', ''), part]));
}

function exportsOf(file: string): string[] {
  const text = pageOf(file);
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = '']) => list.match(/\w+(?=,|\s*$)/g) ?? []);
  const own = [...text.matchAll(/^export (?:async )?(?:function|interface|type|const|class) (\w+)/gm)].map(([, name = '']) => name);
  return [...lists, ...own];
}

test('the reference has each export of each entry point, and no other, and each one has an example', (t) => {
  for (const [page, entry] of Object.entries(PAGES)) {
    const parts = partsOf(page);
    t.deepEqual([...parts.keys()].toSorted(), exportsOf(entry).toSorted(), page);
    for (const [name, part] of parts) t.regex(part, /^#### Example\n\n```ts\n|^Re-exports \[/m, `${page}: ${name}`);
  }
});

test('links in the reference lead to a heading, a row or a page', (t) => {
  for (const page of [...Object.keys(PAGES), 'README.md']) {
    for (const [, file = '', anchor = ''] of textOf(page).matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)) {
      t.true(existsSync(path.join(ROOT, 'docs/reference', file)), `${page}: ${file}`);
      if (anchor === '' || file.startsWith('..')) continue;
      const headings = [...textOf(file || page).matchAll(/^## (.+)$/gm)].map(([, words = '']) => words.toLowerCase());
      const anchors = headings.map((words) => words.replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-'));
      t.true(anchors.includes(anchor) || textOf(file || page).includes(`<a id="${anchor}"></a>`), `${page}: ${file}#${anchor}`);
    }
  }
});

/** The outputs that a program names, in comments behind its `console.log`. */
function promised(program: string): string[] {
  const calls = program.split('\n').filter((line) => line.includes('console.log'));
  return calls.map((line) => /console\.log\(.*\)+; \/\/ (.*)$/.exec(line)?.[1] ?? `no output beside: ${line}`);
}

test('each example of the reference compiles, runs, and prints what it says', async (t) => {
  const examples = Object.keys(PAGES).flatMap((page) =>
    [...textOf(page).matchAll(/^#+ Examples?\n\n```ts\n([\s\S]*?)^```$/gm)].map(([, text = '']) => ({ page, text })),
  );
  t.true(examples.length > 140);
  const programs = await compileSnippets(
    t,
    'reference',
    examples.map(({ text }) => text),
  );
  const collector = await startCollector();
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-telemetry-reference-'));
  t.teardown(async () => {
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  });
  const files = examples.map((_, index) => path.join(programs, `${index}.js`));
  // The operator's variable overrides the endpoint of the examples, so no request leaves the machine.
  const end = await runChild('examples-child', [folder, ...files], { ACME_TELEMETRY_ENDPOINT: collector.url });
  t.is(end.stderr, '');
  t.is(end.code, 0);
  const [, ...outputs] = `\n${end.stdout}`.split(/\n=== \d+(?=\n)/);
  for (const [index, { page, text }] of examples.entries()) {
    const lines = (outputs[index] ?? '').split('\n').filter((line) => line !== '');
    t.deepEqual(lines, promised(text), `${page}:\n${text}`);
  }
});
