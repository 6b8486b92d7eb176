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

/** Puts something at the config file's place. */
function put({ file }: Home, text: string): string {
  mkdirSync(path.dirname(file('cosmos')), { recursive: true });
  writeFileSync(file('cosmos'), text);
  return file('cosmos');
}

test('help and version are everywhere, and say how it ends', async (t) => {
  const { env } = makeHome(t);
  const { version } = JSON.parse(readFileSync(path.join(path.dirname(BIN), '../../package.json'), 'utf8')) as { version: string };
  for (const command of [[], ['status'], ['disable'], ['enable'], ['preview'], ['events']]) {
    const help = await runBin([...command, '--help'], env);
    t.is(help.code, 0);
    t.is(help.stderr, '');
    t.true(help.stdout.startsWith(`Usage: ${['cosmos-telemetry', ...command].join(' ')} `), help.stdout);
    t.regex(help.stdout, /\nIt ends with:\n {2}0 {2}.+\n {2}1 {2}.+\n {2}2 {2}.+\n$/);
    t.deepEqual(await runBin([...command, '--version'], env), { code: 0, stdout: `cosmos-telemetry ${version}\n`, stderr: '' });
  }
  t.regex(
    (await runBin([], env)).stdout,
    /\n {2}status +.+\n {2}disable +.+\n {2}enable +.+\n {2}preview \[EVENT\.json \| -\] +.+\n {2}events \[EVENT\] /,
  );
});

test('status, disable, status, enable: the file says so, and nothing else is left', async (t) => {
  const home = makeHome(t);
  const file = home.file('cosmos');
  const before = await runBin(['status'], home.env);
  t.is(before.code, 0);
  t.regex(before.stdout, /^Telemetry of cosmos is on\.\n\n {2}decided by +the default: /);
  t.true(before.stdout.includes('https://astronomer.gateway.scarf.sh/astronomer-cosmos, set by the program\n'));
  t.true(before.stdout.includes(`${file} (not there)\n`));
  t.false(existsSync(path.dirname(file)), 'looking writes nothing');

  const disabled = await runBin(['disable'], home.env);
  t.deepEqual([disabled.code, disabled.stderr], [0, '']);
  t.true(
    disabled.stdout.startsWith(
      `Telemetry of cosmos is off.\n\n  config file     ${file} says so now\n  decided by      config file = false, ${file}:2\n`,
    ),
  );
  t.regex(disabled.stdout, /Astronomer Cosmos itself, in Python, does not know this file/);
  t.is(readFileSync(file, 'utf8'), '{\n  "enabled": false\n}\n');
  t.deepEqual(readdirSync(path.dirname(file)), ['telemetry.json']);
  if (isPosix)
    t.deepEqual(
      [file, path.dirname(file), path.dirname(path.dirname(file))].map((each) => statSync(each).mode & 0o777),
      [0o600, 0o700, 0o700],
    );
  t.regex((await runBin(['disable'], home.env)).stdout, / said so already\n/);

  const off = JSON.parse((await runBin(['status', '--json'], home.env)).stdout) as Record<string, unknown>;
  t.deepEqual(off, {
    product: 'cosmos',
    version: null,
    enabled: false,
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

test('enable under an opt-out writes the yes, and says why it stays off', async (t) => {
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
    t.true(held.stdout.includes(`ask whoever runs this machine: ${policy}:3 decides for everybody on it\n`));
  }
});

test('other keys stay, and a link is followed', async (t) => {
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
  t.deepEqual(readdirSync(path.dirname(link)), ['telemetry.json'], 'the link is still one, and alone');
});

test('a config file that cannot be used: status says so and ends with 1, nothing overwrites it', async (t) => {
  const home = makeHome(t);
  const file = home.file('cosmos');
  const cases: [text: string, why: string][] = [
    ['{"enabled": fal', 'not JSON'],
    ['', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['{"enabled": "no"}', '"enabled" is neither true nor false'],
  ];
  for (const [text, why] of cases) {
    put(home, text);
    const status = await runBin(['status'], home.env);
    t.is(status.code, 1);
    t.true(status.stdout.startsWith('Telemetry of cosmos is off.\n'));
    t.true(
      status.stderr.startsWith(`cosmos-telemetry: ${file}`) &&
        status.stderr.includes(`cannot be used (${why}), which counts as an opt-out\n`),
      status.stderr,
    );
    for (const command of ['disable', 'enable']) {
      const { code, stdout, stderr } = await runBin([command], home.env);
      t.deepEqual([code, stdout], [1, '']);
      t.regex(stderr, /^cosmos-telemetry: .+telemetry\.json(:1)? cannot be changed \(.+\): mend or remove it; nothing was changed\n$/);
      t.is(readFileSync(file, 'utf8'), text);
    }
  }
});

test('what stands in the place of the config file or its folder is named', async (t) => {
  const home = makeHome(t);
  mkdirSync(home.file('cosmos'), { recursive: true });
  t.deepEqual(await runBin(['disable'], home.env), {
    code: 1,
    stdout: '',
    stderr: `cosmos-telemetry: ${home.file('cosmos')} is a folder where the config file belongs: remove it; nothing was changed\n`,
  });
  if (isPosix)
    t.deepEqual([(await runBin(['status'], home.env)).code, (await runBin(['status'], home.env)).stderr.includes('(EISDIR)')], [1, true]);

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
  t.regex(dangling.stderr, / is a link that leads to no file: mend or remove it; nothing was changed\n$/);

  const nowhere = await runBin(['enable'], {});
  t.deepEqual(nowhere, {
    code: 1,
    stdout: '',
    stderr: 'cosmos-telemetry: there is no place for a config file: neither XDG_CONFIG_HOME nor HOME names a folder\n',
  });
});

test('a folder that cannot be written to is named, and nothing is left in it', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('/proc is Linux');
    return;
  }
  // Not by chmod, which does not stop root.
  const { code, stdout, stderr } = await runBin(['disable'], { XDG_CONFIG_HOME: '/proc/sys' });
  t.deepEqual([code, stdout], [1, '']);
  t.regex(stderr, /^cosmos-telemetry: \/proc\/sys\/cosmos cannot be written to \([A-Z]+\); nothing was changed\n$/);
});

test('an unknown command, option, event or argument is usage, with its name', async (t) => {
  const { env } = makeHome(t);
  const cases: [args: string[], message: string][] = [
    [['stat'], 'unknown command stat; see `cosmos-telemetry --help`'],
    [['status', '--colour'], 'unknown option --colour; see `cosmos-telemetry --help`'],
    [['status', '-x'], 'unknown option -x; see `cosmos-telemetry --help`'],
    [['status', '--json=yes'], 'option --json takes no value; see `cosmos-telemetry --help`'],
    [['status', 'now'], 'status does not take now; see `cosmos-telemetry status --help`'],
    [['status', '--sample'], 'option --sample belongs to preview; see `cosmos-telemetry --help`'],
    [['preview', '--sample', 'x.json'], 'preview takes a file or --sample, and not both; see `cosmos-telemetry preview --help`'],
    [['events', 'dagrun'], 'there is no event "dagrun"; known: dag_run, task_instance, dbt_docs_access'],
  ];
  for (const [args, message] of cases)
    t.deepEqual(await runBin(args, env), { code: 2, stdout: '', stderr: `cosmos-telemetry: ${message}\n` });
});

const TASK = { module: 'cosmos.operators.local', operatorName: 'DbtRunLocalOperator', isDbtOperator: true };
const EVENT = {
  event: 'task_instance.success',
  payload: { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, duration: 7, task: TASK } },
};

test('preview of a file and of standard input shows the request; nothing is written', async (t) => {
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
  t.true(optedOut.stdout.includes('Telemetry of cosmos is off (DO_NOT_TRACK=1 in the environment): none of this leaves this machine.\n'));
  t.is(optedOut.stdout.split('\n   GET https://').length, 3, 'it shows them all the same');
  t.deepEqual(readdirSync(home.folder), ['event.json']);
});

test('a document that cannot be previewed is named, without anything that stands in it', async (t) => {
  const home = makeHome(t);
  const file = path.join(home.folder, 'event.json');
  const missing = path.join(home.folder, 'missing.json');
  t.deepEqual(await runBin(['preview', missing], home.env), { code: 1, stdout: '', stderr: `cosmos-telemetry: ${missing} is not there\n` });
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
  for (const [text, code, message] of cases) {
    writeFileSync(file, text);
    const end = await runBin(['preview', file], home.env);
    t.deepEqual([end.code, end.stdout], [code, ''], String(message));
    const line = end.stderr.replace('cosmos-telemetry: ', '').replace(`${home.folder}${path.sep}`, '').trimEnd();
    if (typeof message === 'string') t.is(line, message);
    else t.regex(line, message);
    t.notRegex(end.stderr, /s3cret|\n.*\n/);
  }
  const piped = await runBin(['preview', '-'], home.env, 'nonsense');
  t.deepEqual([piped.code, piped.stderr.startsWith('cosmos-telemetry: standard input is not JSON')], [1, true]);
});

test('events, for people and for machines', async (t) => {
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

test('a reader who leaves, and a disk that is full, end without a stack trace', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('/dev/full is Linux');
    return;
  }
  const { env } = makeHome(t);
  const full = execFileSync('sh', ['-c', `"${process.execPath}" "${BIN}" status 2>&1 >/dev/full; echo "code $?"`], {
    env,
    encoding: 'utf8',
  });
  t.is(full, 'cosmos-telemetry: standard output cannot be written to (ENOSPC)\ncode 1\n');
  const child = spawn(process.execPath, [BIN, 'events'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.destroy();
  const [code] = (await once(child, 'close')) as [number | null];
  t.deepEqual([code, stderr], [0, '']);
});
