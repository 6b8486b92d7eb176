import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { DEFAULTS } from '../src/base/constants.js';
import type { TelemetryOptions } from '../src/index.js';
import { pageOf, ROOT } from './helpers/pages.js';

/** The rows of the first table of a page, as cells without backquotes. */
function tableOf(page: string): string[][] {
  const rows = (pageOf(page).split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| '));
  return rows.slice(2).map((row) => row.split(' | ').map((cell) => cell.replaceAll(/^\| |`| \|$/g, '').trim()));
}

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
  spreadMs: true,
  logger: true,
};

test.serial('the table of options has each option with its default', (t) => {
  const rows = tableOf('docs/options.md');
  t.deepEqual(
    rows.map(([name = '']) => name),
    Object.keys(OPTIONS),
  );
  const { drainDeadlineMs, ...defaults } = DEFAULTS;
  const numbers = rows.filter(([, value = '']) => /^\d+$/.test(value)).map(([name, value]) => [name, Number(value)]);
  t.deepEqual(Object.fromEntries(numbers), defaults);
  t.true(pageOf('docs/report.md').includes(`(${drainDeadlineMs.toLocaleString('en-US')} by default)`));
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
