// `cosmos-telemetry relay status`: what it shows of real relays, its exit codes, and its messages where no relay answers.
import 'p-queue';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { createTelemetryCliWith } from '../../src/cli/cli.js';
import { runRelayStatus, statusLines } from '../../src/cli/relay-status.js';
import { paintFor } from '../../src/cli/terminal.js';
import type { CliIo } from '../../src/cli/terminal.js';
import type { RelayStatus } from '../../src/relay/status.js';
import { startCollector } from '../../src/testing/index.js';
import { startHttp, startTcp } from '../helpers/loopback.js';
import { makeFolder, RelayChild } from './helpers/relay-child.js';
import { startRig } from './helpers/relay-rig.js';
import { until } from './helpers/until.js';

const EVENT = '/v3/dag_run?status=success&task_count=3';

/** A port of the system at which nothing listens. */
const CLOSED = 9;

const at = (port: number) => `http://127.0.0.1:${port}`;

type Times = Parameters<typeof runRelayStatus>[3];

/** Runs `relay status` in this process. */
async function run(args: readonly string[], { io = {}, times = {} }: { io?: CliIo; times?: Times } = {}) {
  let stdout = '';
  let stderr = '';
  const cli = createTelemetryCliWith(
    { product: { name: 'cosmos' }, endpoint: 'http://127.0.0.1:9', command: 'cosmos-telemetry' },
    new Map([
      [
        'status',
        { summary: '', usage: '', run: (given: readonly string[], to: CliIo, name: string) => runRelayStatus(given, to, name, times) },
      ],
    ]),
  );
  const code = await cli.run(['status', ...args], {
    env: {},
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    ...io,
  });
  return { code, stdout, stderr };
}

const STATUS: RelayStatus = {
  version: '1.2.3',
  startedAt: '2026-11-28T12:35:30.000Z',
  uptimeMs: 5_400_000,
  now: '2026-11-28T14:05:30.000Z',
  state: 'waiting',
  sentence: 'Waiting since 14:02 UTC: the endpoint refuses connections (refused). 12 events wait, the oldest for 3 min.',
  since: '2026-11-28T14:02:30.000Z',
  cause: 'refused',
  optedOutBy: undefined,
  endpoint: 'https://telemetry.acme.example',
  dagFactoryEndpoint: undefined,
  forwardKind: 'cosmos',
  lastSuccessAt: '2026-11-28T14:02:11.000Z',
  lastFailure: { at: '2026-11-28T14:05:28.500Z', cause: 'refused' },
  pending: 12,
  oldestAgeMs: 185_000,
  spool: { kind: 'disk', bytes: 56_371_446, maxBytes: 67_108_864, isDurable: true },
  warnings: ['The spool has 84% of its limit. Once it is full, new events are refused with 503.'],
  totals: { accepted: 30, sent: 20, failed: 1, dropped: 2, duplicates: 4, recovered: 5, maybeSentTwice: 0 },
  failedBy: { timeout: 1 },
  droppedBy: { expired: 2 },
  refusedBy: {},
  attemptsFailedBy: { refused: 40 },
  answers: { '200': 3, '204': 30 },
  minutes: [
    { at: '2026-11-28T14:04:00.000Z', accepted: 1, sent: 0, failed: 0, dropped: 0 },
    { at: '2026-11-28T14:05:00.000Z', accepted: 2, sent: 0, failed: 0, dropped: 2 },
  ],
};

const plain = { paint: paintFor(false, {}), width: () => 100 };

test('a status as text', (t) => {
  t.is(
    statusLines(STATUS, plain).join('\n'),
    [
      'Waiting since 14:02 UTC: the endpoint refuses connections (refused). 12 events wait, the oldest for',
      '3 min.',
      '',
      '  endpoint            https://telemetry.acme.example, one GET an event',
      '  last success        2026-11-28 14:02:11 UTC, 3 min ago',
      '  last failure        refused, 2026-11-28 14:05:28 UTC, 1 s ago',
      '  waiting             12 events, the oldest for 3 min',
      '  store               disk, 53.8 MiB of 64.0 MiB (84%)',
      '  since the start     30 accepted, 20 sent, 1 failed, 2 dropped',
      '  in the last hour    3 accepted, 0 sent, 0 failed, 2 dropped',
      '  other counts        of an earlier process: 5, came again: 4',
      '  failed because of   timeout: 1',
      '  dropped because of  expired: 2',
      '  failed attempts     refused: 40',
      '  answers by status   200: 3, 204: 30',
      '  warning             The spool has 84% of its limit. Once it is full, new events are refused with',
      '                      503.',
      '  relay               version 1.2.3, running for 1 h',
    ].join('\n'),
  );
});

test('colours are for terminals, and nothing that a terminal obeys comes from a server', (t) => {
  const paint = paintFor(true, {});
  const [first = ''] = statusLines({ ...STATUS, sentence: 'Idle: no event waits.', state: 'idle' }, { ...plain, paint });
  t.is(first, `${paint.good(paint.strong('Idle'))}: no event waits.`);
  t.not(first, 'Idle: no event waits.');
  const [bad = ''] = statusLines({ ...STATUS, sentence: 'Opted out by X.', state: 'opted_out' }, { ...plain, paint });
  t.is(bad, `${paint.bad(paint.strong('Opted out'))} by X.`);
  const hostile = '\u001b[2J\u009b1m\n';
  const lines = statusLines(
    { ...STATUS, sentence: hostile, endpoint: hostile, version: hostile, warnings: [hostile], answers: { [hostile]: 1 } },
    plain,
  );
  // oxlint-disable-next-line no-control-regex -- these are what must not be there
  t.notRegex(lines.join(''), /[\u0000-\u001f\u007f-\u009f]/);
});

test('an idle relay and one that delivers exit with 0, one that does not deliver with 1', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const up = await startRig(t, { forward: collector.url });
  const url = `http://127.0.0.1:${up.port}`;
  const idle = await run([url]);
  t.like(idle, { code: 0, stderr: '' });
  t.regex(idle.stdout, /^Idle: no event waits, and none has been sent since the start\.\n\n {2}endpoint /);
  await up.get(EVENT);
  await until(() => up.relay.stats().sent === 1);
  const delivering = await run([`127.0.0.1:${up.port}`]);
  t.is(delivering.code, 0);
  t.regex(delivering.stdout, /^Delivering since \d\d:\d\d UTC\. No event waits\.\n/);
  t.regex(delivering.stdout, /\n {2}since the start {4}1 accepted, 1 sent, 0 failed, 0 dropped\n/);

  const down = await startRig(t);
  await down.get(EVENT);
  await until(() => down.relay.stats().notDelivering !== undefined);
  const waiting = await run([`http://127.0.0.1:${down.port}`]);
  t.like(waiting, { code: 1, stderr: '' });
  t.regex(waiting.stdout, /^Waiting since \d\d:\d\d UTC: the endpoint refuses connections \(refused\)\. 1 event waits\.\n/);

  const off = await startRig(t, { env: { DO_NOT_TRACK: '1' } });
  const out = await run([`http://127.0.0.1:${off.port}`]);
  t.is(out.code, 1);
  t.regex(out.stdout, /^Opted out since \d\d:\d\d UTC by DO_NOT_TRACK=1 in the environment\. Every event is discarded\.\n/);

  const debug = await startRig(t, {
    env: { COSMOS_TELEMETRY_DEBUG: path.join(makeFolder(t), 'debug.txt') },
    forwardDagFactory: 'https://dags.acme.example/df',
  });
  const written = await run([`http://127.0.0.1:${debug.port}`]);
  t.is(written.code, 1);
  t.regex(written.stdout, /^Debug mode is on since \d\d:\d\d UTC: each event is written down, and nothing is sent\. No event waits\.\n/);
  t.regex(written.stdout, /\n {2}of DAG Factory {4}https:\/\/dags\.acme\.example\/df, one GET an event\n/);
});

test('--json prints the document of /statusz', async (t) => {
  const { get, port } = await startRig(t, { env: { DO_NOT_TRACK: '1' } });
  const { code, stdout } = await run([`http://127.0.0.1:${port}`, '--json']);
  t.is(code, 1);
  const printed = JSON.parse(stdout) as RelayStatus;
  const served = JSON.parse((await get('/statusz')).text) as RelayStatus;
  t.deepEqual(Object.keys(printed), Object.keys(served));
  t.like(printed, { state: 'opted_out', startedAt: served.startedAt, endpoint: 'http://127.0.0.1:9/up' });
});

test('the URL may have the path of events, of the status, and a prefix, which may come from a file', async (t) => {
  const { port } = await startRig(t, { prefix: 'correct-horse-battery' });
  const file = path.join(makeFolder(t), 'prefix');
  writeFileSync(file, 'correct-horse-battery\n');
  const below = `http://127.0.0.1:${port}/correct-horse-battery`;
  for (const args of [
    [below],
    [`${below}/`],
    [`${below}/astronomer-cosmos`],
    [`${below}/statusz`],
    [`http://127.0.0.1:${port}`, '--prefix-file', file],
    [`127.0.0.1:${port}`, `--prefix-file=${file}`],
  ])
    t.like(await run(args), { code: 0, stderr: '' }, args.join(' '));
  const missing = await run([`127.0.0.1:${port}`, '--prefix-file', '/nowhere/at/all']);
  t.like(missing, { code: 1, stderr: 'cosmos-telemetry: /nowhere/at/all cannot be read (ENOENT)\n' });
});

test('--watch shows it again and again, as lines where there is no terminal, and a relay that is gone, too', async (t) => {
  const { port } = await startRig(t);
  for (const kind of ['lines', 'json', 'terminal'] as const) {
    let end: (() => void) | undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const writes: string[] = [];
    const stdout = {
      isTTY: kind === 'terminal',
      columns: 80,
      write: (text: string) => {
        if (writes.push(text) === 3) end?.();
      },
    };
    const args = [`127.0.0.1:${port}`, '--watch', ...(kind === 'json' ? ['--json'] : [])];
    const { code, stderr } = await run(args, { io: { stdout }, times: { watchMs: 1, end: ended } });
    t.deepEqual([code, stderr, writes.length], [0, '', 3 + Number(writes[3] === '')], kind);
    const text = writes.join('');
    if (kind === 'lines') {
      t.regex(text, /^(?:\d{4}-\d\d-\d\dT[\d:.]+Z Idle: no event waits, .+ start\. 0 accepted, .+ since the start\.\n){3}$/);
    } else if (kind === 'json') {
      for (const line of text.trimEnd().split('\n')) t.is((JSON.parse(line) as RelayStatus).state, 'idle');
    } else {
      // To the top left, over what was there, and the rest is cleared.
      t.is(text.split('\u001b[H').length, 4);
      t.true(writes[0]?.endsWith('\u001b[K\n\u001b[J'));
    }
  }
  let end: (() => void) | undefined;
  const stdout = { write: (text: string) => (text === '' ? undefined : [seen.push(text), end?.()]) };
  const seen: string[] = [];
  const times = { watchMs: 1, end: new Promise<void>((resolve) => (end = resolve)) };
  t.is((await run([at(CLOSED), '--watch'], { io: { stdout }, times })).code, 0);
  t.regex(seen[0] ?? '', /^\d{4}-\S+Z no relay answers at http:\/\/127\.0\.0\.1:9: the connection is refused\n$/);
});

test('where no relay answers, the message says what is there', async (t) => {
  const other = await startHttp(t, (_request, response) => response.end('hello'));
  const json = await startHttp(t, (_request, response) => response.end('{"state":"idle"}'));
  const twists = [
    { minutes: [null] },
    { warnings: [1] },
    { now: 'today' },
    { lastSuccessAt: 5 },
    { lastSuccessAt: 'never' },
    { lastFailure: { at: 'never', cause: 'refused' } },
    { lastFailure: {} },
    { oldestAgeMs: '5' },
    { totals: {} },
    { spool: {} },
  ];
  const twisted = await Promise.all(
    twists.map((twist) => startHttp(t, (_request, response) => response.end(JSON.stringify({ ...STATUS, ...twist })))),
  );
  const missing = await startHttp(t, (_request, response) => response.writeHead(404).end('Not Found'));
  const older = await startHttp(t, ({ url }, response) => {
    if (url === '/healthz') response.end('alive\n');
    else response.writeHead(404).end('unknown path\n');
  });
  const long = await startHttp(t, (_request, response) => response.end(' '.repeat(2 ** 21) + JSON.stringify(STATUS)));
  const binary = await startTcp(t, (socket) => socket.end('\0\0\0\r\n\r\n'));
  const closed = await startTcp(t, (socket) => socket.destroy());
  const silent = await startTcp(t, () => undefined);
  const apart = await startRig(t, { metricsListen: '127.0.0.1:0' });
  const another = (port: number, status: number) => `no relay answers at ${at(port)}, but another server does (status ${status})`;
  const cases: readonly (readonly [url: string, message: string])[] = [
    [at(CLOSED), `no relay answers at ${at(CLOSED)}: the connection is refused`],
    [at(other.port), another(other.port, 200)],
    [at(json.port), another(json.port, 200)],
    ...twisted.map(({ port }): [string, string] => [at(port), another(port, 200)]),
    [at(missing.port), another(missing.port, 404)],
    [at(long.port), another(long.port, 200)],
    [at(older.port), `the relay at ${at(older.port)} has no /statusz: it is of an older version`],
    [at(binary.port), `no relay answers at ${at(binary.port)}: the answer is no HTTP`],
    [at(closed.port), `no relay answers at ${at(closed.port)}: the connection was closed`],
    [`https://127.0.0.1:${other.port}`, `no relay answers at https://127.0.0.1:${other.port}: it does not speak TLS as this program does`],
    [at(silent.port), `no relay answers at ${at(silent.port)} within 0.3 s`],
    [
      `${at(apart.port)}/a-wrong-secret`,
      `the relay at ${at(apart.port)} has no /statusz there: give the address of its \`--metrics-listen\`, or the URL with its prefix, if it has one`,
    ],
  ];
  for (const [url, message] of cases)
    t.deepEqual(
      await run([url], { times: { timeoutMs: message.endsWith(' 0.3 s') ? 300 : 30_000 } }),
      { code: 1, stdout: '', stderr: `cosmos-telemetry: ${message}\n` },
      url,
    );
});

test('a relay that does not know the name by which it is asked says which flag is missing', async (t) => {
  const relay = await startHttp(t, (_request, response) => response.writeHead(403).end('the Host header is not a name of this relay\n'));
  const { code, stderr } = await run([`http://127.0.0.1:${relay.port}`]);
  t.is(code, 1);
  t.is(
    stderr,
    `cosmos-telemetry: the relay at http://127.0.0.1:${relay.port} is not known by this name: start it with \`--allowed-host 127.0.0.1\`\n`,
  );
});

test('no proxy is used', async (t) => {
  const proxy = await startHttp(t, (_request, response) => response.end());
  const { port } = await startRig(t);
  const url = `http://127.0.0.1:${proxy.port}`;
  const child = new RelayChild(t, ['status', `127.0.0.1:${port}`], { HTTP_PROXY: url, http_proxy: url, NODE_USE_ENV_PROXY: '1' });
  t.is(await child.ended, 0);
  t.deepEqual(proxy.targets, []);
});

test('a wrong command line exits with 2', async (t) => {
  const see = '; see `cosmos-telemetry relay status --help`\n';
  const url = 'relay status takes the http or https URL of a relay, without credentials and query, got';
  const cases: readonly (readonly [args: readonly string[], message: string])[] = [
    [['--colour'], 'unknown option --colour'],
    [['--json=yes'], 'option --json takes no value'],
    [['--prefix-file'], 'option --prefix-file needs a value'],
    [['127.0.0.1:1', '127.0.0.1:2'], 'relay status takes one URL, got 127.0.0.1:2, too'],
    [['ftp://127.0.0.1'], `${url} "ftp://127.0.0.1"`],
    [['relay'], `${url} "relay"`],
    [['http://me:secret@127.0.0.1:8787'], `${url} "http://***@127.0.0.1:8787"`],
    [['http://127.0.0.1:8787/?x=secret'], `${url} "http://127.0.0.1:8787/..."`],
    [['localhost:8787/secret'], `${url} "localhost:8787/..."`],
    [['127.0.0.1:1', 'http://127.0.0.1:2/secret'], 'relay status takes one URL, got http://127.0.0.1:2/..., too'],
  ];
  for (const [args, message] of cases)
    t.deepEqual(await run(args), { code: 2, stdout: '', stderr: `cosmos-telemetry: ${message}${see}` }, args.join(' '));
});

test('--help says what the exit codes mean', async (t) => {
  const { code, stdout } = await run(['--help']);
  t.is(code, 0);
  t.regex(stdout, /^Usage: cosmos-telemetry relay status \[URL\] \[options\]\n/);
  for (const text of ['--json', '--watch', '--prefix-file FILE', 'http://127.0.0.1:8787', '  0  ', '  1  ', '  2  '])
    t.true(stdout.includes(text), text);
  t.true(stdout.split('\n').every((line) => line.length <= 110));
});

test('a signal ends --watch while a relay does not answer, and a long watch keeps nothing of each look', async (t) => {
  const silent = await startTcp(t, () => undefined);
  const watching = new RelayChild(t, ['status', `127.0.0.1:${silent.port}`, '--watch']);
  await until(() => silent.connections.length === 1);
  watching.process.kill('SIGINT');
  t.is(await watching.ended, 0);
  t.deepEqual([watching.stdout, watching.stderr], ['', '']);

  const { port } = await startRig(t);
  let end: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  let looks = 0;
  const stdout = { write: () => ((looks += 1) === 30 ? end?.() : undefined) };
  t.is((await run([`127.0.0.1:${port}`, '--watch'], { io: { stdout }, times: { watchMs: 1, end: ended } })).code, 0);
  t.deepEqual(
    warnings.filter(({ name }) => name === 'MaxListenersExceededWarning'),
    [],
  );
});

test('the command in a process: SIGINT ends --watch with 0', async (t) => {
  const { port } = await startRig(t);
  const watching = new RelayChild(t, ['status', `127.0.0.1:${port}`, '--watch']);
  await until(() => watching.stdout.includes('\n'));
  watching.process.kill('SIGINT');
  t.is(await watching.ended, 0);
  t.regex(watching.stdout, /^\S+Z Idle: /);
  const wrong = new RelayChild(t, ['status', '--colour']);
  t.is(await wrong.ended, 2);
  t.is(wrong.stderr, 'cosmos-telemetry: unknown option --colour; see `cosmos-telemetry relay status --help`\n');
});
