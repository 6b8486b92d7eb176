import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = readFileSync(path.join(ROOT, 'docs', 'data-flow.md'), 'utf8');
const folder = path.join(ROOT, 'build', 'data-flow');

interface Manifest {
  dependencies: Record<string, string>;
  packages: Record<string, { version: string; hasInstallScript?: true; dev?: true }>;
}
const read = (name: string) => JSON.parse(readFileSync(path.join(ROOT, name), 'utf8')) as Manifest;

/** Turns off coverage in children: it writes files. */
const CHILD = { PATH: process.env['PATH'], NODE_V8_COVERAGE: '' };

/** Runs the page's program. @returns Its output. */
async function tryIt(env: NodeJS.ProcessEnv, before: readonly string[] = []): Promise<string> {
  const [, program = ''] = /```js\n([\s\S]+?)```/.exec(PAGE) ?? [];
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'try.mjs'), program);
  const { stdout } = await run(
    before[0] ?? process.execPath,
    before.length === 0 ? ['try.mjs'] : [...before.slice(1), process.execPath, 'try.mjs'],
    { cwd: folder, env: { ...CHILD, ...env }, timeout: 30_000 },
  );
  return stdout;
}

// Port 9 of this machine, as on the page: no server listens there.
const ON = { ACME_TELEMETRY_ENDPOINT: 'http://127.0.0.1:9' };
const OFF = { ...ON, DO_NOT_TRACK: '1' };

test.serial('the program of docs/data-flow.md prints the result of its event, with telemetry off and on', async (t) => {
  t.regex(await tryIt(OFF), /^accepted: false\n[^]*published: 0,/);
  t.regex(await tryIt(ON), /^accepted: true\n[^]*reasons: \{ deadline: 1 \}/);
});

async function canTrace(): Promise<boolean> {
  try {
    await run('strace', ['-f', '-o', path.join(folder, 'none.txt'), process.execPath, '--version']);
    return true;
  } catch {
    return false;
  }
}

test.serial('the strace commands of docs/data-flow.md show what the page says, if strace is installed', async (t) => {
  mkdirSync(folder, { recursive: true });
  if (!(await canTrace())) {
    t.pass('strace is not installed');
    return;
  }
  const commands = [...PAGE.matchAll(/^(.*) strace -f -e trace=(\w+) -o (\w+\.txt) node try\.mjs; grep -cE? '?([^'\n]+?)'? \w+\.txt$/gm)];
  const counts: number[] = [];
  for (const [, setting = '', calls = '', file = '', pattern = ''] of commands) {
    const [name = '', value = ''] = setting.split('=');
    await tryIt({ ACME_TELEMETRY_ENDPOINT: 'http://127.0.0.1:9', [name]: value }, ['strace', '-f', '-e', `trace=${calls}`, '-o', file]);
    const lines = readFileSync(path.join(folder, file), 'utf8').split('\n');
    counts.push(lines.filter((line) => new RegExp(pattern).test(line)).length);
  }
  t.is(counts.length, 3);
  t.is(counts[0], 0, 'connections, switched off');
  t.true((counts[1] ?? 0) > 0, 'connections, switched on');
  t.is(counts[2], 0, 'files written, switched off');
});

test('the table of dependencies in docs/data-flow.md matches package.json and the lock file', (t) => {
  const rows = [...PAGE.matchAll(/^\| ([a-z0-9-]+) \| (\^[\d.]+) \| ([\d.]+), \w+ \d{4} \|/gm)];
  t.deepEqual(Object.fromEntries(rows.map(([, name, range]) => [name, range])), read('package.json').dependencies);
  const { packages } = read('package-lock.json');
  for (const [, name = '', , version] of rows) t.is(packages[`node_modules/${name}`]?.version, version, name);
  t.deepEqual(
    Object.keys(packages).filter((name) => packages[name]?.hasInstallScript && !packages[name].dev),
    [],
  );
});

test('each package of a lock file has its integrity, and none names the host of a registry', (t) => {
  for (const part of ['.', 'bench', 'hosts', 'reference', 'world', 'toolchains']) {
    const text = readFileSync(path.join(ROOT, part, 'package-lock.json'), 'utf8');
    const { packages } = JSON.parse(text) as { packages: Record<string, { integrity?: string; link?: true }> };
    const without = Object.keys(packages).filter((name) => name !== '' && packages[name]?.integrity === undefined && !packages[name]?.link);
    t.deepEqual(without, [], part);
    t.notRegex(text, /"resolved"/, part);
  }
});
