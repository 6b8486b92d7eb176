import { EventEmitter } from 'node:events';
import test from 'ava';
import type { TelemetryOptions } from '../src/index.js';
import type { MachineAccess } from '../src/base/machine.js';
import { createTelemetryWith } from '../src/client/telemetry.js';
import { ScriptedTransport } from './helpers/scripted-transport.js';
import { virtualMachine } from './helpers/telemetry-rig.js';
import { settle, VirtualClock } from './helpers/virtual-clock.js';

const OWN = '/home/pat/.config/acme/telemetry.json';
const POLICY = '/etc/xdg/acme/telemetry.json';
const NO = '{"enabled": false}';
const YES = '{"enabled": true}';

/** A client on a machine whose files change under it. */
function rig(options: Partial<TelemetryOptions> = {}, files: Record<string, string> = {}) {
  const clock = new VirtualClock();
  const transport = new ScriptedTransport();
  const reads: string[] = [];
  const warned: string[] = [];
  const read = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  };
  const disk = { delay: (): Promise<void> => Promise.resolve() };
  const machine: MachineAccess = {
    ...virtualMachine(clock),
    readFile: read,
    readFileLater: async (path) => {
      reads.push(path);
      await disk.delay();
      return read(path);
    },
  };
  const env: NodeJS.ProcessEnv = { HOME: '/home/pat' };
  const logger = { debug: () => undefined, warn: (line: string) => void warned.push(line) };
  const telemetry = createTelemetryWith(
    { product: { name: 'acme', version: '1.0.0' }, transport, env, drainOnExit: false, logger, ...(options as object) },
    machine,
  );
  const publish = (): boolean =>
    telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
  /** Publishes one event and lets its attempt begin; with an answer, it ends as well. */
  const attempt = async (isAnswered = true): Promise<void> => {
    publish();
    await clock.advance(0);
    if (isAnswered) transport.open[0]?.answer({ kind: 'sent' });
    await settle();
  };
  return { telemetry, transport, clock, files, reads, warned, env, disk, publish, attempt };
}

test('files are looked at again at the first attempt after a minute, and once a minute from then on', async (t) => {
  const { clock, reads, attempt } = rig();
  await attempt();
  await clock.advance(59_999);
  await attempt();
  t.deepEqual(reads, [], 'what was read at construction is not a minute old');
  await clock.advance(1);
  await attempt();
  t.deepEqual(reads, [POLICY, OWN]);
  await attempt();
  await clock.advance(59_999);
  await attempt();
  t.is(reads.length, 2);
  await clock.advance(1);
  await attempt();
  t.is(reads.length, 4);
});

test('without an attempt nothing is read, and no timer waits for it', async (t) => {
  const { telemetry, clock, reads, attempt } = rig();
  telemetry.register(new EventEmitter());
  await attempt();
  await clock.advance(3_600_000);
  t.deepEqual([reads.length, clock.pendingTimers], [0, 0]);
  t.true(telemetry.enabled);
});

for (const path of [OWN, POLICY]) {
  test(`a no that appears in ${path} shuts the latch: under way is aborted, waiting is dropped, hosts are left`, async (t) => {
    const { telemetry, transport, clock, files, publish, attempt } = rig({ concurrency: 1 });
    const host = new EventEmitter();
    telemetry.register(host);
    await attempt();
    files[path] = NO;
    await clock.advance(60_000);
    publish();
    publish();
    await clock.advance(0);
    t.is(transport.sends.length, 2, 'the attempt did not wait for the disk');
    t.true(transport.sends[1]?.signal.aborted);
    t.false(telemetry.enabled);
    t.deepEqual(host.eventNames(), []);
    t.like(telemetry.stats(), { published: 3, sent: 1, failed: 1, dropped: 1, pending: 0, reasons: { aborted: 1, opted_out: 1 } });
    delete files[path];
    await clock.advance(120_000);
    t.false(telemetry.enabled, 'nothing opens it again');
    t.false(publish());
  });
}

test('a file that turns unusable opts out and warns', async (t) => {
  const { telemetry, clock, files, warned, attempt } = rig({}, { [OWN]: YES });
  files[OWN] = '{"enabled": tru';
  await clock.advance(60_000);
  await attempt();
  t.false(telemetry.enabled);
  t.deepEqual(warned, [`[telemetry] config_unreadable: ${OWN} cannot be used (not JSON), which counts as an opt-out`]);
});

test('a disk that hangs holds up nobody, and is asked once', async (t) => {
  const { telemetry, clock, files, reads, disk, attempt } = rig();
  const answers: (() => void)[] = [];
  disk.delay = () => new Promise((resolve) => void answers.push(resolve));
  await clock.advance(60_000);
  for (let minute = 0; minute < 5; minute += 1) {
    await attempt();
    await clock.advance(60_000);
  }
  t.like(telemetry.stats(), { published: 5, sent: 5 });
  t.deepEqual(reads, [POLICY]);
  files[POLICY] = NO;
  disk.delay = () => Promise.resolve();
  for (const answer of answers) answer();
  await settle();
  t.false(telemetry.enabled);
});

test("opt-in: the yes of one's own file can be taken back", async (t) => {
  const { telemetry, clock, files, attempt } = rig({ consent: 'opt-in' }, { [OWN]: YES });
  await clock.advance(60_000);
  await attempt();
  t.true(telemetry.enabled);
  delete files[OWN];
  await clock.advance(60_000);
  await attempt();
  t.false(telemetry.enabled);
});

test('opt-in: of two that say yes, one is enough', async (t) => {
  const env: NodeJS.ProcessEnv = { HOME: '/home/pat', ACME_TELEMETRY: '1' };
  const { telemetry, clock, files, attempt } = rig({ consent: 'opt-in', env }, { [OWN]: YES });
  delete files[OWN];
  await clock.advance(60_000);
  await attempt();
  t.true(telemetry.enabled, 'the variable says it');
  delete env['ACME_TELEMETRY'];
  t.false(telemetry.enabled);
});

test('opted out from the start, no file is read again', async (t) => {
  const { telemetry, clock, reads, publish } = rig({}, { [OWN]: NO });
  t.false(telemetry.enabled);
  await clock.advance(120_000);
  t.false(publish());
  await telemetry.close();
  t.deepEqual([reads.length, clock.pendingTimers, clock.pendingDeferred], [0, 0, 0]);
});
