// A file that may hold an opt-out and cannot be read now: nothing is sent, nothing is lost, and the client looks again.
import { execFile } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import type { MachineAccess } from '../../src/base/machine.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { emitUsageMetrics } from '../../src/index.js';
import type { TelemetryOptions } from '../../src/index.js';
import { usageEvent } from '../helpers/usage-event.js';
import { until } from '../helpers/loopback.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { addsUp, virtualMachine } from '../helpers/telemetry-rig.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { proves } from '../helpers/promises.js';

const OWN = '/home/pat/.config/acme/telemetry.json';
const POLICY = '/etc/xdg/acme/telemetry.json';
const CFG = '/home/pat/airflow/airflow.cfg';
const NO = '{"enabled": false}';

/** A client on a machine whose files are texts or errors: `!EMFILE` cannot be read. Files that are not named are missing. */
function rig(files: Record<string, string> = {}, options: Partial<TelemetryOptions> = {}) {
  const clock = new VirtualClock();
  const transport = new ScriptedTransport();
  const looks: number[] = [];
  const warned: string[] = [];
  const read = (path: string): string => {
    const text = files[path] ?? '!ENOENT';
    if (text.startsWith('!')) throw Object.assign(new Error('text of a library'), { code: text.slice(1) });
    return text;
  };
  const machine: MachineAccess = {
    ...virtualMachine(clock),
    readFile: read,
    readFileLater: (path) => {
      if (looks.at(-1) !== clock.now()) looks.push(clock.now());
      return Promise.resolve().then(() => read(path));
    },
  };
  const env: NodeJS.ProcessEnv = { HOME: '/home/pat' };
  const logger = { debug: () => undefined, warn: (line: string) => void warned.push(line) };
  const given = {
    product: { name: 'acme', version: '1.0.0' },
    dbt: true,
    transport,
    env,
    drainOnExit: false,
    logger,
    ...(options as object),
  };
  const telemetry = createTelemetryWith(given, machine);
  const publish = (): boolean =>
    telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
  /** Lets time pass and answers every send with success. */
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    for (let round = 0; round < 10 && transport.open.length > 0; round += 1) {
      transport.open[0]?.answer({ kind: 'sent' });
      await settle();
    }
  };
  return { telemetry, transport, clock, files, looks, warned, env, publish, pass };
}

for (const code of ['EMFILE', 'ENFILE', 'EIO', 'ESTALE', 'ENOMEM', 'ETIMEDOUT', 'EACCES', 'ERR_ACCESS_DENIED']) {
  test(proves('opt-out-unknown', `${code} at the start: events wait, and are sent when the file can be read`), async (t) => {
    const { telemetry, transport, files, publish, pass } = rig({ [OWN]: `!${code}` });
    t.false(telemetry.enabled);
    t.true(publish());
    await pass(999);
    t.deepEqual([transport.sends.length, telemetry.stats().pending], [0, 1]);
    delete files[OWN];
    await pass(1);
    t.true(telemetry.enabled);
    t.like(telemetry.stats(), { published: 1, sent: 1, pending: 0, dropped: 0 });
  });

  test(proves('opt-out-unknown', `${code} while running: what waits stays, and is sent when the file can be read`), async (t) => {
    const { telemetry, transport, files, publish, pass } = rig();
    await pass(60_000);
    files[POLICY] = `!${code}`;
    publish();
    await pass(0);
    t.like(telemetry.stats(), { sent: 1 }, 'the attempt that had the files read was under way');
    t.false(telemetry.enabled);
    t.true(publish());
    await pass(500);
    t.deepEqual([transport.sends.length, telemetry.stats().pending], [1, 1]);
    delete files[POLICY];
    await pass(1000);
    t.like(telemetry.stats(), { published: 2, sent: 2, dropped: 0 });
    t.true(telemetry.enabled);
  });
}

test('a missing file has no opinion', (t) => {
  for (const code of ['ENOENT', 'ENOTDIR']) t.true(rig({ [OWN]: `!${code}`, [POLICY]: `!${code}` }).telemetry.enabled);
});

test('it looks again after a second, then after twice as long, up to a minute, by a timer that holds no process', async (t) => {
  const { clock, looks, telemetry } = rig({ [OWN]: '!EACCES' });
  t.deepEqual([clock.pendingTimers, clock.pendingRefTimers], [1, 0]);
  for (let second = 0; second < 200; second += 1) await clock.advance(1000);
  t.deepEqual(
    looks,
    [1, 3, 7, 15, 31, 60, 120, 180].map((seconds) => seconds * 1000),
  );
  t.false(telemetry.enabled);
  await telemetry.close();
  t.is(clock.pendingTimers, 0);
});

test('each file and reason is said once, however often it is looked at', async (t) => {
  const { clock, files, warned } = rig({ [OWN]: '!EACCES' });
  for (let minute = 0; minute < 10; minute += 1) await clock.advance(61_000);
  files[OWN] = '!EIO';
  await clock.advance(61_000);
  const line = (code: string) => `[telemetry] config_unreadable: ${OWN} cannot be read (${code}): nothing is sent until it can be`;
  t.deepEqual(warned, [line('EACCES'), line('EIO')]);
});

test(proves('opt-out-unknown', 'an opt-out that is read at last drops what waits, unregisters, and is final'), async (t) => {
  const { telemetry, transport, files, clock, publish, pass } = rig({ [OWN]: '!EMFILE' });
  const host = new EventEmitter();
  telemetry.register(host);
  t.is(host.eventNames().length, 4, 'a host that is registered meanwhile loses no event');
  publish();
  files[OWN] = NO;
  await pass(1000);
  t.like(telemetry.stats(), { published: 1, dropped: 1, reasons: { opted_out: 1 } });
  t.deepEqual([host.eventNames(), transport.sends.length, clock.pendingTimers], [[], 0, 0]);
  delete files[OWN];
  await pass(120_000);
  t.deepEqual([telemetry.enabled, publish()], [false, false]);
});

test('an opt-out in the environment decides at once, though a file is unknown', async (t) => {
  const { telemetry, env, clock, publish } = rig({ [OWN]: '!EIO' });
  publish();
  env['DO_NOT_TRACK'] = '1';
  await clock.advance(1000);
  t.like(telemetry.stats(), { reasons: { opted_out: 1 }, pending: 0 });
  t.false(publish());
  t.is(clock.pendingTimers, 0);
});

test('close() looks once more, then drops the rest as undecided without waiting for its deadline', async (t) => {
  const { telemetry, transport, clock, publish } = rig({ [OWN]: '!EACCES' });
  publish();
  publish();
  await clock.advance(0);
  const report = await telemetry.close({ deadlineMs: 5000 });
  t.like(report, { published: 2, dropped: 2, pending: 0, reasons: { undecided: 2 }, durationMs: 0, timedOut: false });
  t.true(addsUp(report));
  t.deepEqual([transport.sends.length, transport.closed, clock.pendingTimers], [0, 1, 0]);
});

test('close() sends what waits if the file can be read by then', async (t) => {
  const { telemetry, transport, files, publish } = rig({ [OWN]: '!EMFILE' });
  publish();
  delete files[OWN];
  const closing = telemetry.close({ deadlineMs: 5000 });
  await settle();
  transport.open[0]?.answer({ kind: 'sent' });
  t.like(await closing, { sent: 1, dropped: 0 });
});

test('drain() looks again, and reports at its deadline with what waits as pending', async (t) => {
  const { telemetry, transport, clock, files, looks, publish } = rig({ [OWN]: '!EIO' });
  publish();
  const draining = telemetry.drain({ deadlineMs: 700 });
  await clock.advance(700);
  t.like(await draining, { pending: 1, dropped: 0, timedOut: true, durationMs: 700 });
  t.deepEqual(looks, [0]);
  delete files[OWN];
  const second = telemetry.drain({ deadlineMs: 700 });
  await settle();
  transport.open[0]?.answer({ kind: 'sent' });
  t.like(await second, { sent: 1, pending: 0, timedOut: false });
});

test('a full buffer drops the oldest as ever', async (t) => {
  const { telemetry, clock, publish } = rig({ [OWN]: '!EIO' }, { maxPendingEvents: 3 });
  for (let index = 0; index < 5; index += 1) t.true(publish());
  await clock.advance(0);
  t.like(telemetry.stats(), { published: 5, pending: 3, reasons: { buffer_full: 2 } });
});

test.serial('the exit of the process is not held', async (t) => {
  const before = process.listeners('beforeExit');
  const { telemetry, clock, publish } = rig({ [OWN]: '!EIO' }, { drainOnExit: true });
  publish();
  await clock.advance(0);
  const hooks = process.listeners('beforeExit').filter((listener) => !before.includes(listener));
  t.is(hooks.length, 1);
  for (const hook of hooks) hook(0);
  t.is(clock.pendingRefTimers, 0);
  t.is(telemetry.stats().pending, 1);
  await telemetry.close();
});

test('a retry that meets an unknown file puts its event back', async (t) => {
  const { telemetry, clock, files } = rig();
  t.true(telemetry.enabled);
  const { gated, retrying } = await import('../../src/delivery/retry.js');
  const { Gate } = await import('../../src/opt-out/gate.js');
  const gate = new Gate({ state: 'unknown', watch: { optedOutNow: () => false }, clock });
  const inner = new ScriptedTransport();
  const transport = retrying(gated(inner, gate), { retries: 1, random: () => 0, clock });
  const sending = transport.send([usageEvent()], new AbortController().signal);
  inner.open[0]?.answer({ kind: 'retryable', reason: 'http_503' });
  // The retries are loaded late.
  await until(() => clock.pendingTimers > 0);
  await clock.advance(1000);
  t.deepEqual(await sending, { kind: 'deferred', waitMs: 0, reason: 'undecided' });
  t.is(inner.sends.length, 1);
  t.deepEqual(files, {});
});

test("consent: 'opt-in' takes unknown as no", async (t) => {
  const { telemetry, clock, files, publish } = rig({ [POLICY]: '!EMFILE', [OWN]: '{"enabled": true}' }, { consent: 'opt-in' });
  t.deepEqual([telemetry.enabled, publish(), clock.pendingTimers], [false, false, 0]);
  delete files[POLICY];
  await clock.advance(60_000);
  t.false(telemetry.enabled);
});

test('airflow.cfg is read again until it could be read, and not after that', async (t) => {
  const { telemetry, clock, files, looks, publish, pass } = rig({ [CFG]: '!EACCES' }, { product: { name: 'cosmos', version: '1.0.0' } });
  t.true(publish());
  files[CFG] = '[cosmos]\nenable_telemetry = True\n';
  await pass(1000);
  t.like(telemetry.stats(), { sent: 1 });
  files[CFG] = '[cosmos]\nenable_telemetry = False\n';
  await clock.advance(60_000);
  publish();
  await pass(0);
  t.is(looks.length, 2);
  t.true(telemetry.enabled, 'as Airflow itself, which reads it once');
  const refused = rig({ [CFG]: '!EACCES' }, { product: { name: 'cosmos', version: '1.0.0' } });
  refused.publish();
  refused.files[CFG] = '[cosmos]\nenable_telemetry = False\n';
  await refused.pass(1000);
  t.like(refused.telemetry.stats(), { reasons: { opted_out: 1 } });
});

test("under Node's permission model one line names the flags", (t) => {
  const { warned } = rig({ [OWN]: '!ERR_ACCESS_DENIED', [POLICY]: '!ERR_ACCESS_DENIED' });
  t.is(
    warned.find((line) => line.includes('permission_denied')),
    '[telemetry] permission_denied: node --permission hides files that may opt out, so nothing is sent: ' +
      `start node with --allow-fs-read=${POLICY} --allow-fs-read=${OWN}`,
  );
});

test('emitUsageMetrics() sends nothing while a file is unknown', async (t) => {
  t.false(
    await emitUsageMetrics({ event_type: 'x' }, { product: { name: 'acme', version: '1.0.0' }, env: { XDG_CONFIG_DIRS: '/dev/null\0' } }),
  );
});

/** Runs a program that publishes one event, under Node's permission model, with the rights to read the program and these files. */
async function underPermissions(files: readonly string[]): Promise<string> {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const folders = [root, `${realpathSync(`${root}/node_modules`)}/`];
  const rights = [...folders, ...files].map((path) => `--allow-fs-read=${path}`);
  const entry = new URL('../../src/index.js', import.meta.url).href;
  const program = `
    const { createTelemetry } = await import(${JSON.stringify(entry)});
    const logger = { debug() {}, warn: (line) => console.log(line) };
    const transport = { send: () => Promise.resolve({ kind: 'sent' }) };
    const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, transport, logger });
    telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
    const { sent, reasons } = await telemetry.close();
    console.log(JSON.stringify({ sent, reasons }));`;
  const args = ['--no-warnings', flag, ...rights, '--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { HOME: '/home/pat' } });
  return stdout;
}

test('a real `node --permission` sends nothing and says so, and sends with the flags that the line names', async (t) => {
  const closed = await underPermissions([]);
  const flags = [...closed.matchAll(/--allow-fs-read=(\S+)/g)].map(([, path = '']) => path);
  t.deepEqual(flags, [POLICY, OWN]);
  t.true(closed.endsWith('{"sent":0,"reasons":{"undecided":1}}\n'), closed);
  t.is(await underPermissions(flags), '{"sent":1,"reasons":{}}\n');
});
