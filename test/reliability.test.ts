import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { PROMISES } from './helpers/promises.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const PAGE = read('docs/reliability.md');

/** The ids that tests pass to `proves`. A misspelt one does not compile. */
function provenIds(): Set<string> {
  const files = readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'));
  const calls = files.flatMap((file) => [...read(path.join('test', file)).matchAll(/\bproves\(\s*('[^']+'|\[[^\]]*\])/g)]);
  return new Set(calls.flatMap(([, ids = '']) => [...ids.matchAll(/'([^']+)'/g)].map(([, id = '']) => id)));
}

test('docs/reliability.md lists each promise once, under its id', (t) => {
  const listed = [...PAGE.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, id = '']) => id);
  t.deepEqual(listed.toSorted(), [...PROMISES].toSorted());
});

test('at least one test proves each promise', (t) => {
  const proven = provenIds();
  t.deepEqual(
    PROMISES.filter((id) => !proven.has(id)),
    [],
  );
});

test('each command in docs/reliability.md is a script of package.json', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = [...PAGE.matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name);
  t.true(named.length > 4);
  for (const name of named) t.true(name in scripts, name);
});
