import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { TelemetryCliOptions } from '../../src/cli/index.js';
import { count, defineEvent, oneOf } from '../../src/index.js';
import { pageOf } from '../helpers/pages.js';
import { makeHome, runCli } from '../helpers/run-cli.js';

const note = { description: 'For this test.', reason: 'To test.' };
const backfill = defineEvent('backfill', { outcome: oneOf(['completed'], note), days: count(note) });
const ACME: TelemetryCliOptions = {
  dbt: true,
  product: { name: 'acme', version: '3.1.0' },
  endpoint: 'https://telemetry.acme.example',
  events: [backfill],
};

/** Rules have one table, and the fields that `events` declares another. */
function shared(key: string, command: string | undefined): string {
  const place = command === 'events' ? /^(?:standard|events\[\]\.(?:fields|metadata))\[\]\./ : /^(?:decidedBy|others\[\])\./;
  return key.replace(place, command === 'events' ? 'field.' : 'rule.');
}

/** The keys of a value, as docs/cli.md writes them: `endpoint.url`, and `events[].type` for those of each item of a list. */
function keysOf(value: unknown, place = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keysOf(item, `${place}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const full = place === '' ? key : `${place}.${key}`;
    return [full, ...keysOf(inner, full)];
  });
}

/** The keys in the tables of docs/cli.md for a command. */
function documented(command: string): string[] {
  const sections = pageOf('docs/cli.md').split('\n### ').slice(1);
  const own = sections.filter((section) => section.slice(0, section.indexOf('\n')).includes(`\`${command}\``));
  const rows = own.flatMap((section) => section.split('\n').filter((line) => line.startsWith('| `')));
  return rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, key = '']) => key)).sort();
}

interface Run {
  args: string[];
  env?: NodeJS.ProcessEnv;
  /** The content of the config file. */
  file?: string;
  /** The content of a policy file. */
  policy?: string;
  stdin?: unknown;
}

/** All keys that the command prints with `--json`, over several runs. */
async function printed(t: ExecutionContext, runs: Run[]) {
  const keys = new Set<string>();
  for (const { args, env = {}, file, policy, stdin } of runs) {
    const home = makeHome(t);
    for (const [place, text] of [
      [home.file('acme'), file],
      [path.join(home.folder, 'policy', 'acme', 'telemetry.json'), policy],
    ] as const) {
      if (text === undefined) continue;
      mkdirSync(path.dirname(place), { recursive: true });
      writeFileSync(place, text);
    }
    const input = (async function* () {
      yield JSON.stringify(stdin);
    })();
    const { stdout } = await runCli(ACME, [...args, '--json'], { env: { ...home.env, ...env }, stdin: input });
    for (const key of keysOf(JSON.parse(stdout))) keys.add(shared(key, args[0]));
  }
  return [...keys].sort();
}

const HALF = '{"enab';
const STATES = [
  { env: { ACME_TELEMETRY_DEBUG: '1', DO_NOT_TRACK: '0' }, file: '{"enabled": true}' },
  { env: { DO_NOT_TRACK: '0' }, policy: HALF },
  { env: { DO_NOT_TRACK: '0' }, policy: '{"enabled": false}' },
];

for (const command of ['status', 'disable', 'enable']) {
  test(`each key that \`${command}\` prints with --json is in docs/cli.md, and the other way round`, async (t) => {
    t.deepEqual(
      await printed(
        t,
        STATES.map((each) => ({ ...each, args: [command] })),
      ),
      documented(command),
    );
  });
}

test('each key that `preview`, `events` or `notice` prints with --json is in docs/cli.md, and the other way round', async (t) => {
  const stdin = [
    { event: 'backfill', metrics: { outcome: 'completed', days: 'many' } },
    { event: 'dag_run.success', payload: null },
  ];
  const previews = [{ args: ['preview'] }, { args: ['preview', '-'], stdin }, ...STATES.map((each) => ({ ...each, args: ['preview'] }))];
  t.deepEqual(await printed(t, previews), documented('preview'));
  t.deepEqual(await printed(t, [{ args: ['events'] }]), documented('events'));
  t.deepEqual(await printed(t, [{ args: ['notice'] }]), documented('notice'));
});
