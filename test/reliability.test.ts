import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

/** The titles of a test file, each with `…` where something is filled in. */
function titlesOf(file: string): Set<string> {
  const titles = read(file).matchAll(/^\s*test(?:\.serial)?\(\s*(?:'((?:[^'\\]|\\.)*)'|`([^`]*)`|"([^"]*)")/gm);
  return new Set(
    [...titles].map(([, single, template, double]) =>
      (single ?? template ?? double ?? '').replaceAll(/\$\{[^}]*\}/g, '…').replaceAll("\\'", "'"),
    ),
  );
}

test('each test that docs/reliability.md names is there', (t) => {
  const page = read('docs/reliability.md');
  const missing: string[] = [];
  let quoted = 0;
  for (const row of page.split('\n').filter((line) => line.startsWith('|'))) {
    let titles = new Set<string>();
    for (const [, file, title] of row.matchAll(/`(test\/[\w/.-]+\.test\.ts)`|"([^"]+)"/g)) {
      if (file !== undefined) titles = titlesOf(file);
      else if (title !== undefined) {
        quoted += 1;
        if (!titles.has(title)) missing.push(title);
      }
    }
  }
  t.deepEqual(missing, []);
  t.true(quoted > 30, `${quoted} titles`);
});

test('each command that docs/reliability.md names is there', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = [...read('docs/reliability.md').matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name);
  t.true(named.length > 4);
  for (const name of named) t.true(name in scripts, name);
});
