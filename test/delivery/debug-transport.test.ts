import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { debugTransport } from '../../src/delivery/debug-transport.js';
import type { FileDescriptors } from '../../src/base/machine.js';
import { emitUsageMetrics } from '../../src/index.js';
import type { TelemetryStats } from '../../src/index.js';
import { Log } from '../../src/base/log.js';
import { startCollector } from '../../src/testing/index.js';
import { runChild } from '../helpers/run-child.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';
import { usageEvent } from '../helpers/usage-event.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { proves } from '../helpers/promises.js';

const variable = 'ACME_TELEMETRY_DEBUG';
const folder = mkdtempSync(path.join(tmpdir(), 'debug-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const fail = (code: string): Promise<never> => Promise.reject(Object.assign(new Error('text of a library'), { code }));

/** Descriptors with a script: for each write the number of bytes that are written, or an error code. */
function scripted(script: (number | string)[], opening?: string) {
  const written: [descriptor: number, text: string][] = [];
  const calls = { opened: [] as string[], closed: [] as number[] };
  const access: FileDescriptors = {
    open: (file) => {
      calls.opened.push(file);
      return opening === undefined ? Promise.resolve(7) : fail(opening);
    },
    write: (descriptor, bytes) => {
      const next = script.shift() ?? bytes.length;
      if (typeof next === 'string') return fail(next);
      written.push([descriptor, Buffer.from(bytes.subarray(0, next)).toString()]);
      return Promise.resolve(next);
    },
    close: (descriptor) => {
      calls.closed.push(descriptor);
      return Promise.resolve();
    },
  };
  return { access, written, ...calls };
}

function debug(access: FileDescriptors, file?: string) {
  const clock = new VirtualClock();
  const warned: string[] = [];
  const log = new Log({ debug: () => undefined, warn: (line) => warned.push(line) }, clock);
  const mode = file === undefined ? { variable } : { variable, path: file };
  const transport = debugTransport({ mode, endpoint: 'https://x.test/base', log, clock, access });
  const send = () => transport.send([usageEvent('/v3/tick?n=1'), usageEvent('/v3/tick?n=1')], new AbortController().signal);
  return { transport, send, clock, warned };
}

const LINE = '[telemetry] GET https://x.test/base/v3/tick?n=1\n';

test('prints each event on its own line to standard error, and drops it as debug', async (t) => {
  const { access, written, opened, closed } = scripted([]);
  const { transport, send } = debug(access);
  t.deepEqual(await send(), { kind: 'refused', reason: 'debug' });
  t.deepEqual(written, [[2, LINE + LINE]]);
  await transport.close?.();
  t.deepEqual([opened, closed], [[], []], 'standard error stays open');
});

test('lines are whole and in order even if written in parts, and a full pipe is waited for', async (t) => {
  const { access, written } = scripted([10, 'EAGAIN', 'EAGAIN', 20]);
  const { send, clock, warned } = debug(access);
  const both = Promise.all([send(), send()]);
  await clock.advance(10);
  await clock.advance(10);
  await both;
  t.is(written.map(([, text]) => text).join(''), LINE.repeat(4));
  t.deepEqual(warned, []);
  t.is(clock.pendingTimers, 0);
});

test('a pipe that stays full is given up after a second, and does not keep the process alive', async (t) => {
  const { access, written } = scripted(Array.from<string>({ length: 101 }).fill('EAGAIN'));
  const { send, clock, warned } = debug(access);
  const first = send();
  await clock.advance(990);
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(10);
  t.deepEqual(await first, { kind: 'refused', reason: 'debug' });
  t.deepEqual(warned, ['[telemetry] debug_unwritable: standard error cannot be written to (EAGAIN); nothing is sent either']);
  await send();
  t.is(
    written.map(([, text]) => text).join(''),
    `[telemetry] 2 requests could not be written here\n${LINE}${LINE}`,
    'it may find a reader',
  );
});

test('a file that cannot be opened is tried at each event, warns once a minute, and nothing is sent either', async (t) => {
  const { access, opened, written, closed } = scripted([], 'EACCES');
  const { transport, send, clock, warned } = debug(access, '/audit');
  for (let half = 0; half < 4; half += 1) {
    t.deepEqual(await send(), { kind: 'refused', reason: 'debug' });
    await clock.advance(30_000);
  }
  await transport.close?.();
  t.deepEqual([opened, written, closed], [Array.from({ length: 4 }, () => '/audit'), [], []]);
  const line = `[telemetry] debug_unwritable: the file of ${variable} cannot be written to (EACCES); nothing is sent either`;
  t.deepEqual(warned, [line, line]);
});

test('a file is opened for each write, and no descriptor stays open', async (t) => {
  const { access, opened, closed } = scripted([]);
  const { transport, send } = debug(access, '/audit');
  t.deepEqual(opened, []);
  await Promise.all([send(), send()]);
  t.deepEqual([opened, closed], [Array.from({ length: 2 }, () => '/audit'), [7, 7]]);
  await transport.close?.();
});

test(proves('debug-audit', 'after a full disk a line says how many requests are missing, and a torn line is ended'), async (t) => {
  const { access, written } = scripted([10, 'ENOSPC', 'ENOSPC']);
  const { send } = debug(access, '/audit');
  for (let time = 0; time < 3; time += 1) await send();
  t.is(written.map(([, text]) => text).join(''), `${LINE.slice(0, 10)}\n[telemetry] 4 requests could not be written here\n${LINE}${LINE}`);
});

test('an event that cannot be encoded is invalid', async (t) => {
  const { access } = scripted([]);
  const broken = {
    ...usageEvent('x'),
    requestTarget: () => {
      throw new Error('no');
    },
  };
  t.deepEqual(await debug(access).transport.send([broken], new AbortController().signal), { kind: 'refused', reason: 'invalid' });
});

test("a program's own transport gets no events, and is closed", async (t) => {
  const own = new ScriptedTransport();
  const file = path.join(folder, 'own');
  const { telemetry, publish } = telemetryRig({ scripted: own, env: { [variable]: file } });
  await publish(3);
  t.like(await telemetry.close(), { published: 3, sent: 0, failed: 0, dropped: 3, reasons: { debug: 3 } });
  t.deepEqual([own.sends.length, own.closed], [0, 1]);
  const start = '[telemetry] GET /v3/tick?acme_version=1.0.0&node_version=20.19.0&platform_system=Linux&platform_machine=x86_64&n=';
  t.is(readFileSync(file, 'utf8'), [0, 1, 2].map((n) => `${start}${n}\n`).join(''));
});

test('an opt-out wins: nothing is printed, and no file is created', async (t) => {
  const file = path.join(folder, 'never');
  const { telemetry, publish } = telemetryRig({ env: { [variable]: file, DO_NOT_TRACK: '1' } });
  await publish(3);
  t.like(await telemetry.close(), { published: 0, dropped: 0 });
  t.false(
    await emitUsageMetrics(
      { event_type: 'x' },
      { product: { name: 'acme', version: '1.0.0' }, env: { [variable]: file, ACME_TELEMETRY: '0' } },
    ),
  );

  const later = telemetryRig({ env: { [variable]: file } });
  later.env[variable] = file;
  later.telemetry.publish('tick', { n: 1 });
  later.env['DO_NOT_TRACK'] = '1';
  await later.clock.advance(0);
  t.like(later.telemetry.stats(), { published: 1, reasons: { opted_out: 1 } });
  t.false(existsSync(file));
});

/** Publishes one event in debug mode to this file. */
async function append(file: string): Promise<TelemetryStats> {
  const { telemetry, publish } = telemetryRig({ env: { [variable]: file } });
  await publish(1);
  return telemetry.close();
}

if (process.platform !== 'win32') {
  test(proves('debug-audit', 'a file is opened again after it was rotated, deleted, or could not be opened'), async (t) => {
    const file = path.join(folder, 'rotated');
    const { publish, telemetry } = telemetryRig({ env: { [variable]: file } });
    const lines = () => (existsSync(file) ? readFileSync(file, 'utf8').match(/(?<=&)n=\d+/g) : undefined);
    /** Publishes one event and waits for the disk. */
    const print = async () => {
      await publish(1);
      await telemetry.drain();
    };
    await print();
    renameSync(file, `${file}.1`);
    await print();
    t.deepEqual(lines(), ['n=1']);
    rmSync(file);
    await print();
    t.deepEqual(lines(), ['n=2']);
    rmSync(file);
    mkdirSync(file);
    await print();
    rmSync(file, { recursive: true });
    await print();
    t.deepEqual(lines(), ['n=4']);
    t.regex(readFileSync(file, 'utf8'), /^\[telemetry\] 1 requests could not be written here\n/);
    await telemetry.close();
  });

  test('a file is appended to, created for its owner only, and never opened through a link', async (t) => {
    const made = path.join(folder, 'made');
    await append(made);
    t.is(statSync(made).mode & 0o777, 0o600);
    const kept = path.join(folder, 'kept');
    writeFileSync(kept, 'before\n', { mode: 0o644 });
    await append(kept);
    t.regex(readFileSync(kept, 'utf8'), /^before\n\[telemetry\] GET \/v3\/tick\?\S+&n=0\n$/);
    t.is(statSync(kept).mode & 0o777, 0o644);
    const target = path.join(folder, 'target');
    writeFileSync(target, '');
    symlinkSync(target, path.join(folder, 'link'));
    mkdirSync(path.join(folder, 'folder'));
    execFileSync('mkfifo', [path.join(folder, 'pipe')]);
    for (const name of ['link', 'folder', 'pipe', 'no/such/folder'])
      t.like(await append(path.join(folder, name)), { reasons: { debug: 1 } }, name);
    t.is(readFileSync(target, 'utf8'), '');
    t.like(await append('/dev/null'), { reasons: { debug: 1 } });
  });
}

const REQUEST = String.raw`node_version=[\d.]+&platform_system=\w+&platform_machine=\w+&storage_type=s3&docs_dir_configured=True&uses_custom_conn=False&has_custom_name=False`;

test('a real process prints to standard error only and connects to nothing, emitUsageMetrics included', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { code, stdout, stderr } = await runChild('debug-child', [collector.url, '2000'], { [variable]: 'yes' });
  t.is(code, 0);
  const { stats, isSent, warned } = JSON.parse(stdout) as { stats: TelemetryStats; isSent: boolean; warned: string[] };
  t.like(stats, { published: 2000, dropped: 2000, pending: 0, reasons: { debug: 2000 } });
  t.deepEqual([isSent, warned], [false, []]);
  const lines = stderr.split('\n');
  t.is(lines.length, 2002);
  t.is(lines[2000], `[telemetry] GET ${collector.url}/v3/once?a=b+c`);
  const line = new RegExp(String.raw`^\[telemetry\] GET http://127\.0\.0\.1:\d+/v3/dbt_docs_access\?acme_version=1\.0\.0&${REQUEST}$`);
  t.deepEqual(
    lines.slice(0, 2000).filter((each) => !line.test(each)),
    [],
  );
  t.is(collector.connections, 0);
});

test('a real process survives a closed standard error', async (t) => {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('../helpers/debug-child.js', import.meta.url)), 'http://127.0.0.1:9', '500'],
    {
      env: { ...process.env, [variable]: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  child.stderr.destroy();
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  t.is(code, 0);
  const { stats, warned } = JSON.parse(stdout) as { stats: TelemetryStats; warned: string[] };
  t.like(stats, { published: 500, reasons: { debug: 500 } });
  t.is(warned.filter((line) => line.includes('debug_unwritable')).length, 2, 'once for the client, once for the function');
});
