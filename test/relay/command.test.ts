// `cosmos-telemetry relay`: in processes of its own, in this process, and in the examples of its deployment.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import PQueue from 'p-queue';
import { createTelemetryCliWith } from '../../src/cli/cli.js';
import { describeFailure, parseRelayFlags, RELAY_FLAGS, runRelay } from '../../src/cli/relay.js';
import { checkRelayOptions } from '../../src/relay/options.js';
import { startCollector } from '../../src/testing/index.js';
import { makeFolder, RelayChild } from './helpers/relay-child.js';
import { get } from './helpers/relay-rig.js';

const event = (count: number) => `/astronomer-cosmos/v3/dag_run?status=success&task_count=${count}`;

/** Tests with children: three run at a time. */
const withChildren = new PQueue({ concurrency: 3 });

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`it prints its address, delivers, and exits with 0 after ${signal}`, (t) =>
    withChildren.add(async () => {
      const collector = await startCollector();
      t.teardown(() => collector.close());
      const child = new RelayChild(t, [
        '--listen',
        '127.0.0.1:0',
        '--forward',
        `${collector.url}/up`,
        '--spool',
        path.join(makeFolder(t), 'spool'),
      ]);
      const port = await child.port();
      for (let index = 0; index < 10; index += 1) t.is((await get(port, event(index))).status, 204);
      child.process.kill(signal);
      t.is(await child.ended, 0);
      t.is(collector.requests.length, 10);
      t.is(child.stdout, '');
      const lines = child.stderr.trim().split('\n');
      t.is(lines.filter((line) => line === `listening on http://127.0.0.1:${port}`).length, 1);
      const logged = lines.filter((line) => !line.startsWith('listening on ')).map((line) => JSON.parse(line) as Record<string, string>);
      t.deepEqual(
        logged.map(({ level, code }) => `${level} ${code}`),
        ['info listening', 'info closing', 'info closed'],
      );
      t.true(
        logged.every((line) => Object.keys(line).join() === 'time,level,code,message' && !Number.isNaN(Date.parse(line['time'] ?? ''))),
      );
      t.is(logged[2]?.['message'], 'sent 10, failed 0, dropped 0, left in the spool 0');
    }));
}

test('at the drain deadline events stay in the spool, and the next process delivers them', (t) =>
  withChildren.add(async () => {
    const spool = path.join(makeFolder(t), 'spool');
    const down = new RelayChild(t, [
      '--listen',
      '127.0.0.1:0',
      '--forward',
      'http://127.0.0.1:9',
      '--spool',
      spool,
      '--drain-deadline',
      '200ms',
      '--log-level',
      'silent',
    ]);
    for (let index = 0; index < 5; index += 1) t.is((await get(await down.port(), event(index))).status, 204);
    const second = new RelayChild(t, ['--listen', '127.0.0.1:0', '--spool', spool]);
    t.is(await second.ended, 1);
    t.regex(second.stderr, /^cosmos-telemetry: .*used by another process.*\n$/m);
    down.process.kill('SIGTERM');
    t.is(await down.ended, 0);
    t.regex(down.stderr, /^listening on http:\/\/127\.0\.0\.1:\d+\n$/);
    const collector = await startCollector();
    t.teardown(() => collector.close());
    const up = new RelayChild(t, ['--listen', '127.0.0.1:0', '--forward', `${collector.url}/up`, '--spool', spool]);
    await up.says(/"code":"recovered","message":"\d events were left by an earlier process"/);
    await collector.waitFor(5);
    up.process.kill('SIGTERM');
    t.is(await up.ended, 0);
    t.deepEqual(
      collector.requests.map(({ url }) => url).sort(),
      [0, 1, 2, 3, 4].map((index) => `/up/v3/dag_run?status=success&task_count=${index}`),
    );
  }));

test('without a spool pending events are dropped, and a second signal ends the process at once', (t) =>
  withChildren.add(async () => {
    const collector = await startCollector({ faults: { kind: 'hang' } });
    t.teardown(() => collector.close());
    const first = new RelayChild(t, ['--listen', '127.0.0.1:0', '--forward', 'http://127.0.0.1:9', '--drain-deadline', '100']);
    t.is((await get(await first.port(), event(1))).status, 200);
    first.process.kill('SIGTERM');
    t.is(await first.ended, 0);
    t.regex(first.stderr, /"message":"sent 0, failed \d, dropped \d, left in the spool 0"/);
    const second = new RelayChild(t, [
      '--listen',
      '127.0.0.1:0',
      '--forward',
      collector.url,
      '--drain-deadline',
      '10m',
      '--attempt-timeout-ms',
      '10m',
    ]);
    t.is((await get(await second.port(), event(1))).status, 200);
    await collector.waitFor(1);
    second.process.kill('SIGTERM');
    await second.says(/"code":"closing"/);
    second.process.kill('SIGTERM');
    t.is(await second.ended, 'SIGTERM');
  }));

test('an opt-out in its environment discards events, and creates no directory', (t) =>
  withChildren.add(async () => {
    const folder = makeFolder(t);
    const spool = path.join(folder, 'spool');
    const child = new RelayChild(t, ['--listen', '127.0.0.1:0', '--forward', 'http://127.0.0.1:9', '--spool', spool], {
      DO_NOT_TRACK: '1',
    });
    t.is((await get(await child.port(), event(1))).status, 202);
    child.process.kill('SIGTERM');
    t.is(await child.ended, 0);
    t.false(existsSync(spool));
    t.deepEqual(readdirSync(folder), []);
  }));

test('--prefix-file reads the secret prefix from a file', (t) =>
  withChildren.add(async () => {
    const file = path.join(makeFolder(t), 'prefix');
    writeFileSync(file, 'correct-horse-battery-staple\n', { mode: 0o600 });
    const child = new RelayChild(t, ['--listen', '127.0.0.1:0', '--forward', 'http://127.0.0.1:9', '--prefix-file', file]);
    t.is((await get(await child.port(), event(1))).status, 404);
    t.is((await get(await child.port(), `/correct-horse-battery-staple${event(1)}`)).status, 200);
    t.false(child.stderr.includes('correct-horse'));
  }));

test('an address in use is an error in one line', (t) =>
  withChildren.add(async () => {
    const collector = await startCollector();
    t.teardown(() => collector.close());
    const child = new RelayChild(t, ['--listen', `127.0.0.1:${collector.port}`, '--forward', 'http://127.0.0.1:9']);
    t.is(await child.ended, 1);
    t.regex(child.stderr, /^cosmos-telemetry: the relay cannot start: the address is in use$/m);
  }));

test('an error of the machine at the start is said in words, and a limit with what to do', (t) => {
  const cases: [code: string, words: RegExp][] = [
    ['EMFILE', /: this process may not open more files: raise its limit \(`ulimit -n`, or LimitNOFILE of systemd\)$/],
    ['ENFILE', /: the machine has too many open files: .*`sysctl fs\.file-max`/],
    ['ENOBUFS', /: the machine has no memory left for a socket$/],
    ['ENOMEM', /: the machine has no memory left$/],
    ['EPERM', /: a rule of this machine forbids to listen \(a sandbox/],
    ['EAFNOSUPPORT', /: the machine, or its sandbox, does not have this kind of address$/],
    ['EAI_AGAIN', /: the host name to listen on cannot be resolved now: the name server does not answer$/],
    ['EOTHER', /: EOTHER$/],
  ];
  for (const [code, words] of cases) {
    const text = describeFailure(Object.assign(new Error('listen, with a secret'), { code }));
    t.regex(text, words);
    t.true(text.startsWith('the relay cannot start: ') && !text.includes('secret'));
  }
});

test('a wrong flag exits with 2', (t) =>
  withChildren.add(async () => {
    const child = new RelayChild(t, ['--colour']);
    t.is(await child.ended, 2);
    t.is(child.stderr, 'cosmos-telemetry: unknown option --colour; see `cosmos-telemetry relay --help`\n');
  }));

/** Runs a command line that ends by itself, in this process. */
async function runCommand(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const cli = createTelemetryCliWith(
    { product: { name: 'cosmos' }, endpoint: 'http://127.0.0.1:9', command: 'cosmos-telemetry' },
    new Map([['relay', { summary: '', usage: '', run: runRelay }]]),
  );
  const code = await cli.run(['relay', ...args], {
    env: {},
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
  });
  return { code, stdout, stderr };
}

test('a wrong command line is an error in one line', async (t) => {
  const cases: [args: string[], code: number, line: RegExp][] = [
    [['--colour'], 2, /^cosmos-telemetry: unknown option --colour; see `cosmos-telemetry relay --help`\n$/],
    [['now'], 2, /: relay does not take now; see/],
    [['--listen'], 2, /: option --listen needs a value; see/],
    [['--verbatim=yes'], 2, /: option --verbatim takes no value; see/],
    [['--concurrency', 'many'], 2, /: option --concurrency needs a number, got many; see/],
    [['--max-connections', '5s'], 2, /: option --max-connections needs a number, got 5s; see/],
    [['--log-level', 'loud'], 2, /: option --log-level is one of debug, info, warn, silent; see/],
    [['--concurrency', '0'], 2, /: Expected `concurrency` to be a whole number from 1 to 256, got 0\.\n$/],
    [
      ['--listen', '0.0.0.0:0'],
      2,
      /: Expected `listen` to be on loopback, got "0\.0\.0\.0:0": every client that reaches a relay can send events through it\. Set `allowRemote` \(`--allow-remote`\)/,
    ],
    [
      ['--forward', 'http://user:secret@127.0.0.1'],
      2,
      /: Expected `forward` to be an http or https URL without credentials, query or fragment, got "http:\/\/\*\*\*@127\.0\.0\.1"\.\n$/,
    ],
    [['--prefix', 'a/b'], 2, /: Expected `prefix` to be 1 to 128 letters, digits or any of _ \. ~ -\.\n$/],
    [['--prefix', 'a', '--prefix-file', 'b'], 2, /: relay takes --prefix or --prefix-file, and not both; see/],
    [['--jetstream', 'nats://127.0.0.1', '--spool', '/tmp/x'], 2, /: relay takes --jetstream or --spool, and not both; see/],
    [['--jetstream-stream', 'S'], 2, /: the options --jetstream-\.\.\. need --jetstream; see/],
    [['--jetstream-credentials', '/a'], 2, /: the options --jetstream-\.\.\. need --jetstream; see/],
    [['--jetstream', 'nats://a', '--jetstream-cert', '/a'], 2, /: --jetstream-cert and --jetstream-key need each other; see/],
    [['--jetstream', 'nats://me:secret@127.0.0.1'], 2, /: Expected `servers` to hold no credentials/],
    // It is no dependency of this package.
    [['--jetstream', 'nats://127.0.0.1'], 2, /needs the package @nats-io\/transport-node: npm install/],
    [['--prefix-file', '/nowhere/at/all'], 1, /: \/nowhere\/at\/all cannot be read \(ENOENT\)\n$/],
    [
      ['--listen', '127.0.0.1:8787', '--forward', 'http://localhost:8787'],
      2,
      /: Expected `forward` to be a server other than the relay itself/,
    ],
    [['--spool', '/dev/null/x', '--spool-required', '--listen', '127.0.0.1:0'], 1, /^cosmos-telemetry: .*\/dev\/null\/x/m],
  ];
  for (const [args, code, line] of cases) {
    const end = await runCommand(args);
    t.is(end.code, code, args.join(' '));
    t.regex(end.stderr, line);
    t.false(end.stderr.includes('secret'));
  }
});

test('--help names every flag', async (t) => {
  const { code, stdout, stderr } = await runCommand(['--help']);
  t.is(code, 0);
  t.is(stderr, '');
  t.regex(stdout, /^Usage: cosmos-telemetry relay \[options\]\n/);
  for (const flag of [
    'listen HOST:PORT',
    'forward URL',
    'spool DIR',
    'spool-required',
    'jetstream URL',
    'jetstream-stream NAME',
    'jetstream-replicas N',
    'jetstream-credentials FILE',
    'jetstream-ca FILE',
    'jetstream-cert FILE',
    'jetstream-key FILE',
    'allow-remote',
    'allowed-host NAME',
    'prefix SECRET',
    'prefix-file FILE',
    'metrics-listen HOST:PORT',
    'show-events',
    'verbatim',
    'max-spool-bytes BYTES',
    'max-age-ms MS',
    'max-events-per-second N',
    'max-connections N',
    'headers-timeout-ms MS',
    'request-timeout-ms MS',
    'keep-alive-timeout-ms MS',
    'concurrency N',
    'drain-concurrency N',
    'connect-timeout-ms MS',
    'attempt-timeout-ms MS',
    'backoff-ms MS',
    'max-backoff-ms MS',
    'spread-ms MS',
    'allowed-redirect-host NAME',
    'proxy URL',
    'no-proxy',
    'drain-deadline MS',
    'log-level LEVEL',
    'help',
  ])
    t.true(stdout.includes(`  --${flag}`), flag);
  t.true(stdout.split('\n').every((line) => line.length <= 120));
});

function read(file: string): string {
  return readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
}

test('the flags of the queue are the options of jetstreamStore', (t) => {
  const args = ['--jetstream', 'nats://a', '--jetstream', 'nats://b', '--jetstream-stream', 'S', '--jetstream-replicas', '3'];
  const files = ['--jetstream-credentials', '/1', '--jetstream-ca', '/2', '--jetstream-cert', '/3', '--jetstream-key', '/4'];
  const { jetstream, options } = parseRelayFlags([...args, ...files], 'cosmos-telemetry');
  t.deepEqual(jetstream, {
    servers: ['nats://a', 'nats://b'],
    stream: 'S',
    replicas: 3,
    credentialsFile: '/1',
    caFile: '/2',
    certFile: '/3',
    keyFile: '/4',
  });
  t.deepEqual(options, {});
  t.is(parseRelayFlags([], 'cosmos-telemetry').jetstream, undefined);
});

/** The arguments after `relay` in each example. */
const COMMANDS: readonly [file: string, args: string[]][] = [
  [
    'examples/relay/cosmos-relay.service',
    (/ relay (--listen .+)$/m.exec(read('examples/relay/cosmos-relay.service'))?.[1] ?? '').split(' '),
  ],
  [
    'examples/relay/Dockerfile',
    JSON.parse(/^CMD \["relay", (.+)\]$/m.exec(read('examples/relay/Dockerfile'))?.[1]?.replace(/^/, '[').concat(']') ?? '[]') as string[],
  ],
  [
    'examples/relay/docker-compose.yml',
    [...read('examples/relay/docker-compose.yml').matchAll(/^ +- (--\S+)$/gm)].map(([, arg = '']) => arg),
  ],
];

for (const [file, args] of COMMANDS) {
  test(`the flags in ${file} are valid`, (t) => {
    t.true(args.length > 2);
    const { options } = parseRelayFlags(args, 'cosmos-telemetry');
    const { listen, spool } = checkRelayOptions({ ...options, env: {} }).settings;
    t.is(listen.port, 8787);
    t.regex(spool ?? '', /\/spool$/);
  });
}

test('docs/relay.md names every flag, every status and the main metrics', (t) => {
  const text = read('docs/relay.md');
  for (const [name] of RELAY_FLAGS) t.true(name === 'help' || text.includes(`\`--${name}`), `--${name}`);
  for (const status of [200, 202, 204, 400, 403, 404, 405, 408, 413, 414, 429, 431, 501, 503])
    t.regex(text, new RegExp(`^\\| ${status} `, 'm'));
  for (const name of [
    'events_accepted_total',
    'events_sent_total',
    'events_failed_total',
    'events_dropped_total',
    'events_maybe_sent_twice_total',
    'send_seconds',
  ])
    t.true(text.includes(`cosmos_relay_${name}`), name);
});
