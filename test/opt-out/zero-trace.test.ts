import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import type { TelemetryOptions } from '../../src/index.js';
import { startCollector } from '../../src/testing/index.js';
import { childQueue } from '../helpers/at-a-time.js';
import { runChild } from '../helpers/run-child.js';
import type { TracesReport } from '../helpers/traces-child.js';

const run = promisify(execFile);
const root = mkdtempSync(path.join(tmpdir(), 'zero-trace-'));
test.after.always(() => rmSync(root, { recursive: true, force: true }));

// Folders of this test alone, so that files of the machine do not matter.
const home = path.join(root, 'home');
const policies = path.join(root, 'policies');
const silent = path.join(root, 'silent');
const away = path.join(root, 'away');
const PLACES = { HOME: silent, XDG_CONFIG_HOME: silent, XDG_CONFIG_DIRS: away, APPDATA: silent, PROGRAMDATA: away };
for (const folder of [home, policies]) {
  mkdirSync(path.join(folder, 'acme'), { recursive: true });
  writeFileSync(path.join(folder, 'acme', 'telemetry.json'), '{"enabled": false}');
}

let reports = 0;
/** Runs a host in a process of its own and reads what it left behind. */
async function leave(
  env: NodeJS.ProcessEnv,
  options: Partial<TelemetryOptions> = {},
  endpoint = 'http://collector.invalid/',
): Promise<TracesReport> {
  const file = path.join(root, `report-${(reports += 1)}.json`);
  const args = [endpoint, JSON.stringify(options), file];
  const { code, stdout, stderr } = await childQueue(() => runChild('traces-child', args, { ...PLACES, ...env }));
  if (code !== 0 || stdout !== '' || stderr !== '') throw new Error(`${code} ${stdout} ${stderr}`);
  return JSON.parse(readFileSync(file, 'utf8')) as TracesReport;
}

const NOTHING = {
  published: 0,
  sent: 0,
  failed: 0,
  dropped: 0,
  pending: 0,
  reasons: {},
  fieldsDropped: 0,
  metadataUnreadable: 0,
  timedOut: false,
};

const silently: [what: string, env: NodeJS.ProcessEnv, options?: Partial<TelemetryOptions>][] = [
  ['DO_NOT_TRACK', { DO_NOT_TRACK: '1' }],
  ['SCARF_NO_ANALYTICS', { SCARF_NO_ANALYTICS: 'true' }],
  ['the switch of the product', { ACME_TELEMETRY: 'off' }],
  ['an unknown word in the switch', { ACME_TELEMETRY: 'perhaps' }],
  ['DO_NOT_TRACK beside a yes and debug mode', { DO_NOT_TRACK: '1', ACME_TELEMETRY: '1', ACME_TELEMETRY_DEBUG: path.join(root, 'audit') }],
  ['enabled: false', {}, { enabled: false }],
];
for (const [what, env, options] of silently) {
  test(`opted out by ${what}: 10,000 events leave nothing, and no file is opened`, async (t) => {
    const { resources, files, listeners, hostListeners, enabled, stats } = await leave(env, options);
    t.deepEqual(
      { resources, files, listeners, hostListeners, enabled },
      { resources: [], files: [], listeners: [], hostListeners: [], enabled: false },
    );
    t.like(stats, NOTHING);
  });
}

const byFile: [what: string, env: NodeJS.ProcessEnv, options?: Partial<TelemetryOptions>][] = [
  ['the config file', { XDG_CONFIG_HOME: home, APPDATA: home, HOME: home }],
  ['the policy file', { XDG_CONFIG_DIRS: policies, PROGRAMDATA: policies }],
  ['a missing consent', {}, { consent: 'opt-in' }],
];
// macOS has fixed places, and a test must not write there.
if (process.platform !== 'darwin') {
  for (const [what, env, options] of byFile) {
    test(`opted out by ${what}: only the config files are read, once each, and nothing else is left`, async (t) => {
      const { resources, files, listeners, hostListeners, enabled, stats } = await leave(env, options);
      t.deepEqual({ resources, listeners, hostListeners, enabled }, { resources: [], listeners: [], hostListeners: [], enabled: false });
      t.like(stats, NOTHING);
      const opened = files.filter((call) => !/^(fstat|read|close)Sync \d+$/.test(call));
      t.true(opened.length > 0 && opened.every((call) => /^openSync .*telemetry\.json$/.test(call)), files.join('\n'));
      t.is(new Set(opened).size, opened.length, 'each file once');
    });
  }
}

test('the same measurement finds the traces of a client that is not opted out', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { resources, files, listeners, hostListeners, enabled, stats } = await leave({}, { maxPendingEvents: 50 }, collector.url);
  t.true(enabled);
  t.like(stats, { published: 10_000, sent: 50, dropped: 9950 });
  for (const type of ['TCPWRAP', 'Timeout']) t.true(resources.includes(type), type);
  t.true(files.some((call) => call.startsWith('openSync ') && call.endsWith('telemetry.json')));
  t.deepEqual([...new Set(listeners)], ['beforeExit']);
  t.is(hostListeners.length, 4);
});

/** The system calls of a client; undefined if strace is missing or may not trace. */
async function trace(env: NodeJS.ProcessEnv, endpoint: string): Promise<string[] | undefined> {
  const file = path.join(root, `strace-${(reports += 1)}`);
  const script = fileURLToPath(new URL('./helpers/traces-child.js', import.meta.url));
  const child = [process.execPath, script, endpoint, '{"maxPendingEvents": 10}', path.join(root, `strace-report-${reports}.json`)];
  try {
    // The pipes of a child are sockets, and asking for their type is a network call. Files replace them.
    const command = [
      '-c',
      'exec "$@" < /dev/null > /dev/null 2>&1',
      'sh',
      'strace',
      '-f',
      '-qq',
      '-e',
      'trace=network,openat',
      '-o',
      file,
      ...child,
    ];
    await childQueue(() => run('sh', command, { env: { PATH: process.env['PATH'], ...PLACES, ...env }, timeout: 50_000 }));
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return undefined;
  }
}

const NETWORK = /\b(socket|connect|sendto|sendmsg|sendmmsg|bind|getsockopt|setsockopt|getsockname)\(/;
/** The calls inside the window, without the reads of processor and memory files that newer versions of Node make. */
const between = (lines: string[]): string[] =>
  lines
    .slice(
      lines.findIndex((line) => line.includes('window-begins')) + 1,
      lines.findIndex((line) => line.includes('window-ends')),
    )
    .filter((line) => !/"\/(sys|proc\/sys)\//.test(line));

test('traced by strace, an opted-out process makes no network call and opens no file of ours', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const control = await trace({}, collector.url);
  if (control === undefined) {
    t.log('strace is missing, or may not trace here: skipped');
    t.pass();
    return;
  }
  t.true(
    control.some((line) => /connect\(.*AF_INET/.test(line)),
    'without an opt-out the trace shows a connection',
  );
  t.true(
    between(control).some((line) => line.includes('acme/telemetry.json')),
    'and the config files',
  );
  const optOuts: NodeJS.ProcessEnv[] = [{ DO_NOT_TRACK: '1' }, { SCARF_NO_ANALYTICS: '1' }, { ACME_TELEMETRY: '0' }];
  const traces = await Promise.all(optOuts.map(async (env) => ({ env, lines: (await trace(env, collector.url)) ?? [] })));
  for (const { env, lines } of traces) {
    t.true(
      lines.some((line) => line.includes('window-ends')),
      'it ran to its end',
    );
    t.deepEqual(
      lines.filter((line) => NETWORK.test(line)),
      [],
      JSON.stringify(env),
    );
    t.deepEqual(between(lines), [], JSON.stringify(env));
    t.deepEqual(
      lines.filter((line) => line.includes('telemetry.json')),
      [],
    );
  }
  const byOwnFile = (await trace({ XDG_CONFIG_HOME: home }, collector.url)) ?? [];
  t.deepEqual(
    byOwnFile.filter((line) => NETWORK.test(line)),
    [],
  );
  t.deepEqual(
    between(byOwnFile).map((line) => /"([^"]*)"/.exec(line)?.[1]),
    [path.join(away, 'acme/telemetry.json'), '/etc/xdg/acme/telemetry.json', path.join(home, 'acme/telemetry.json')],
  );
  t.is(collector.requests.length, 10, 'the requests of the control run');
});
