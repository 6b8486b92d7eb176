// Compiles a user's programs (test/types) against the declarations of the package, with and without `@types/node` and the lib `dom`:
// `npm run build && node scripts/check-types.mjs [FOLDER_OF_TYPESCRIPT [SETUP...]]`. From TypeScript 5.4 on.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../', import.meta.url));
const modules = path.join(root, 'node_modules');

/** What a user may have. `plain.ts` uses every public name; the other programs need types of a platform. */
const SETUPS = {
  alone: { programs: ['plain', 'maps'] },
  commonjs: { programs: ['plain', 'maps'], type: 'commonjs', options: { verbatimModuleSyntax: false } },
  bundler: { programs: ['plain', 'maps'], options: { module: 'esnext', moduleResolution: 'bundler' } },
  dom: { programs: ['plain', 'maps', 'platform'], options: { lib: ['es2022', 'dom'] } },
  node: { programs: ['plain', 'maps', 'platform', 'node'], options: { types: ['node'] } },
  'node and dom': { programs: ['plain', 'maps', 'platform', 'node'], options: { types: ['node'], lib: ['es2022', 'dom'] } },
  // Before TypeScript 7. It takes entry points from `main`, `types` and `typesVersions`.
  node10: {
    programs: ['plain', 'maps'],
    type: 'commonjs',
    options: { module: 'commonjs', moduleResolution: 'node10', verbatimModuleSyntax: false },
  },
};

export const SETUP_NAMES = Object.keys(SETUPS).filter((name) => name !== 'node10');

/** The strictest options that a user may have, so that each declaration file is checked, too. */
const OPTIONS = {
  lib: ['es2022'],
  target: 'es2022',
  module: 'nodenext',
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  skipLibCheck: false,
  noEmit: true,
};

/**
 * Compiles the programs of each set-up.
 *
 * @param options.typescript The folder of the package `typescript`. @default that of this repository
 * @param options.setups Names of set-ups. @default all
 * @param options.folder The package, built: `dist` and `package.json`. @default this repository
 * @param options.nodeTypes The folder of `@types/node`. @default that of this repository
 * @returns The version of TypeScript.
 * @throws Error with what the compiler printed, or with the public names that no program uses.
 */
export async function checkTypes({
  typescript = path.join(modules, 'typescript'),
  setups = SETUP_NAMES,
  folder = root,
  nodeTypes = path.join(modules, '@types/node'),
} = {}) {
  const project = mkdtempSync(path.join(realpathSync(tmpdir()), 'types-'));
  try {
    const installed = path.join(project, 'node_modules/cosmos-telemetry');
    mkdirSync(path.join(project, 'node_modules/@types'), { recursive: true });
    cpSync(path.join(folder, 'dist'), path.join(installed, 'dist'), {
      recursive: true,
      filter: (file) => path.extname(file) === '' || /\.d\.c?ts$/.test(file),
    });
    cpSync(path.join(folder, 'package.json'), path.join(installed, 'package.json'));
    for (const name of ['mitt', 'eventemitter3']) link(path.join(modules, name), path.join(project, 'node_modules', name));
    cpSync(path.join(root, 'test/types'), project, { recursive: true });
    assertComplete(installed, readFileSync(path.join(project, 'plain.ts'), 'utf8'));
    for (const name of setups) {
      const { programs, options, type = 'module' } = SETUPS[name] ?? {};
      if (programs === undefined) throw new Error(`There is no set-up ${name}; known are ${SETUP_NAMES.join(', ')}`);
      // Not installed unless a set-up has it: a program that leads to it must not find it.
      const types = path.join(project, 'node_modules/@types/node');
      rmSync(types, { force: true });
      if (options?.types?.includes('node')) link(nodeTypes, types);
      const files = programs.map((program) => `${program}.ts`);
      writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'user', private: true, type }));
      writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...OPTIONS, ...options }, files }));
      const said = await output(path.join(typescript, 'bin/tsc'), ['-p', project], project);
      if (said !== '') throw new Error(`TypeScript ${versionOf(typescript)}, ${name}:\n${said}`);
    }
    return versionOf(typescript);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

function link(target, file) {
  symlinkSync(realpathSync(target), file, 'junction');
}

function versionOf(folder) {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).version;
}

/** What the compiler prints: nothing if the programs are right. */
async function output(compiler, args, cwd) {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [compiler, ...args], { cwd, maxBuffer: 2 ** 24 });
    return stdout;
  } catch (error) {
    return `${error.stdout}${error.stderr}` || String(error);
  }
}

/** Each public name is in the program, so that a new one is checked, too. */
function assertComplete(installed, program) {
  const { exports } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
  const entries = Object.values(exports).flatMap((entry) => entry.import?.types ?? []);
  const names = entries.flatMap((entry) => {
    const text = readFileSync(path.join(installed, entry), 'utf8');
    return [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list]) => list.match(/\w+(?=,|\s*$)/g) ?? []);
  });
  const unused = names.filter((name) => !new RegExp(`\\b${name}\\b`).test(program));
  if (names.length === 0 || unused.length > 0) throw new Error(`test/types/plain.ts does not use ${unused.join(', ') || 'any name'}`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [typescript, ...setups] = process.argv.slice(2);
  const version = await checkTypes({ typescript, setups: setups.length > 0 ? setups : undefined });
  console.log(`TypeScript ${version}: the declarations compile (${(setups.length > 0 ? setups : SETUP_NAMES).join(', ')})`);
}
