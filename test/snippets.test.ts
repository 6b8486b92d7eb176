import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { refusedPort, startCollector } from '../src/testing/index.js';
import { guardedEnv } from './helpers/guarded-env.js';
import { blocksOf, pageOf, ROOT } from './helpers/pages.js';
import { compileSnippets } from './helpers/snippets.js';

const run = promisify(execFile);
// The first one is JavaScript as it stands.
const SNIPPETS = [...blocksOf('js', ['README.md']), ...blocksOf('ts')];

/** A machine of its own: a home, a working folder, and nothing of the environment. */
function machine(t: ExecutionContext): { cwd: string; env: Record<string, string> } {
  const home = mkdtempSync(path.join(tmpdir(), 'cosmos-telemetry-snippet-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  return { cwd: home, env: { PATH: process.env['PATH'] ?? '', HOME: home, USERPROFILE: home, XDG_CONFIG_HOME: path.join(home, 'config') } };
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** What differs between machines and runs. */
function masked(text: string): string {
  return text.replaceAll(/(durationMs: |node_version=|platform_system=|platform_machine=)[\w.]+/g, '$1#');
}

test.serial('every snippet of README.md and docs/ compiles and runs, and README.md quotes what its first one prints', async (t) => {
  t.true(SNIPPETS.length >= 12);
  const folder = await compileSnippets(
    t,
    'snippets',
    SNIPPETS.map(({ text }) => text),
  );
  writeFileSync(path.join(folder, '0.js'), SNIPPETS[0]?.text ?? '');
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const start = async (index: number, variables: Record<string, string> = {}) => {
    const { cwd, env } = machine(t);
    // The operator's variable overrides the endpoint of the text, so no request leaves the machine.
    const all = guardedEnv({ ...env, ACME_TELEMETRY_ENDPOINT: collector.url, ...variables });
    return run(process.execPath, ['--unhandled-rejections=strict', path.join(folder, `${index}.js`)], { cwd, env: all, timeout: 20_000 });
  };

  const [first] = SNIPPETS;
  const lines = linesOf(first?.text ?? '');
  t.is(first?.page, 'README.md');
  t.true(lines.length <= 12, `${lines.length} lines`);
  t.true(first?.text.includes('map: {'));
  const [printed = '', debugged = ''] = blocksOf('text', ['README.md']).map(({ text }) => text);
  const { stdout } = await start(0);
  t.is(masked(stdout), masked(printed));
  t.deepEqual(
    collector.requests.map(({ url }) => masked(url)),
    [masked(debugged.replace('[telemetry] GET https://telemetry.acme.example', '').trim())],
  );
  const debugging = await start(0, { ACME_TELEMETRY_DEBUG: '1', ACME_TELEMETRY_ENDPOINT: '' });
  t.is(masked(debugging.stderr), masked(debugged));
  t.regex(debugging.stdout, /reasons: \{ debug: 1 \}/);

  const runs = SNIPPETS.map(async ({ page, text }, index) => {
    const { stderr } = await start(index).catch((error: unknown) => error as { stderr: string });
    // Its library is no dependency: what is missing is said in a sentence.
    if (page === 'docs/jetstream.md') t.regex(stderr, /needs the package @nats-io\/transport-node: npm install/);
    else t.is(stderr, '', `${page}:\n${text}`);
  });
  await Promise.all(runs);
});

test.serial('the command for a user of a machine prints the rule that decides', async (t) => {
  const scripts = blocksOf('sh').flatMap(({ text }) => /-e "([^"]*explainSettings[^"]*)"/.exec(text)?.[1] ?? []);
  t.true(scripts.length > 0);
  for (const script of scripts) {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT, env: { ACME_TELEMETRY: 'off' } });
    t.regex(stdout, /enabled: false,\s+rules: \[\s+\{\s+name: 'ACME_TELEMETRY',\s+value: 'off',\s+optsOut: true/);
  }
});

test.serial('the commands of README.md that start the package run from a clone', async (t) => {
  const commands = blocksOf('sh', ['README.md']).flatMap(({ text }) => linesOf(text));
  const own = commands.filter((line) => line.startsWith('node dist/cli/bin.js '));
  t.true(own.length >= 3);
  for (const command of own) {
    const [, , ...words] = command.split(' ');
    // The relay runs until it is stopped, and has tests of its own.
    const args = words[0] === 'relay' ? ['relay', '--help'] : words;
    const { stdout, stderr } = await run(process.execPath, ['dist/cli/bin.js', ...args], { cwd: ROOT, env: machine(t).env });
    t.is(stderr, '', command);
    t.true(stdout.length > 100, command);
    for (const option of words.filter((word) => word.startsWith('--'))) if (words[0] === 'relay') t.true(stdout.includes(option), option);
  }
});

test.serial('the server of README.md starts', async (t) => {
  const [script = ''] = blocksOf('sh', ['README.md']).flatMap(({ text }) => /^node -e "(.+)"$/m.exec(text)?.[1] ?? []);
  t.true(script.includes('.listen(8787)'));
  // On any port, and only until it listens.
  await run(process.execPath, ['-e', script.replace('.listen(8787)', '.listen(0, () => process.exit())')], { timeout: 20_000 });
});

test.serial('the receiver of docs/ndjson.md keeps what the program beside it posts', async (t) => {
  const [receive, program] = blocksOf('js', ['docs/ndjson.md']);
  const port = String(await refusedPort());
  // In build/, where the package is found by its name.
  const folder = path.join(ROOT, 'build', 'lines');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [name, block] of Object.entries({ 'receive.mjs': receive, 'try.mjs': program })) {
    t.true(block?.text.includes('8787'));
    writeFileSync(path.join(folder, name), block?.text.replace('8787', port) ?? '');
  }
  const { env } = machine(t);
  const receiver = execFile(process.execPath, ['receive.mjs'], { cwd: folder });
  t.teardown(() => receiver.kill());
  for (let isThere = false; !isThere; )
    isThere = await fetch(`http://127.0.0.1:${port}`, { method: 'POST' }).then(
      () => true,
      () => false,
    );
  rmSync(path.join(folder, 'events.ndjson.gz'));
  const { stdout, stderr } = await run(process.execPath, ['try.mjs'], { cwd: folder, env: guardedEnv(env), timeout: 20_000 });
  t.deepEqual([stdout, stderr], ['2\n', '']);
  const lines = linesOf(gunzipSync(readFileSync(path.join(folder, 'events.ndjson.gz'))).toString());
  t.deepEqual(
    lines.map((line) => (JSON.parse(line) as { event: string }).event),
    ['dag_run', 'task_instance'],
  );
});

test.serial('README.md is short: the first code comes early, and the commands that CI runs are in it', (t) => {
  const lines = pageOf('README.md').trimEnd().split('\n');
  t.true(lines.length <= 170, `${lines.length} lines`);
  t.true(lines.indexOf('```sh') < 20 && lines.indexOf('```js') < 40);
  const commands = blocksOf('sh', ['README.md']).map(({ text }) => text);
  for (const command of ['npm ci && npm start\n', 'npm ci && npm test\n']) t.true(commands.includes(command), command);
});

test.serial('no snippet needs a syntax that Node 20 lacks', (t) => {
  t.deepEqual(
    SNIPPETS.filter(({ text }) => /\busing\b/.test(text.replaceAll(/'.*?'|\/\/.*/g, ''))).map(({ page }) => page),
    [],
  );
});
