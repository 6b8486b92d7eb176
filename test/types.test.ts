import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { proves } from './helpers/promises.js';

const scriptOf = (name: string) => fileURLToPath(new URL(`../../scripts/${name}.mjs`, import.meta.url));
const run = promisify(execFile);

test(proves('types-alone', "a user's programs compile against the built package, with and without @types/node and dom"), async (t) => {
  const { stdout } = await run(process.execPath, [scriptOf('check-types')]).catch((error: Error & { stderr: string }) => {
    throw new Error(error.stderr);
  });
  t.regex(stdout, /the declarations compile \(alone, commonjs, bundler, dom, node, node and dom\)/);
});

test('each entry point exports the types that it names, and what may be left out may be undefined', async (t) => {
  const { stdout } = await run(process.execPath, [scriptOf('check-exports')]).catch((error: Error & { stdout: string }) => error);
  t.is(stdout, 'Each entry point exports the types that it names\n');
});

test('a type that an entry point does not export is found, and a key that does not take undefined', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'exports-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const files = {
    'package.json': '{ "exports": { ".": { "import": { "types": "./index.d.ts" } }, "./package.json": "./package.json" } }',
    'index.d.ts': "export { run } from './run.js';\nexport type { Options } from './options.js';\n",
    'run.d.ts':
      "import type { Known } from './options.js';\ntype Own = Known | undefined;\nexport declare function run(known: Own): void;\n",
    'options.d.ts': `export type { Known } from './known.js';
/** See Comment. */
export interface Options {
  word?: 'Known' | undefined;
  any?: unknown;
  strict?: number;
  call?(): void;
  nested?: {
    inner?: string;
  } | undefined;
}
export interface Comment {}
`,
    'known.d.ts': 'export interface Known {}\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  const { stdout } = await run(process.execPath, [scriptOf('check-exports'), folder]).catch((error: Error & { stdout: string }) => error);
  t.deepEqual(stdout.split('\n').slice(0, -1), [
    '. does not export Known, which run names',
    '.: the key strict of Options does not take undefined',
    '.: the key call of Options does not take undefined',
    '.: the key inner of Options does not take undefined',
  ]);
});
