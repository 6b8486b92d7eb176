// Compiles the code of pages like a user's project: against the built package, by its name.
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { ROOT } from './pages.js';

/** Compiles them into a folder of build/, and fails the test with what the compiler says. @returns The folder of `0.js`, `1.js` … */
export async function compileSnippets(t: ExecutionContext, name: string, snippets: readonly string[]): Promise<string> {
  const folder = path.join(ROOT, 'build', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [index, text] of snippets.entries()) writeFileSync(path.join(folder, `${index}.ts`), text);
  const compilerOptions = { rootDir: '.', outDir: 'out', paths: {}, noUnusedLocals: false, declaration: false, declarationMap: false };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'] }));
  const compiler = path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const run = promisify(execFile);
  await run(process.execPath, [compiler, '-p', folder]).catch((error: unknown) => t.fail((error as { stdout: string }).stdout));
  return path.join(folder, 'out');
}
