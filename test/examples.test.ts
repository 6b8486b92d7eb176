import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createTelemetry, count, defineEvent, duration, oneOf } from '../src/index.js';
import { recordingTransport } from '../src/testing/index.js';
import { childQueue } from './helpers/at-a-time.js';
import { runChild } from './helpers/run-child.js';

const SOURCES = fileURLToPath(new URL('../../examples/', import.meta.url));
const tested = new Set<string>();

/** Tests one example. It imports the built package by its name, so `npm run build && npm run compile` comes first. */
function example(name: string, outcome: string, run: (t: ExecutionContext, output: string[]) => void, env: NodeJS.ProcessEnv = {}): void {
  tested.add(name);
  test(`${name}: ${outcome}`, async (t) => {
    const { code, stdout, stderr } = await childQueue(() => runChild(`../../examples/${name}`, [], env));
    t.is(stderr, '');
    t.is(code, 0);
    run(t, stdout.split('\n').slice(0, -1));
  });
}

const MACHINE = String.raw`platform_system=\w+&platform_machine=\w+`;
const NODE = String.raw`node_version=[\d.]+&${MACHINE}`;
/** What Acme says with every event. */
const ACME = `${NODE}&edition=community`;

function matches(t: ExecutionContext, lines: readonly string[], expected: readonly (string | RegExp)[]): void {
  t.is(lines.length, expected.length, lines.join('\n'));
  for (const [index, line] of lines.entries()) {
    const pattern = expected[index] ?? '';
    if (typeof pattern === 'string') t.is(line, pattern);
    else t.regex(line, pattern);
  }
}

const DEAD = 'http://127.0.0.1:9';
const HOSTILE = { DO_NOT_TRACK: '1', HTTP_PROXY: DEAD, http_proxy: DEAD, HTTPS_PROXY: DEAD, https_proxy: DEAD, ALL_PROXY: DEAD };

/** The numbers of a line `published 3 = sent 1 + failed 0 + dropped 2 + pending 0`. */
function accountOf(line: string): number[] {
  const words = /published ([\d,]+) = sent ([\d,]+) \+ failed ([\d,]+) \+ dropped ([\d,]+) \+ pending ([\d,]+)$/.exec(line) ?? [];
  return words.slice(1).map((word) => Number(word.replaceAll(',', '')));
}

tested.add('quick-start');
test('quick-start: three acts in 80 columns, behind a dead proxy and under an opt-out', async (t) => {
  const { code, stdout, stderr } = await childQueue(() => runChild('../../../scripts/start.mjs', [], HOSTILE));
  t.is(stderr, '');
  t.is(code, 0);
  const lines = stdout.split('\n').slice(0, -1);
  t.true(lines.length <= 28, `${lines.length} lines`);
  t.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  t.false(stdout.includes('\u001B'), 'no colours where standard output is no terminal');

  const [head = '', first = '', second = '', third = ''] = stdout.split(/\n\n(?=\d )/);
  t.regex(head, /^cosmos-telemetry, Node [\d.]+\. All stays on 127\.0\.0\.1\.$/);
  t.is(
    first,
    '1  DO_NOT_TRACK=1: 4,400 events of the host, nothing leaves\n' +
      '   sockets 0, look-ups 0, connections 0, requests 0, files 0, timers 0\n' +
      '   published 0 = sent 0 + failed 0 + dropped 0 + pending 0',
  );
  const [, target = ''] = /^ {3}GET (.*) HTTP\/1\.1$/m.exec(second.replaceAll('&\n   ', '&')) ?? [];
  const fields =
    'status=success&operator_name=SparkJob&attempt=1&duration=7.0&is_mapped_task=False&has_callback=False&execution_mode=spark';
  t.regex(target, new RegExp(String.raw`^/v3/task_instance\?acme_version=3\.1\.0&${ACME}&${fields}$`));
  t.regex(second, /\n {3}sockets [1-9]\d*, look-ups 0, connections 1, requests 1, files \d+, timers [1-9]\d*\n/);
  t.regex(second, /\n {3}published 1 = sent 1 \+ failed 0 \+ dropped 0 \+ pending 0$/);

  t.regex(third, /^3 {2}The endpoint goes silent after 1,000 of 4,000 events\n/);
  t.regex(third, /\n {3}this package( +[\d.]+ (µs|ms|s)){5}\n/);
  t.regex(third, /\n {3}by hand( +[\d.]+ (µs|ms|s)){5}\n/);
  const accounts = third
    .split('\n')
    .map(accountOf)
    .filter((numbers) => numbers.length > 0);
  t.is(accounts.length, 2);
  for (const [published = 0, sent = 0, failed = 0, dropped = 0, pending = 0] of accounts) {
    t.is(published, 4000);
    t.is(sent + failed + dropped + pending, 4000);
    t.true(sent <= 1000, 'nothing counts as sent without an answer');
  }
  const [, lost = '', reasons = ''] = /\n {3}Why ([\d,]+) were lost: (.*)\n/.exec(third) ?? [];
  const [total = 0, ...parts] = [lost, ...reasons.split(/, (?=[a-z])/)].map((text) => Number(text.replaceAll(/[^\d]/g, '')));
  t.is(
    parts.reduce((sum, events) => sum + events, 0),
    total,
  );
  t.true(total >= 3000, 'nobody answered these');
});

example('acme', "its name in the fields, its own event, its users' switch", (t, output) => {
  matches(t, output, [
    new RegExp(
      String.raw`^/v3/task_instance\?acme_version=3\.1\.0&${ACME}&status=success&operator_name=SparkJob&` +
        String.raw`attempt=1&duration=7\.0&is_mapped_task=False&has_callback=False&execution_mode=spark$`,
    ),
    new RegExp(
      String.raw`^/v3/dag_run\?acme_version=3\.1\.0&${ACME}&status=failed&task_count=2&acme_task_count=1&failed_count=1&duration=93\.5&execution_modes=spark$`,
    ),
    new RegExp(String.raw`^/v3/backfill\?acme_version=3\.1\.0&${ACME}&outcome=completed&days=31&elapsed=84\.2$`),
    'published 3, sent 3',
    'ACME_TELEMETRY=off: false',
    'ACME_TELEMETRY=on: true',
  ]);
  t.notRegex(output.join('\n'), /nightly|extract|notify/, 'no names of flows and jobs');
});

example(
  'acme',
  'sends nothing under DO_NOT_TRACK',
  (t, output) => {
    matches(t, output, ['published 0, sent 0', 'ACME_TELEMETRY=off: false', 'ACME_TELEMETRY=on: true']);
  },
  { DO_NOT_TRACK: '1' },
);

tested.add('acme-cli');
test('acme-cli: its users see its events, endpoint and switches, and decide', async (t) => {
  const home = mkdtempSync(path.join(tmpdir(), 'acme-cli-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const acme = (args: string, env: NodeJS.ProcessEnv = {}) =>
    childQueue(() => runChild('../../examples/acme-cli', args.split(' '), { HOME: home, APPDATA: home, XDG_CONFIG_HOME: home, ...env }));
  const file = path.join(home, 'acme', 'telemetry.json');

  const before = await acme('telemetry status', { ACME_TELEMETRY_ENDPOINT: 'http://localhost:8080/' });
  t.deepEqual([before.code, before.stderr], [0, '']);
  t.regex(before.stdout, /^Telemetry of acme is on\.\n/);
  const endpoint = 'http://localhost:8080, set by ACME_TELEMETRY_ENDPOINT (the program says https://telemetry.acme.example)';
  t.true(before.stdout.replaceAll(/ +/g, ' ').includes(`\n endpoint ${endpoint}\n`), before.stdout);
  t.regex(
    (await acme('telemetry status', { ACME_TELEMETRY: 'off' })).stdout,
    /^Telemetry of acme is off\.\n\n {2}decided by +ACME_TELEMETRY=off in the environment\n/,
  );

  const disabled = await acme('telemetry disable');
  t.is(disabled.code, 0);
  t.true(disabled.stdout.includes(`decided by      config file = false, ${file}:2\n`), disabled.stdout);
  t.is(readFileSync(file, 'utf8'), '{\n  "enabled": false\n}\n');

  const preview = await acme('telemetry preview --sample');
  t.is(preview.code, 0);
  t.regex(
    preview.stdout,
    new RegExp(
      String.raw`\n3 {2}backfill\n\n {3}GET https://telemetry\.acme\.example/v3/backfill\?acme_version=3\.1\.0&${ACME}` +
        String.raw`&outcome=completed&days=\d+&elapsed=[\d.]+\n`,
    ),
  );
  t.regex(preview.stdout, /\n {3}outcome = completed +How the backfill ended\.\n/);
  const notice = readFileSync(path.join(SOURCES, 'acme/PRIVACY.md'), 'utf8');
  t.deepEqual(await acme('telemetry notice'), { code: 0, stdout: notice, stderr: '' });
  t.deepEqual(await acme('telemetry nonsense'), {
    code: 2,
    stdout: '',
    stderr: 'acme telemetry: unknown command nonsense; see `acme telemetry --help`\n',
  });
  t.is((await acme('nonsense')).code, 2);
});

test('acme-cli: the first run on a terminal asks, and anything but a yes is a no', async (t) => {
  const home = mkdtempSync(path.join(tmpdir(), 'acme-cli-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const file = fileURLToPath(new URL('../examples/acme-cli.js', import.meta.url));
  const terminal = 'data:text/javascript,process.stdin.isTTY=process.stdout.isTTY=true';
  /** Runs it for a person of its own, with debug mode in place of a server. @returns What it says, and the names of the events. */
  const run = async (person: string, typed: string | undefined, more: NodeJS.ProcessEnv = {}) =>
    childQueue(async () => {
      const folder = path.join(home, person);
      const env = { SystemRoot: process.env['SystemRoot'], HOME: folder, APPDATA: folder, XDG_CONFIG_HOME: folder, NODE_V8_COVERAGE: '' };
      const child = spawn(process.execPath, [...(typed === undefined ? [] : ['--import', terminal]), file, 'run'], {
        env: { ...env, ACME_TELEMETRY_DEBUG: '1', ...more },
      });
      let [said, debugged] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (debugged += chunk.toString()));
      child.stdin.end(typed);
      await once(child, 'close');
      const isAsked = said.includes('May acme report how it is used? `acme telemetry notice` says what is sent. [y/N] ');
      return [isAsked, ...Array.from(debugged.matchAll(/\/v3\/(\w+)\?/g), ([, event]) => event), said.endsWith('acme: 1 job done\n')];
    });
  t.deepEqual(await run('server', 'y\n', { CI: 'true' }), [false, 'dag_run', 'task_instance', true], 'on a build server');
  t.deepEqual(await run('pipe', undefined), [false, 'dag_run', 'task_instance', true], 'in a pipe');
  t.deepEqual(readdirSync(home), [], 'nothing is recorded for them');
  t.deepEqual(await run('alice', '\n'), [true, true]);
  t.deepEqual(await run('alice', 'y\n'), [false, true], 'she is asked once');
  t.deepEqual(await run('bob', 'y\n'), [true, 'dag_run', 'task_instance', true]);
});

example('custom-event', 'an undeclared field is not sent, and is counted', (t, output) => {
  const start = String.raw`^/v3/render\?acme_version=3\.1\.0&${NODE}&`;
  matches(t, output, [
    'rendered 13 models in 7 s',
    'rendered 13 models in 7 s',
    'rendered 13 models in 9.5 s',
    new RegExp(`${start}loader=manifest&models=13&elapsed=7\\.0&cached=True&selector=None&flags=--full-refresh$`),
    new RegExp(`${start}models=13&elapsed=7\\.0&cached=False&selector=TagSelector$`),
    new RegExp(`${start}loader=dbt_ls&models=13&elapsed=9\\.5&cached=False&selector=None$`),
    'sent 3, fields dropped 2',
  ]);
});

example('custom-transport', 'each event arrives once, in batches, although the first request fails', (t, output) => {
  matches(t, output, ['4 requests, batches of 100, 100, 50', 'sent 250 of 250, 250 different ids']);
});

example('cosmos-documentation', 'the three functions and the client make the same requests as Cosmos', (t, output) => {
  const standard = String.raw`\?cosmos_version=1\.12\.0&airflow_version=2\.10\.1%252Bastro\.1&python_version=3\.11\.7&${MACHINE}&`;
  const docs = '&docs_dir_configured=True&uses_custom_conn=False&has_custom_name=False$';
  matches(t, output, [
    'should emit: true',
    'dbt_docs_access sent: true',
    'dag_run sent: true',
    new RegExp(`^/v3/dbt_docs_access${standard}storage_type=s3${docs}`),
    new RegExp(`^/v3/dag_run${standard}status=success&task_count=13$`),
    new RegExp(`^/v3/dbt_docs_access${standard}storage_type=gcs${docs}`),
  ]);
});

example(
  'cosmos-documentation',
  'sends nothing under an opt-out',
  (t, output) => {
    matches(t, output, ['should emit: false', 'dbt_docs_access sent: false', 'dag_run sent: false']);
  },
  { SCARF_NO_ANALYTICS: 'True' },
);

example('opt-out', 'each switch, and the rule that decided', (t, output) => {
  matches(t, output, [
    /^nothing is set +on {3}default = enabled \(default\)$/,
    /^DO_NOT_TRACK=1 +off {2}DO_NOT_TRACK = 1 \(env\)$/,
    /^DO_NOT_TRACK=0 +on {3}default = enabled \(default\)$/,
    /^SCARF_NO_ANALYTICS=true +off {2}SCARF_NO_ANALYTICS = true \(env\)$/,
    /^ACME_TELEMETRY=off +off {2}ACME_TELEMETRY = off \(env\)$/,
    /^ACME_TELEMETRY=maybe +off {2}ACME_TELEMETRY = maybe \(env\)$/,
    /^ACME_TELEMETRY=on, DO_NOT_TRACK=1 +off {2}DO_NOT_TRACK = 1 \(env\)$/,
    /^enabled: false +off {2}enabled = false \(option\)$/,
    /^the person's own telemetry\.json +off {2}config file = false \(telemetry\.json, line 1\)$/,
    /^consent: 'opt-in' +off {2}consent = opt-in \(option\)$/,
    /^consent: 'opt-in', ACME_TELEMETRY=on +on {3}ACME_TELEMETRY = on \(env\)$/,
    /^AIRFLOW__COSMOS__ENABLE_TELEMETRY=False +off {2}AIRFLOW__COSMOS__ENABLE_TELEMETRY = False \(env\)$/,
    /^\[cosmos\] enable_telemetry in airflow\.cfg +off {2}\[cosmos\] enable_telemetry = False \(airflow\.cfg, line 5\)$/,
    'enabled: false',
    'dropped: {"opted_out":1}, handed to the transport: 0',
  ]);
});

example('access-log', 'counts the sample by event, version and status', (t, output) => {
  t.deepEqual(output, [
    'backfill\t3.1.0\t-\t1',
    'dag_run\t3.0.2\tsuccess\t1',
    'dag_run\t3.1.0\tfailed\t1',
    'task_instance\t3.1.0\tfailed\t1',
    'task_instance\t3.1.0\tsuccess\t1',
  ]);
});

tested.add('graceful-shutdown');
test('graceful-shutdown: on SIGTERM it delivers, reports and ends with 0', async (t) => {
  const file = fileURLToPath(new URL('../examples/graceful-shutdown.js', import.meta.url));
  // Windows has no SIGTERM to send: there the example ends by its own timer.
  const patienceMs = process.platform === 'win32' ? '500' : '50000';
  let output = '';
  const [code, signal] = await childQueue(async () => {
    const child = spawn(process.execPath, [file, patienceMs], {
      env: { SystemRoot: process.env['SystemRoot'], NODE_V8_COVERAGE: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk: Buffer) => {
      // One signal only: the second one has no handler and ends the process at once.
      const isWaiting = !output.includes('waiting') && chunk.includes('waiting');
      output += chunk.toString();
      if (isWaiting && process.platform !== 'win32') child.kill('SIGTERM');
    });
    return (await once(child, 'close')) as [number | null, string | null];
  });
  t.is(signal, null, 'the handler was installed');
  t.is(code, 0);
  t.regex(output, /^served 3 visitors, waiting for SIGTERM: kill \d+\nclosed: published 3, sent 3, timed out: false\n$/);
});

const names = (target: string) => [...new URLSearchParams(target.split('?')[1]).keys()];

test('the sample of the access log is what this package sends, in the format of the nginx configuration', async (t) => {
  const note = { description: 'For this test.', reason: 'For this test.' };
  const backfill = defineEvent('backfill', { outcome: oneOf(['completed'], note), days: count(note), elapsed: duration(note) });
  const transport = recordingTransport();
  const host = { version: '2.10.1', pythonVersion: '3.11.7' };
  const telemetry = createTelemetry({ product: { name: 'acme', version: '3.1.0' }, host, events: [backfill], transport, env: {} });
  const task = { module: 'acme.operators.spark', operatorName: 'SparkJob' };
  const emitter = { on: (name: string, handler: (payload: unknown) => void) => handlers.set(name, handler), off: () => undefined };
  const handlers = new Map<string, (payload: unknown) => void>();
  telemetry.register(emitter);
  handlers.get('task_instance.success')?.({ taskInstance: { mapIndex: -1, attempt: 1, duration: 7, task } });
  handlers.get('dag_run.success')?.({ dagRun: { dagId: 'd', failedCount: 0, duration: 93.5, dag: { tasks: [task] } } });
  telemetry.publish('backfill', { outcome: 'completed', days: 31, elapsed: 84.2 });
  await telemetry.close();
  const sent = new Map(transport.events.map(({ type, requestTarget }) => [type, names(requestTarget)]));

  const configuration = readFileSync(path.join(SOURCES, 'access-log.nginx.conf'), 'utf8');
  t.regex(configuration, /log_format telemetry '\$time_iso8601 \$status \$request_uri';/);
  const lines = readFileSync(path.join(SOURCES, 'access-log.sample.log'), 'utf8').trim().split('\n');
  const samples = lines.map((line) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 \d{3} (\/\S+)$/.exec(line)?.[1] ?? '');
  t.false(samples.includes(''), 'every line is in the format');
  const events = samples.filter((sample) => sample.startsWith('/v3/'));
  t.is(events.length, 5);
  for (const sample of events) {
    const type = /^\/v3\/(\w+)\?/.exec(sample)?.[1] ?? '';
    t.deepEqual(names(sample), sent.get(type), sample);
  }
});

test('every example has a test', (t) => {
  const examples = readdirSync(SOURCES)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.basename(name, '.ts'));
  t.deepEqual([...tested].toSorted(), examples.toSorted());
});
