import { EventEmitter } from 'node:events';
import test from 'ava';
import { Log } from '../../src/base/log.js';
import type { MachineAccess } from '../../src/base/machine.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import type { TelemetryOptions } from '../../src/index.js';
import { Gate, openGate } from '../../src/opt-out/gate.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { virtualMachine } from '../helpers/telemetry-rig.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';

function setUp(open = true) {
  const clock = new VirtualClock();
  const environment = { isOptedOut: false, reads: 0, isBroken: false };
  const optedOutNow = () => {
    environment.reads += 1;
    if (environment.isBroken) throw new Error('unreadable');
    return environment.isOptedOut;
  };
  return { clock, environment, gate: new Gate({ state: open ? 'open' : 'shut', watch: { optedOutNow }, clock }) };
}

function ask(gate: Gate, times: number): boolean {
  let answer = true;
  for (let time = 0; time < times; time += 1) answer = gate.accepts();
  return answer;
}

test('a gate that is shut from the start stays shut, reads nothing and calls nothing back', (t) => {
  const { clock, environment, gate } = setUp(false);
  gate.whenShut(() => t.fail());
  clock.nowMs = 1e6;
  t.false(ask(gate, 1000));
  t.false(gate.check());
  t.is(environment.reads, 0);
  t.is(clock.reads, 0);
});

test('accepts() reads the clock once in some dozen calls and the environment at most once a second', (t) => {
  const { clock, environment, gate } = setUp();
  const readsBefore = clock.reads;
  t.true(ask(gate, 10_000));
  const reads = clock.reads - readsBefore;
  t.true(reads >= 10_000 / 99 && reads <= 10_000 / 12, `${reads} clock reads in 10,000 calls`);
  t.is(environment.reads, 0);
  clock.nowMs = 999;
  ask(gate, 100);
  t.is(environment.reads, 0);
  clock.nowMs = 1000;
  ask(gate, 100);
  t.is(environment.reads, 1);
  clock.nowMs = 1999;
  ask(gate, 10_000);
  t.is(environment.reads, 1);
});

test('accepts() sees an opt-out within a second and some dozen calls', (t) => {
  const { clock, environment, gate } = setUp();
  environment.isOptedOut = true;
  clock.nowMs = 999;
  t.true(ask(gate, 100));
  clock.nowMs = 1001;
  t.false(ask(gate, 99));
});

test('check() reads the environment each time', (t) => {
  const { environment, gate } = setUp();
  t.true(gate.check());
  t.true(gate.check());
  t.is(environment.reads, 2);
  environment.isOptedOut = true;
  t.false(gate.check());
});

test('the gate is a latch: once shut it stays shut, and reads nothing', (t) => {
  const { clock, environment, gate } = setUp();
  environment.isOptedOut = true;
  t.false(gate.check());
  environment.isOptedOut = false;
  clock.nowMs = 1e9;
  t.false(gate.check());
  t.false(ask(gate, 1000));
  t.is(environment.reads, 1);
});

test('an environment that throws shuts the gate', (t) => {
  const { environment, gate } = setUp();
  environment.isBroken = true;
  t.notThrows(() => gate.check());
  t.false(gate.accepts());
});

test('whenShut() calls back in order, once, with the gate already shut', (t) => {
  const { clock, environment, gate } = setUp();
  const calls: string[] = [];
  gate.whenShut(() => {
    calls.push(`first: ${gate.accepts()}, ${gate.check()}`);
  });
  gate.whenShut(() => calls.push('second'));
  t.true(gate.check());
  t.deepEqual(calls, []);
  environment.isOptedOut = true;
  clock.nowMs = 5000;
  ask(gate, 100);
  gate.check();
  gate.check();
  t.deepEqual(calls, ['first: false, false', 'second']);
});

function missingFile(): never {
  throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
}

test('openGate() resolves the settings, ignores any `enabled` but false, and watches the environment', (t) => {
  const clock = new VirtualClock();
  const env: NodeJS.ProcessEnv = { ACME_TELEMETRY: '1' };
  const open = (enabled?: unknown) =>
    openGate(
      { product: 'acme', env, consent: 'opt-in', enabled: enabled as false },
      { clock, readFile: missingFile },
      new Log(undefined, clock),
    );
  const { gate, settings } = open(true);
  t.true(settings.enableTelemetry);
  t.true(gate.check());
  t.false(open(false).gate.check());
  delete env['ACME_TELEMETRY'];
  t.false(gate.check(), 'the consent was withdrawn');
});

const OWN = '/home/pat/.config/acme/telemetry.json';
const POLICY = '/etc/xdg/acme/telemetry.json';
const NO = '{"enabled": false}';
const YES = '{"enabled": true}';

/** A client on a machine whose files change while it runs. */
function rig(options: Partial<TelemetryOptions> = {}, files: Record<string, string> = {}) {
  const clock = new VirtualClock();
  const transport = new ScriptedTransport();
  const reads: string[] = [];
  const warned: string[] = [];
  const read = (path: string): string => {
    const text = files[path];
    return text ?? missingFile();
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
    { product: { name: 'acme', version: '1.0.0' }, dbt: true, transport, env, drainOnExit: false, logger, ...(options as object) },
    machine,
  );
  const publish = (): boolean =>
    telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
  /** Publishes one event and starts its attempt; with an answer the attempt ends, too. */
  const attempt = async (isAnswered = true): Promise<void> => {
    publish();
    await clock.advance(0);
    if (isAnswered) transport.open[0]?.answer({ kind: 'sent' });
    await settle();
  };
  return { telemetry, transport, clock, files, reads, warned, env, disk, publish, attempt };
}

test('files are read again at the first attempt after a minute, then at most once a minute', async (t) => {
  const { clock, reads, attempt } = rig();
  await attempt();
  await clock.advance(59_999);
  await attempt();
  t.deepEqual(reads, [], 'the rules of construction are less than a minute old');
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

test('without an attempt no file is read, and no timer runs for it', async (t) => {
  const { telemetry, clock, reads, attempt } = rig();
  telemetry.register(new EventEmitter());
  await attempt();
  await clock.advance(3_600_000);
  t.deepEqual([reads.length, clock.pendingTimers], [0, 0]);
  t.true(telemetry.enabled);
});

for (const path of [OWN, POLICY]) {
  test(`a no that appears in ${path} shuts the gate: attempts are aborted, pending events dropped, hosts unregistered`, async (t) => {
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

test('a file that stays malformed for a minute opts out, and each of both is said once', async (t) => {
  const { telemetry, clock, files, warned, publish, attempt } = rig({}, { [OWN]: YES });
  files[OWN] = '{"enabled": tru';
  await clock.advance(60_000);
  await attempt();
  t.false(telemetry.enabled);
  const half = `${OWN} cannot be used (not JSON): nothing is sent, and it counts as an opt-out if it is still so in a minute`;
  t.deepEqual(warned, [`[telemetry] config_unreadable: ${half}`]);
  t.true(publish(), 'the event waits');
  await clock.advance(59_999);
  t.like(telemetry.stats(), { pending: 1, dropped: 0 });
  await clock.advance(1);
  t.like(telemetry.stats(), { pending: 0, reasons: { opted_out: 1 } });
  t.is(warned[1], `[telemetry] config_unreadable: ${OWN} still cannot be used, which counts as an opt-out`);
});

test('a disk that hangs delays nothing, and is asked once', async (t) => {
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

test('opt-in: the yes in the config file can be withdrawn', async (t) => {
  const { telemetry, clock, files, attempt } = rig({ consent: 'opt-in' }, { [OWN]: YES });
  await clock.advance(60_000);
  await attempt();
  t.true(telemetry.enabled);
  delete files[OWN];
  await clock.advance(60_000);
  await attempt();
  t.false(telemetry.enabled);
});

test('opt-in: one of two yeses is enough', async (t) => {
  const env: NodeJS.ProcessEnv = { HOME: '/home/pat', ACME_TELEMETRY: '1' };
  const { telemetry, clock, files, attempt } = rig({ consent: 'opt-in', env }, { [OWN]: YES });
  delete files[OWN];
  await clock.advance(60_000);
  await attempt();
  t.true(telemetry.enabled, 'the variable still says yes');
  delete env['ACME_TELEMETRY'];
  t.false(telemetry.enabled);
});

test('a client that is opted out from the start reads no file again', async (t) => {
  const { telemetry, clock, reads, publish } = rig({}, { [OWN]: NO });
  t.false(telemetry.enabled);
  await clock.advance(120_000);
  t.false(publish());
  await telemetry.close();
  t.deepEqual([reads.length, clock.pendingTimers, clock.pendingDeferred], [0, 0, 0]);
});
