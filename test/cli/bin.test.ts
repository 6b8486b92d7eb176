import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { makeHome, runBin } from '../helpers/run-cli.js';
import type { Home } from '../helpers/run-cli.js';

const isPosix = process.platform !== 'win32';
const BIN = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));

/** Writes the config file. */
function put({ file }: Home, text: string): string {
  mkdirSync(path.dirname(file('cosmos')), { recursive: true });
  writeFileSync(file('cosmos'), text);
  return file('cosmos');
}

test('every command has help, with the exit codes, and a version', async (t) => {
  const { env } = makeHome(t);
  const { version } = JSON.parse(readFileSync(path.join(path.dirname(BIN), '../../package.json'), 'utf8')) as { version: string };
  const check = async (command: string[]): Promise<void> => {
    const [help, asCommand, versionEnd] = await Promise.all([
      runBin([...command, '--help'], env),
      runBin(['help', ...command], env),
      runBin([...command, '--version'], env),
    ]);
    t.is(help.code, 0);
    t.is(help.stderr, '');
    t.true(help.stdout.startsWith(`Usage: ${['cosmos-telemetry', ...command].join(' ')} `), help.stdout);
    t.regex(help.stdout, /\nExit codes:\n {2}0 {2}.+\n {2}1 {2}.+\n {2}2 {2}.+\n$/);
    t.deepEqual(asCommand, help);
    t.deepEqual(versionEnd, { code: 0, stdout: `cosmos-telemetry ${version}\n`, stderr: '' });
  };
  await Promise.all([[], ['status'], ['disable'], ['enable'], ['preview'], ['events']].map(check));
  t.regex(
    (await runBin([], env)).stdout,
    /\n {2}status +.+\n {2}disable +.+\n {2}enable +.+\n {2}preview \[EVENT\.json \| -\] +.+\n {2}events \[EVENT\] /,
  );
});

test('status, disable, status, enable: each shows the state, and only the config file is written', async (t) => {
  const home = makeHome(t);
  const file = home.file('cosmos');
  const before = await runBin(['status'], home.env);
  t.is(before.code, 0);
  t.regex(before.stdout, /^Telemetry of cosmos is on\.\n\n {2}decided by +the default: /);
  t.true(before.stdout.includes('https://astronomer.gateway.scarf.sh/astronomer-cosmos, set by the program\n'));
  t.true(before.stdout.includes(`${file} (does not exist)\n`));
  t.false(existsSync(path.dirname(file)), 'status writes nothing');

  const disabled = await runBin(['disable'], home.env);
  t.deepEqual([disabled.code, disabled.stderr], [0, '']);
  t.true(
    disabled.stdout.startsWith(
      `Telemetry of cosmos is off.\n\n  config file     ${file} now says no\n  decided by      config file = false, ${file}:2\n`,
    ),
  );
  t.regex(disabled.stdout, /Astronomer Cosmos for Python does not read this file/);
  t.is(readFileSync(file, 'utf8'), '{\n  "enabled": false\n}\n');
  t.deepEqual(readdirSync(path.dirname(file)), ['telemetry.json']);
  if (isPosix)
    t.deepEqual(
      [file, path.dirname(file), path.dirname(path.dirname(file))].map((each) => statSync(each).mode & 0o777),
      [0o600, 0o700, 0o700],
    );
  t.regex((await runBin(['disable'], home.env)).stdout, / already said no\n/);

  const off = JSON.parse((await runBin(['status', '--json'], home.env)).stdout) as Record<string, unknown>;
  t.deepEqual(off, {
    product: 'cosmos',
    version: null,
    enabled: false,
    state: 'off',
    decidedBy: { name: 'config file', value: 'false', optsOut: true, source: { kind: 'file', path: file, line: 2 } },
    others: [],
    toChange: ['run `cosmos-telemetry enable`'],
    endpoint: { url: 'https://astronomer.gateway.scarf.sh/astronomer-cosmos', setBy: 'program', isVariableIgnored: false },
    debug: null,
    configFile: file,
    policyFiles: off['policyFiles'],
    problems: [],
  });

  const enabled = await runBin(['enable'], home.env);
  t.is(enabled.code, 0);
  t.true(enabled.stdout.startsWith('Telemetry of cosmos is on.\n'));
  t.is(readFileSync(file, 'utf8'), '{\n  "enabled": true\n}\n');
});

test('enable with an opt-out in the environment writes the yes, and shows why telemetry stays off', async (t) => {
  const home = makeHome(t);
  const { code, stdout } = await runBin(['enable'], { ...home.env, DO_NOT_TRACK: '1' });
  t.is(code, 0);
  t.true(stdout.startsWith('Telemetry of cosmos stays off.\n'), stdout);
  t.regex(stdout, /\n {2}decided by +DO_NOT_TRACK=1 in the environment\n/);
  t.regex(stdout, /\n {2}to turn it on +unset DO_NOT_TRACK, or set it to 0\n/);
  t.is(readFileSync(home.file('cosmos'), 'utf8'), '{\n  "enabled": true\n}\n');

  const policy = path.join(home.folder, 'policy', 'cosmos', 'telemetry.json');
  mkdirSync(path.dirname(policy), { recursive: true });
  writeFileSync(policy, '{\n\n"enabled": false}');
  if (isPosix) {
    const held = await runBin(['enable'], home.env);
    t.is(held.code, 0);
    t.true(held.stdout.includes(`decided by      policy file = false, ${policy}:3\n`), held.stdout);
    t.true(held.stdout.includes(`ask the administrator of this machine: ${policy}:3 decides for all its users\n`));
  }
});

test('disable keeps the other keys of the config file, and follows a symbolic link', async (t) => {
  const home = makeHome(t);
  const file = put(home, '\ufeff{"later": {"enabled": true, "list": [1, 2]}, "enabled": true}');
  t.is((await runBin(['disable'], home.env)).code, 0);
  t.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { later: { enabled: true, list: [1, 2] }, enabled: false });

  if (!isPosix) return;
  const real = path.join(home.folder, 'dotfiles.json');
  writeFileSync(real, '{}');
  const linked = { ...home.env, XDG_CONFIG_HOME: path.join(home.folder, 'linked') };
  const link = path.join(home.folder, 'linked', 'cosmos', 'telemetry.json');
  mkdirSync(path.dirname(link), { recursive: true });
  symlinkSync(real, link);
  t.is((await runBin(['disable'], linked)).code, 0);
  t.is(readFileSync(real, 'utf8'), '{\n  "enabled": false\n}\n');
  t.deepEqual(readdirSync(path.dirname(link)), ['telemetry.json'], 'the link is still a link, and nothing is beside it');
});

test('with a config file that cannot be used status exits with 1, and disable and enable do not overwrite it', async (t) => {
  const home = makeHome(t);
  const file = home.file('cosmos');
  const cases: [text: string, why: string, state: string][] = [
    ['{"enabled": fal', 'not JSON', 'is unknown, so nothing is sent'],
    ['', 'not JSON', 'is unknown, so nothing is sent'],
    ['[]', 'not a JSON object', 'is off'],
    ['{"enabled": "no"}', '"enabled" is neither true nor false', 'is off'],
  ];
  for (const [text, why, state] of cases) {
    put(home, text);
    const [status, ...switches] = await Promise.all(['status', 'disable', 'enable'].map((command) => runBin([command], home.env)));
    t.is(status?.code, 1);
    t.true(status?.stdout.startsWith(`Telemetry of cosmos ${state}.\n`));
    t.true(status?.stderr.startsWith(`cosmos-telemetry: ${file}`) && status.stderr.includes(`cannot be used (${why})`), status?.stderr);
    for (const { code, stdout, stderr } of switches) {
      t.deepEqual([code, stdout], [1, '']);
      t.regex(stderr, /^cosmos-telemetry: .+telemetry\.json(:1)? cannot be changed \(.+\): fix or remove it; nothing was changed\n$/);
      t.is(readFileSync(file, 'utf8'), text);
    }
  }
});

test('disable names the obstacle at the path of the config file or its folder', async (t) => {
  const home = makeHome(t);
  mkdirSync(home.file('cosmos'), { recursive: true });
  t.deepEqual(await runBin(['disable'], home.env), {
    code: 1,
    stdout: '',
    stderr: `cosmos-telemetry: ${home.file('cosmos')} is a folder and not a file: remove it; nothing was changed\n`,
  });
  if (!isPosix) return;
  const { code, stdout } = await runBin(['status', '--json'], home.env);
  const { enabled, state, decidedBy, toChange } = JSON.parse(stdout) as Record<string, unknown>;
  t.deepEqual([code, enabled, state], [1, false, 'unknown']);
  t.like(decidedBy, { name: 'config file', value: 'EISDIR', unknown: 'unreadable', source: { path: home.file('cosmos') } });
  t.deepEqual(toChange, [`make ${home.file('cosmos')} readable, or remove it`]);
  const text = (await runBin(['status'], home.env)).stdout;
  t.regex(text, /^Telemetry of cosmos is unknown, so nothing is sent\.\n/);
  t.regex(text, /decided by +config file cannot be read \(EISDIR\), /);

  const plain = path.join(home.folder, 'plain');
  writeFileSync(plain, 'a file');
  const inFile = await runBin(['disable'], { ...home.env, XDG_CONFIG_HOME: plain, APPDATA: plain });
  t.is(inFile.code, 1);
  t.true(inFile.stderr.startsWith(`cosmos-telemetry: ${path.join(plain, 'cosmos')} `), inFile.stderr);
  t.is(readFileSync(plain, 'utf8'), 'a file');

  if (!isPosix) return;
  const away = path.join(home.folder, 'away', 'cosmos');
  mkdirSync(away, { recursive: true });
  symlinkSync('nowhere', path.join(away, 'telemetry.json'));
  const dangling = await runBin(['disable'], { ...home.env, XDG_CONFIG_HOME: path.dirname(away) });
  t.deepEqual([dangling.code, existsSync(path.join(away, 'nowhere'))], [1, false]);
  t.regex(dangling.stderr, / is a symbolic link to no file: fix or remove it; nothing was changed\n$/);

  const nowhere = await runBin(['enable'], {});
  t.deepEqual(nowhere, {
    code: 1,
    stdout: '',
    stderr: 'cosmos-telemetry: there is no place for a config file: neither XDG_CONFIG_HOME nor HOME names a folder\n',
  });
});

test('disable names a folder that cannot be written to', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('/proc is Linux');
    return;
  }
  // Not by chmod, which does not stop root.
  const { code, stdout, stderr } = await runBin(['disable'], { XDG_CONFIG_HOME: '/proc/sys' });
  t.deepEqual([code, stdout], [1, '']);
  t.regex(stderr, /^cosmos-telemetry: \/proc\/sys\/cosmos cannot be written to \([A-Z]+\); nothing was changed\n$/);
});

test('an unknown command, option, event or argument is a usage error that names it', async (t) => {
  const { env } = makeHome(t);
  const cases: [args: string[], message: string][] = [
    [['stat'], 'unknown command stat; see `cosmos-telemetry --help`'],
    [['status', '--colour'], 'unknown option --colour; see `cosmos-telemetry --help`'],
    [['status', '-x'], 'unknown option -x; see `cosmos-telemetry --help`'],
    [['status', '--json=yes'], 'option --json takes no value; see `cosmos-telemetry --help`'],
    [['status', 'now'], 'status does not take now; see `cosmos-telemetry status --help`'],
    [['status', '--sample'], 'option --sample is for preview only; see `cosmos-telemetry --help`'],
    [['preview', '--sample', 'x.json'], 'preview takes a file or --sample, and not both; see `cosmos-telemetry preview --help`'],
    [['events', 'dagrun'], 'there is no event "dagrun"; known: dag_run, task_instance, dbt_docs_access'],
  ];
  const check = async ([args, message]: [args: string[], message: string]): Promise<void> => {
    t.deepEqual(await runBin(args, env), { code: 2, stdout: '', stderr: `cosmos-telemetry: ${message}\n` });
  };
  await Promise.all(cases.map(check));
});

const TASK = { module: 'cosmos.operators.local', operatorName: 'DbtRunLocalOperator', isDbtOperator: true };
const EVENT = {
  event: 'task_instance.success',
  payload: { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, duration: 7, task: TASK } },
};

test('preview of a file and of standard input shows the request, and writes nothing', async (t) => {
  const home = makeHome(t);
  const file = path.join(home.folder, 'event.json');
  writeFileSync(file, JSON.stringify(EVENT));
  const { code, stdout, stderr } = await runBin(['preview', file], home.env);
  t.deepEqual([code, stderr], [0, '']);
  t.regex(
    stdout,
    /\n {3}GET https:\/\/astronomer\.gateway\.scarf\.sh\/astronomer-cosmos\/v3\/task_instance\?node_version=[\d.]+&platform_system=\w+&platform_machine=\w+&status=success&operator_name=DbtRunLocalOperator&is_cosmos_operator_subclass=False&invocation_mode=None&execution_mode=local&profile_strategy=None&profile_mapping_class=None&database=None&is_mapped_task=False&has_callback=False&duration=7\.0\n/,
  );
  t.regex(stdout, /\n {3}duration = 7\.0 +How long the task ran, in seconds\.\n/);
  t.deepEqual(await runBin(['preview', '-'], home.env, JSON.stringify(EVENT)), { code, stdout, stderr });
  const optedOut = await runBin(['preview', '-'], { ...home.env, DO_NOT_TRACK: '1' }, JSON.stringify([EVENT, EVENT]));
  t.is(optedOut.code, 0);
  t.true(optedOut.stdout.includes('Telemetry of cosmos is off (DO_NOT_TRACK=1 in the environment): the program sends none of this.\n'));
  t.is(optedOut.stdout.split('\n   GET https://').length, 3, 'it still shows the requests');
  t.deepEqual(readdirSync(home.folder), ['event.json']);
});

test('preview names a document that it cannot use, without any text of it', async (t) => {
  const home = makeHome(t);
  const missing = path.join(home.folder, 'missing.json');
  t.deepEqual(await runBin(['preview', missing], home.env), {
    code: 1,
    stdout: '',
    stderr: `cosmos-telemetry: ${missing} does not exist\n`,
  });
  t.deepEqual(await runBin(['preview', home.folder], home.env), {
    code: 1,
    stdout: '',
    stderr: `cosmos-telemetry: ${home.folder} is a folder\n`,
  });
  const cases: [text: string | Buffer, code: number, message: string | RegExp][] = [
    ['{"event":\n "s3cret" "x"}', 1, /^event\.json is not JSON( \(line 2\))?$/],
    [Buffer.from('{"event": "x"}', 'utf16le'), 1, /^event\.json is not (JSON|UTF-8)/],
    [Buffer.from([0xff, 0xfe, 0x7b]), 1, 'event.json is not UTF-8'],
    ['[]', 1, /^event\.json holds no event: /],
    ['3', 1, /^event\.json is no event: /],
    ['{"payload": {}}', 1, /^event\.json has no "event": /],
    [`[${JSON.stringify(EVENT)}, {"event": "dag_run.success"}]`, 1, 'event.json, event 2, has no "payload", which dag_run.success needs'],
    ['{"event": "dbt_docs_access", "payload": {}}', 1, 'event.json has no "metrics", which dbt_docs_access needs'],
    ['{"event": "dag_run.success", "payload": {}, "colour": 1}', 1, 'event.json has an unknown key "colour"'],
    [
      '{"event": "dag_run.sucess", "payload": {}}',
      2,
      'event.json has an unknown event "dag_run.sucess"; known: dag_run.success, dag_run.failed, task_instance.success, task_instance.failed, dag_run, task_instance, dbt_docs_access',
    ],
  ];
  const check = async ([text, code, message]: (typeof cases)[number], index: number): Promise<void> => {
    const folder = path.join(home.folder, String(index));
    const file = path.join(folder, 'event.json');
    mkdirSync(folder);
    writeFileSync(file, text);
    const end = await runBin(['preview', file], home.env);
    t.deepEqual([end.code, end.stdout], [code, ''], String(message));
    const line = end.stderr.replace('cosmos-telemetry: ', '').replace(`${folder}${path.sep}`, '').trimEnd();
    if (typeof message === 'string') t.is(line, message);
    else t.regex(line, message);
    t.notRegex(end.stderr, /s3cret|\n.*\n/);
  };
  await Promise.all(cases.map(check));
  const piped = await runBin(['preview', '-'], home.env, 'nonsense');
  t.deepEqual([piped.code, piped.stderr.startsWith('cosmos-telemetry: standard input is not JSON')], [1, true]);
});

test('events lists every event, as text and as JSON', async (t) => {
  const { env } = makeHome(t);
  const all = await runBin(['events'], env);
  t.is(all.code, 0);
  for (const title of ['with every event', 'dag_run', 'dag_run, metadata', 'task_instance', 'dbt_docs_access'])
    t.true(`\n${all.stdout}`.includes(`\n${title}: `), title);
  t.deepEqual(
    all.stdout.split('\n').filter((line) => line.length > 100),
    [],
    'it fits a terminal',
  );
  const { stdout } = await runBin(['events', 'dbt_docs_access', '--json'], env);
  const { events } = JSON.parse(stdout) as { events: { type: string; fields: Record<string, unknown>[] }[] };
  t.deepEqual(
    events.map(({ type }) => type),
    ['dbt_docs_access'],
  );
  t.like(events[0]?.fields[1], {
    name: 'docs_dir_configured',
    kind: 'boolean',
    nullable: false,
    optional: false,
    reason: 'To see how many users open the page before it is configured.',
  });
});

test('a closed pipe and a full disk end without a stack trace', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('/dev/full is Linux');
    return;
  }
  const { env } = makeHome(t);
  const full = execFileSync('sh', ['-c', `"${process.execPath}" "${BIN}" status 2>&1 >/dev/full; echo "code $?"`], {
    env,
    encoding: 'utf8',
  });
  t.is(full, 'cosmos-telemetry: cannot write to standard output (ENOSPC)\ncode 1\n');
  const child = spawn(process.execPath, [BIN, 'events'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.destroy();
  const [code] = (await once(child, 'close')) as [number | null];
  t.deepEqual([code, stderr], [0, '']);
});
