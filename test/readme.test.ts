import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { DEFAULTS } from '../src/base/constants.js';
import type { TelemetryOptions } from '../src/index.js';
import { startCollector } from '../src/testing/index.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

const blocks = [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({ language, text }));

function blocksOf(language: string): string[] {
  return blocks.filter((block) => block.language === language).map(({ text }) => text);
}

/** The rows of the first table under a heading, as cells without backquotes. */
function tableUnder(heading: string): string[][] {
  const section = README.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| '));
  return rows.slice(2).map((row) => row.split(' | ').map((cell) => cell.replaceAll(/^\| |`| \|$/g, '').trim()));
}

/** Compiles the README's TypeScript like a user's project: against the built package, by its name. */
async function compileBlocks(): Promise<string> {
  const folder = path.join(ROOT, 'build', 'readme');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [index, text] of blocksOf('ts').entries()) writeFileSync(path.join(folder, `block-${index}.ts`), text);
  const compilerOptions = { rootDir: '.', outDir: 'out', paths: {}, noUnusedLocals: false, declaration: false, declarationMap: false };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'] }));
  const compiler = path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  await run(process.execPath, [compiler, '-p', folder]);
  return path.join(folder, 'out');
}

test.serial('every TypeScript block compiles, and the ten lines of a host deliver', async (t) => {
  const texts = blocksOf('ts');
  const tenLines = texts.findIndex((text) => text.includes('telemetry.register(host)'));
  t.true(texts.length >= 3 && tenLines >= 0);
  const lines = (texts[tenLines] ?? '').split('\n').filter((line) => line.trim() !== '');
  t.true(lines.length <= 10, `${lines.length} lines`);
  const translated = (texts.find((text) => text.includes('telemetry.register(worker')) ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  t.true(translated.length > 0 && translated.length <= 10, `${translated.length} lines with a map`);
  let folder = '';
  try {
    folder = await compileBlocks();
  } catch (error) {
    t.fail((error as { stdout: string }).stdout);
  }

  const collector = await startCollector();
  t.teardown(() => collector.close());
  // The operator's variable overrides the endpoint of the text, so no request leaves the machine.
  const env = { PATH: process.env['PATH'], ACME_TELEMETRY_ENDPOINT: collector.url };
  const { stdout, stderr } = await run(process.execPath, [path.join(folder, `block-${tenLines}.js`)], { env });
  t.is(stderr, '');
  t.regex(stdout, /published: 1,\s+sent: 1,\s+failed: 0,\s+dropped: 0,\s+pending: 0/);
  t.deepEqual(
    collector.requests.map(({ eventType }) => eventType),
    ['dag_run'],
  );
  t.deepEqual(collector.requests[0]?.query.slice(-3), [
    ['status', 'success'],
    ['task_count', '1'],
    ['acme_task_count', '1'],
  ]);
});

test.serial('the command for a user of a machine prints the rule that decides', async (t) => {
  const [command = ''] = blocksOf('sh').filter((text) => text.includes('explainSettings'));
  const [, script = ''] = /-e "(.*)"/.exec(command) ?? [];
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT, env: { ACME_TELEMETRY: 'off' } });
  t.regex(stdout, /enabled: false,\s+rules: \[\s+\{\s+name: 'ACME_TELEMETRY',\s+value: 'off',\s+optsOut: true/);
});

test.serial('the README has the two commands that CI runs', (t) => {
  t.true(blocksOf('sh').includes('npm ci && npm start\n'));
  t.true(blocksOf('sh').includes('npm ci && npm test\n'));
});

/** Every option. The list does not compile if an option is missing or was removed. */
const OPTIONS: Record<keyof Required<TelemetryOptions>, true> = {
  product: true,
  endpoint: true,
  host: true,
  events: true,
  standardEvents: true,
  dbt: true,
  executionModes: true,
  common: true,
  enabled: true,
  consent: true,
  contact: true,
  retention: true,
  command: true,
  env: true,
  dagHash: true,
  owns: true,
  transport: true,
  maxPendingEvents: true,
  concurrency: true,
  drainConcurrency: true,
  connectTimeoutMs: true,
  attemptTimeoutMs: true,
  retries: true,
  allowedRedirectHosts: true,
  proxy: true,
  drainOnExit: true,
  exitDeadlineMs: true,
  logger: true,
};

test.serial('the table of options has each option with its default', (t) => {
  const rows = tableUnder('Options');
  t.deepEqual(
    rows.map(([name = '']) => name),
    Object.keys(OPTIONS),
  );
  const { drainDeadlineMs, ...defaults } = DEFAULTS;
  const numbers = rows.filter(([, value = '']) => /^\d+$/.test(value)).map(([name, value]) => [name, Number(value)]);
  t.deepEqual(Object.fromEntries(numbers), defaults);
  t.true(README.includes(`(${drainDeadlineMs.toLocaleString('en-US')} by default)`));
});

const CONTRIBUTING = readFileSync(path.join(ROOT, 'CONTRIBUTING.md'), 'utf8');

/** The folders under src/, such as `relay` and `relay/spool`. */
function sourceFolders(): string[] {
  const entries = readdirSync(path.join(ROOT, 'src'), { recursive: true, withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ parentPath, name }) => path.join(parentPath, name));
  return folders.map((folder) => path.relative(path.join(ROOT, 'src'), folder).replaceAll('\\', '/')).toSorted();
}

test.serial('the map in CONTRIBUTING.md has each folder of src/, and no other', (t) => {
  const [, map = ''] = /\n## The map\n([\s\S]*?)\n## /.exec(CONTRIBUTING) ?? [];
  const listed = [...map.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name);
  t.deepEqual(listed.toSorted(), sourceFolders());
});

test.serial('at the root of src/ there is only index.ts', (t) => {
  const entries = readdirSync(path.join(ROOT, 'src'), { withFileTypes: true });
  t.deepEqual(
    entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name),
    ['index.ts'],
  );
});

test.serial('no line of src/ is wider than 140 columns, comments and texts included', (t) => {
  const files = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  t.true(files.length > 100);
  for (const file of files) {
    const lines = readFileSync(path.join(ROOT, 'src', file), 'utf8').split('\n');
    for (const [index, line] of lines.entries()) if (line.length > 140) t.fail(`${file}:${index + 1} has ${line.length} columns`);
  }
});

interface LintRules {
  overrides: { files: string[]; rules: { 'no-restricted-imports'?: [string, { patterns: { group: string[] }[] }] } }[];
}

/** The import patterns that lint refuses in the files of a glob. */
function refusedImports(files: string): string[] {
  const { overrides } = JSON.parse(readFileSync(path.join(ROOT, '.oxlintrc.json'), 'utf8')) as LintRules;
  const rules = overrides.filter((override) => override.files.includes(files)).map((override) => override.rules['no-restricted-imports']);
  return rules.flatMap((rule) => rule?.[1].patterns ?? []).flatMap(({ group }) => group);
}

test.serial('lint enforces the floors in CONTRIBUTING.md', (t) => {
  const [, line = ''] = /\n## Floors\n+```text\n(.+)\n```/.exec(CONTRIBUTING) ?? [];
  const floors = line.split(' < ').map((floor) => floor.split(', '));
  const rooms = floors.flat().filter((room) => room !== 'index');
  const folders = sourceFolders();
  t.deepEqual(
    rooms.toSorted(),
    folders.filter((folder) => !folder.includes('/')),
  );
  for (const room of rooms) {
    const floor = floors.findIndex((each) => each.includes(room));
    const refused = floors
      .slice(floor)
      .flat()
      .filter((other) => other !== room && other !== 'index');
    // Only cli/relay.ts imports the relay, so that other commands do not load it, and no command needs the test kit.
    if (room === 'cli') refused.push('relay', 'testing');
    // The package by its own name is the entry point, too.
    const entry = ['cosmos-telemetry', 'cosmos-telemetry/**'];
    const patterns = (index: string) => [...refused.map((other) => `**/${other}/**`), index, ...entry].toSorted();
    t.deepEqual(refusedImports(`src/${room}/*.ts`).toSorted(), patterns('../index.js'), room);
    const isNested = folders.some((folder) => folder.startsWith(`${room}/`));
    if (isNested) t.deepEqual(refusedImports(`src/${room}/*/**`).toSorted(), patterns('../../index.js'), `folders of ${room}`);
  }
});

test.serial('links to files lead to files', (t) => {
  const pages = ['.', 'docs', 'examples/acme'].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder)).map((name) => path.join(folder, name)),
  );
  for (const page of pages.filter((name) => name.endsWith('.md'))) {
    const text = readFileSync(path.join(ROOT, page), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      t.true(existsSync(path.join(ROOT, path.dirname(page), target)), `${page}: ${target}`);
    }
  }
});
