import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import test from 'ava';
import { createTelemetryCliWith } from '../../src/cli/cli.js';
import { CliFailure } from '../../src/cli/exit-codes.js';
import { createTelemetryCli } from '../../src/cli/index.js';
import type { TelemetryCliOptions } from '../../src/cli/index.js';
import { writeSwitch } from '../../src/cli/switch.js';
import { columns, widthOf, wrap, writeTo } from '../../src/cli/terminal.js';
import { makeHome, runCli } from '../helpers/run-cli.js';

const ACME: TelemetryCliOptions = { product: { name: 'acme', version: '3.1.0' }, endpoint: 'https://telemetry.acme.example/' };

interface StatusJson {
  enabled: boolean;
  decidedBy: { name: string };
  others: { name: string; value: string; optsOut: boolean }[];
  toChange: string[];
  endpoint: object;
  debug: object | null;
  configFile: string | null;
  policyFiles: string[];
  problems: string[];
}

async function status(env: NodeJS.ProcessEnv, options: Partial<TelemetryCliOptions> = {}, platform: NodeJS.Platform = 'linux') {
  const { code, stdout } = await runCli({ ...ACME, ...options }, ['status', '--json'], { env, platform });
  return { code, ...(JSON.parse(stdout) as StatusJson) };
}

test('status shows every opt-out at once, also in files that a client does not open any more', async (t) => {
  const { env, file, folder } = makeHome(t);
  mkdirSync(path.dirname(file('acme')), { recursive: true });
  writeFileSync(file('acme'), '{"enabled": false}');
  const policy = path.join(folder, 'policy', 'acme', 'telemetry.json');
  mkdirSync(path.dirname(policy), { recursive: true });
  writeFileSync(policy, '{"enabled": false}');
  const found = await status(
    { ...env, DO_NOT_TRACK: '1', SCARF_NO_ANALYTICS: '0', ACME_TELEMETRY: 'sure' },
    { enabled: false, consent: 'opt-in' },
  );
  t.deepEqual(
    [found.decidedBy, ...found.others].map(({ name }) => name),
    ['enabled', 'DO_NOT_TRACK', 'SCARF_NO_ANALYTICS', 'ACME_TELEMETRY', 'policy file', 'config file', 'consent'],
  );
  t.deepEqual(found.toChange, [
    'nothing you can do: the program itself turns telemetry off',
    'unset DO_NOT_TRACK, or set it to 0',
    'unset ACME_TELEMETRY, or set it to 1',
    `ask the administrator of this machine: ${policy}:1 decides for all its users`,
    'run `acme telemetry enable`',
  ]);
});

test('status names `enable` once after `disable` under opt-in, where the own yes is the consent, too', async (t) => {
  const { env } = makeHome(t);
  const consent = 'opt-in';
  t.deepEqual((await status(env, { consent })).toChange, [
    'run `acme telemetry enable`, or set ACME_TELEMETRY=1: the program waits for your consent',
  ]);
  await runCli({ ...ACME, consent }, ['disable'], { env });
  t.deepEqual((await status(env, { consent })).toChange, ['run `acme telemetry enable`']);
  await runCli({ ...ACME, consent }, ['enable'], { env });
  t.true((await status(env, { consent })).enabled, 'the one step that it names is enough');
});

test('status under opt-in says each rule once', async (t) => {
  const { env } = makeHome(t);
  for (const also of [{}, { DO_NOT_TRACK: '1' }, { ACME_TELEMETRY: '1' }, { DO_NOT_TRACK: '1', ACME_TELEMETRY: 'on' }]) {
    const { decidedBy, others } = await status({ ...env, ...also }, { consent: 'opt-in' });
    t.deepEqual(
      [decidedBy, ...others].map(({ name }) => name),
      [...Object.keys(also), 'consent'],
    );
  }
});

test('status sees a yes in the config file behind an opt-out in the environment, and does not ask for consent again', async (t) => {
  const { env, file } = makeHome(t);
  mkdirSync(path.dirname(file('acme')), { recursive: true });
  writeFileSync(file('acme'), '{"enabled": true}');
  const found = await status({ ...env, DO_NOT_TRACK: '1' }, { consent: 'opt-in' });
  t.deepEqual(
    found.others.map(({ name, optsOut }) => [name, optsOut]),
    [
      ['config file', false],
      ['consent', false],
    ],
  );
  t.deepEqual(found.toChange, ['unset DO_NOT_TRACK, or set it to 0']);
  t.true((await status(env, { consent: 'opt-in' })).enabled);
  t.like(await status({ ...env, HOME: '/nowhere', APPDATA: '/nowhere' }, { consent: 'opt-in' }), {
    enabled: false,
    decidedBy: { name: 'consent' },
  });
});

test('status: airflow.cfg counts for cosmos, and is not opened behind an opt-out in the environment', async (t) => {
  const { env, folder } = makeHome(t);
  const cfg = path.join(folder, 'airflow.cfg');
  writeFileSync(cfg, '[cosmos]\n\nenable_telemetry = no\n');
  const cosmos = { product: { name: 'cosmos' } };
  const found = await status({ ...env, AIRFLOW_HOME: folder }, cosmos);
  t.like(found, { code: 0, enabled: false, toChange: [`set enable_telemetry = True in ${cfg}:3`] });
  t.deepEqual(found.problems, [`${cfg}:3 says "no", neither true nor false, which counts as an opt-out`]);
  const behind = await status({ ...env, AIRFLOW_HOME: folder, AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'f' }, cosmos);
  t.like(behind, { enabled: false, others: [], toChange: ['unset AIRFLOW__COSMOS__ENABLE_TELEMETRY, or set it to true'] });
  t.true((await status({ ...env, AIRFLOW_HOME: folder })).enabled, 'acme has nothing to do with it');
});

test('status shows the endpoint and who set it', async (t) => {
  const own = { url: 'https://telemetry.acme.example', setBy: 'program', isVariableIgnored: false };
  t.deepEqual((await status({})).endpoint, own);
  t.deepEqual((await status({ ACME_TELEMETRY_ENDPOINT: 'http://localhost:1/x' })).endpoint, {
    url: 'http://localhost:1/x',
    setBy: 'environment',
    isVariableIgnored: false,
  });
  const ignored = await status({ ACME_TELEMETRY_ENDPOINT: 'http://user:s3cret@localhost/' });
  t.deepEqual(ignored.endpoint, { ...own, isVariableIgnored: true });
  t.is(ignored.code, 0);
  t.deepEqual(ignored.problems, [
    'ACME_TELEMETRY_ENDPOINT is not an http or https URL without credentials, query or fragment; it is ignored',
  ]);
  const { stdout } = await runCli({ product: { name: 'acme' } }, ['status'], { env: { ACME_TELEMETRY_ENDPOINT: 'http://localhost:1/x' } });
  t.regex(stdout, /\n {2}endpoint +unknown here: the program has its own transport\n/);
});

test('status shows debug mode', async (t) => {
  t.is((await status({})).debug, null);
  t.deepEqual((await status({ ACME_TELEMETRY_DEBUG: '1' })).debug, { variable: 'ACME_TELEMETRY_DEBUG', file: null });
  const toFile = await runCli(ACME, ['status'], { env: { ACME_TELEMETRY_DEBUG: '/tmp/au\u001Bdit' } });
  t.regex(toFile.stdout, /\n {2}debug mode +ACME_TELEMETRY_DEBUG writes requests to the end of \/tmp\/au\uFFFDdit; nothing is sent\n/);
});

test("files are in the platform's usual places", async (t) => {
  const env = { HOME: '/Users/pat', APPDATA: 'C:\\Users\\pat\\AppData\\Roaming' };
  t.is((await status(env, {}, 'darwin')).configFile, '/Users/pat/Library/Application Support/acme/telemetry.json');
  t.is((await status(env, {}, 'win32')).configFile, 'C:\\Users\\pat\\AppData\\Roaming\\acme\\telemetry.json');
  t.is((await status({})).configFile, null);
  for (const [platform, names] of [
    ['win32', 'neither APPDATA nor USERPROFILE names'],
    ['darwin', 'HOME does not name'],
  ] as const) {
    const end = await runCli(ACME, ['disable'], { platform });
    t.deepEqual(end, { code: 1, stdout: '', stderr: `acme telemetry: there is no place for a config file: ${names} a folder\n` });
  }
});

test('colours are for terminals, unless the environment turns them off', async (t) => {
  const look = async (isTTY: boolean, env: NodeJS.ProcessEnv) =>
    (await runCli(ACME, ['status'], { isTTY, env })).stdout.includes('\u001B[');
  t.true(await look(true, {}));
  t.true(await look(true, { NO_COLOR: '' }), 'no-color.org: an empty value says nothing');
  t.false(await look(true, { NO_COLOR: '1' }));
  t.false(await look(true, { TERM: 'dumb' }));
  t.false(await look(false, { FORCE_COLOR: '1' }));
  const io = { stdout: { write: () => true, isTTY: true, columns: 20 } };
  t.is((await runCli(ACME, ['events'], io)).code, 0);
});

test('--version shows the versions of program and package; messages use the name of the command', async (t) => {
  t.regex((await runCli(ACME, ['--version'])).stdout, /^acme telemetry: acme 3\.1\.0, cosmos-telemetry \d+\.\d+\.\d+\n$/);
  const end = await runCli({ ...ACME, command: 'acme usage' }, ['nonsense']);
  t.deepEqual(end, { code: 2, stdout: '', stderr: 'acme usage: unknown command nonsense; see `acme usage --help`\n' });
});

test('help of the whole and of each command', async (t) => {
  const whole = await runCli(ACME, []);
  for (const args of [['-h'], ['--help'], ['help']]) t.deepEqual(await runCli(ACME, args), whole, args.join(' '));
  t.regex(whole.stdout, /^Usage: acme telemetry COMMAND \[options\]\n\nShow what telemetry of acme would send/);
  t.deepEqual(
    whole.stdout.split('\n').filter((line) => line.length > 100),
    [],
    'it fits a terminal',
  );
  for (const command of ['status', 'disable', 'enable', 'preview', 'events', 'notice']) {
    const { code, stdout } = await runCli(ACME, [command, '--help']);
    t.is(code, 0);
    t.deepEqual(await runCli(ACME, ['help', command]), { code, stdout, stderr: '' });
    t.true(whole.stdout.includes(`\n  ${command} `));
    t.true(stdout.startsWith(`Usage: acme telemetry ${command} `));
    t.is(stdout.includes('--sample '), command === 'preview');
    t.deepEqual(
      stdout.split('\n').filter((line) => line.length > 110),
      [],
    );
  }
});

test('a wrong command line is a usage error', async (t) => {
  for (const args of [
    ['stat'],
    ['help', 'stat'],
    ['status', 'help'],
    ['status', '--colour'],
    ['status', '--json=1'],
    ['status', 'now'],
    ['status', '--sample'],
    ['events', 'none'],
    ['preview', 'x', '--sample'],
  ]) {
    const { code, stdout, stderr } = await runCli(ACME, args);
    t.deepEqual([code, stdout], [2, ''], args.join(' '));
    t.regex(stderr, /^acme telemetry: .+\n$/);
  }
});

test('disable and enable have one shape of JSON', async (t) => {
  const { env, file } = makeHome(t);
  for (const [command, enabled, written] of [
    ['disable', false, true],
    ['disable', false, false],
    ['enable', true, true],
  ] as const) {
    const { stdout } = await runCli(ACME, [command, '--json'], { env });
    t.like(JSON.parse(stdout), {
      product: 'acme',
      version: '3.1.0',
      enabled,
      written,
      configFile: file('acme'),
      decidedBy: { name: 'config file' },
    });
  }
  const held = await runCli(ACME, ['enable'], { env: { ...env, ACME_TELEMETRY: '0' } });
  t.true(
    held.stdout.startsWith(`Telemetry of acme stays off.\n\n  config file     ${file('acme')} already said yes, but any no wins over it\n`),
  );
  t.false((await runCli(ACME, ['disable'], { env })).stdout.includes('Python'));
});

test('standard input is read by `preview -` only', async (t) => {
  let isRead = false;
  const stdin = {
    async *[Symbol.asyncIterator]() {
      isRead = true;
      yield '{"event": "dag_run.success",';
      yield Buffer.from('"payload": null}');
    },
  };
  const { env } = makeHome(t);
  for (const command of ['status', 'disable', 'enable', 'preview', 'events'])
    t.is((await runCli(ACME, [command], { stdin, env })).code, 0, command);
  t.false(isRead);
  t.regex((await runCli(ACME, ['preview', '-'], { stdin })).stdout, /Nothing would be sent: the payload has no "dagRun"/);
  t.true(isRead);
});

const runsOutOfFiles = () => Promise.reject(Object.assign(new Error('open, s3cret'), { code: 'EMFILE' }));

test('a limit of open files that keeps a command from being loaded is said in words', async (t) => {
  let stderr = '';
  const cli = createTelemetryCliWith(ACME, new Map([['relay', { summary: '', usage: '', run: runsOutOfFiles }]]));
  const code = await cli.run(['relay'], { env: {}, stderr: { write: (text) => (stderr += text) } });
  t.is(code, 1);
  t.is(stderr, 'acme telemetry: this process may not open more files: raise its limit (`ulimit -n`, or LimitNOFILE of systemd)\n');
});

test('an unexpected error is one line, too, and never a rejection', async (t) => {
  const env = new Proxy(
    {},
    {
      get: () => {
        throw new RangeError('s3cret');
      },
    },
  );
  t.deepEqual(await runCli(ACME, ['status'], { env }), {
    code: 1,
    stdout: '',
    stderr: 'acme telemetry: failed unexpectedly (RangeError); please report it\n',
  });
  const broken = {
    write: () => {
      throw Object.assign(new Error('s3cret'), { code: 'EIO' });
    },
  };
  t.deepEqual(await runCli(ACME, ['status'], { stdout: broken }), {
    code: 1,
    stdout: '',
    stderr: 'acme telemetry: cannot write to standard output (EIO)\n',
  });
});

test('a wrong option throws at once, with its name and value', (t) => {
  const cases: [options: object, message: RegExp][] = [
    [{}, /`product`/],
    [{ product: { name: 'Acme' } }, /`product\.name` to match .+ got "Acme"/],
    [{ product: { name: 'acme', version: 'a b' } }, /`version` to be a version, got "a b"/],
    [
      { ...ACME, endpoint: 'https://u:s3cret@acme.example' },
      /`endpoint` to be an http or https URL .+ got "https:\/\/\*\*\*@acme\.example"/,
    ],
    [{ ...ACME, host: { name: 'acme', version: '1' } }, /different names/],
    [{ ...ACME, events: [{}] }, /event type/],
    [{ ...ACME, enabled: true }, /`enabled` to be false or left out/],
    [{ ...ACME, consent: 'yes' }, /`consent`/],
    [{ ...ACME, tranport: {} }, /known keys only, got `tranport`/],
    [{ ...ACME, command: ' ' }, /`command` to be a text/],
  ];
  for (const [options, message] of cases)
    t.throws(() => createTelemetryCli(options as TelemetryCliOptions), { instanceOf: TypeError, message });
});

test.serial('writeSwitch() that fails leaves the file as it was and nothing beside it', (t) => {
  const root = mkdtempSync(path.join(tmpdir(), 'config-edit-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const folder = path.join(root, 'a', 'b');
  const file = path.join(folder, 'telemetry.json');
  t.true(writeSwitch(file, false), 'folders are created');
  t.false(writeSwitch(file, false));
  t.true(writeSwitch(file, true));
  t.is(readFileSync(file, 'utf8'), '{\n  "enabled": true\n}\n');

  const refusals: [make: () => void, message: RegExp][] = [
    [() => writeFileSync(file, '{"enabled": true, "enabled": false}'), /telemetry\.json:1 cannot be changed \(duplicate "enabled"\)/],
    [() => writeFileSync(file, 'x'.repeat(70_000)), /cannot be changed \(more than 64 KiB\)/],
    [() => writeFileSync(file, Buffer.from([0xff])), /cannot be read \(EILSEQ\)/],
  ];
  if (process.platform !== 'win32') {
    refusals.push(
      [() => mkdirSync(file), /is a folder and not a file/],
      [() => symlinkSync('nowhere', file), /is a symbolic link to no file/],
      [() => symlinkSync('telemetry.json', file), /is a symbolic link to no file/],
    );
  }
  for (const [make, message] of refusals) {
    rmSync(file, { recursive: true, force: true });
    make();
    const before = lstatSync(file);
    const error = t.throws(() => writeSwitch(file, true), { instanceOf: CliFailure, message });
    t.is(error?.exitCode, 1);
    t.true(error?.message.endsWith('; nothing was changed'));
    t.is(lstatSync(file).ino, before.ino);
    t.deepEqual(readdirSync(folder), ['telemetry.json']);
  }
  writeFileSync(path.join(root, 'plain'), '');
  if (process.platform !== 'win32') {
    t.throws(() => writeSwitch(path.join(root, 'plain', 'x', 'telemetry.json'), true), {
      message: /plain\/x cannot be a folder: a part of its path is a file/,
    });
  }
  if (process.platform === 'linux') {
    t.throws(() => writeSwitch('/proc/nothing/acme/telemetry.json', true), {
      message: /^\/proc\/nothing\/acme cannot be written to \([A-Z]+\); nothing was changed$/,
    });
  }
});

const write = () => true;

function stream(code?: string) {
  const chunks: string[] = [];
  const writable = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done(code === undefined ? null : Object.assign(new Error('secret'), { code }));
    },
  });
  return { writable, chunks };
}

test('writeTo() waits until the text is written, and keeps its listener only on a broken stream', async (t) => {
  const { writable, chunks } = stream();
  t.is(await writeTo(writable, 'text'), undefined);
  t.deepEqual(chunks, ['text']);
  t.is(writable.listenerCount('error'), 0);
  t.is(await writeTo(stream('ENOSPC').writable, 'text'), 'ENOSPC');
  t.is(await writeTo(stream('EPIPE').writable, 'text'), undefined, 'a reader that has ended is no failure');
});

test('widthOf() is the width of the terminal, within bounds', (t) => {
  t.is(widthOf({ write }), 100);
  t.is(widthOf({ write, isTTY: true, columns: 80 }), 80);
  t.is(widthOf({ write, isTTY: true, columns: 20 }), 60);
  t.is(widthOf({ write, isTTY: true, columns: 300 }), 100);
});

test('columns() wraps the last column, and a cell that is too wide has a line of its own', (t) => {
  t.deepEqual(wrap('one two three', 7), ['one two', 'three']);
  t.deepEqual(wrap('incomprehensible word', 7), ['incomprehensible', 'word']);
  t.deepEqual(
    columns(
      [
        ['a', 'one two three'],
        ['abcdef', 'four'],
      ],
      [3],
      13,
      ' ',
    ),
    [' a    one two', '      three', ' abcdef', '      four'],
  );
  t.deepEqual(columns([], [3], 13, ' '), []);
});
