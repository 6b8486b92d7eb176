import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { configFilePlaces } from '../src/notice/opt-outs.js';
import { DEFAULT_LISTEN } from '../src/base/constants.js';
import { OWN_SUBDIRECTORY } from '../src/relay/spool/directory.js';
import { FILE_MODE } from '../src/relay/spool/files.js';
import { DEFAULT_MAX_AGE_MS } from '../src/relay/spool/options.js';

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

/** Runs the page's program. */
async function tryAll(env: NodeJS.ProcessEnv, before: readonly string[] = []): Promise<{ stdout: string; stderr: string }> {
  const [, program = ''] = /```js\n([\s\S]+?)```/.exec(PAGE) ?? [];
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'try.mjs'), program);
  return run(before[0] ?? process.execPath, before.length === 0 ? ['try.mjs'] : [...before.slice(1), process.execPath, 'try.mjs'], {
    cwd: folder,
    env: { ...CHILD, ...env },
    timeout: 30_000,
  });
}

/** Its output. */
async function tryIt(env: NodeJS.ProcessEnv, before: readonly string[] = []): Promise<string> {
  return (await tryAll(env, before)).stdout;
}

// Port 9 of this machine, as on the page: no server listens there.
const ON = { ACME_TELEMETRY_ENDPOINT: 'http://127.0.0.1:9' };
const OFF = { ...ON, DO_NOT_TRACK: '1' };

test.serial('the program of docs/data-flow.md prints the result of its event, with telemetry off and on', async (t) => {
  t.regex(await tryIt(OFF), /^accepted: false\n[^]*published: 0,/);
  t.regex(await tryIt(ON), /^accepted: true\n[^]*reasons: \{ deadline: 1 \}/);
});

test.serial('NODE_DEBUG=net shows what docs/data-flow.md says, in the commands for Linux and macOS', async (t) => {
  const commands = [...PAGE.matchAll(/^(\w+)=(\S+) (NODE_DEBUG)=(net) node try\.mjs 2>&1 \| grep -c '\^NET'$/gm)];
  const shown: boolean[] = [];
  for (const [, name = '', value = '', debug = '', what = ''] of commands) {
    const { stderr } = await tryAll({ [name]: value, [debug]: what });
    shown.push(/^NET /m.test(stderr));
  }
  t.deepEqual(shown, [false, true]);
  for (const [, name, value] of commands) t.true(PAGE.includes(`$env:${name} = '${value}'`), 'PowerShell sets the same');
});

test.serial('the command of docs/data-flow.md that works on every system says which switch decides', async (t) => {
  const [, script = ''] = /^node --input-type=module -e "(.+)"$/m.exec(PAGE) ?? [];
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    env: { ...CHILD, ACME_TELEMETRY: 'off' },
  });
  t.regex(stdout, /enabled: false,[^]*name: 'ACME_TELEMETRY'/);
  t.notRegex(script, /["$`!]/, 'no character that a shell would read');
});

/** The row of the table about the relay. */
function answerTo(question: string): string {
  return PAGE.split('\n').find((line) => line.startsWith(`| ${question} | `)) ?? '';
}

test('docs/data-flow.md says of the relay what its defaults are, and has the paths of each system', (t) => {
  t.true(answerTo('Where does it listen?').includes(`\`${DEFAULT_LISTEN}\`, plain HTTP`));
  t.true(answerTo('How long?').includes(`At most ${DEFAULT_MAX_AGE_MS / 3_600_000} hours`));
  t.true(answerTo('Who can read it?').includes(`mode 0${FILE_MODE.toString(8)}`));
  t.true(answerTo('Where?').includes(`DIR/${OWN_SUBDIRECTORY}\``));
  t.true(answerTo('What does it keep?').includes('in clear'));
  for (const { system, own, machineWide } of configFilePlaces('<name>')) {
    t.true(PAGE.includes(`| ${system.replace(' and others', '')} | \`${machineWide}\` | \`${own}\` | `), system);
  }
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
