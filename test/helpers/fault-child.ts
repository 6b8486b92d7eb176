// A host process with a telemetry endpoint that fails: calls its hooks for a while, closes, ends, and prints at exit what that cost.
// Argument: FaultChildSettings as JSON.
import { EventEmitter, once } from 'node:events';
import { writeSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { NameLookup } from '../../src/delivery/http/name-lookup.js';
import { startLimit } from '../../src/delivery/pacing.js';
import { underWay } from '../../src/delivery/under-way.js';
import { nameMachine } from './dns-server.js';
import { thisMachine } from '../../src/base/machine.js';
import type { MachineAccess } from '../../src/base/machine.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { validPackedMetadata, validPayload } from '../../src/testing/valid-payloads.js';
import { systemClock } from '../../src/base/clock.js';
import type { DrainReport } from '../../src/client/telemetry.js';
import { DEFAULTS } from '../../src/base/constants.js';
import type { FaultChildSettings, Hook } from './fault-types.js';
import { starvedMs } from './starved.js';

/** What the child says about itself when it exits. */
export interface FaultChildReport {
  slowestHook: { name: string; cpuMs: number };
  closeMs: number;
  /** The part of `closeMs` in which other processes had the processor. */
  starvedInCloseMs: number;
  report: DrainReport;
  /** Codes of all log lines. Each outcome of the transport other than `sent` is logged. */
  codes: string[];
  /** Time from the end of close() to the exit, without the time in which other processes had the processor. */
  afterCloseMs: number;
  /** The highest resident size minus the one at the start. */
  grownMb: number;
}

const MIB = 1024 * 1024;

const startBytes = process.memoryUsage.rss();
let highestBytes = startBytes;
const look = (): void => {
  highestBytes = Math.max(highestBytes, process.memoryUsage.rss());
};
setInterval(look, 10).unref();

const settings = JSON.parse(process.argv[2] ?? '{}') as FaultChildSettings;
// The network has time for its answers in the pause between two rounds.
const { rounds = 20, pauseMs = 5, isBusy = false, turnMs = 0, startPort } = settings;
const codes = new Set<string>();
const note = (line: unknown): void => {
  codes.add(/^\[telemetry\] (\w+):/.exec(String(line))?.[1] ?? String(line));
};
const telemetry = createTelemetryWith(
  {
    product: { name: 'cosmos', version: '1.0.0' },
    endpoint: settings.endpoint,
    env: { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'true' },
    logger: { debug: note, warn: note },
    ...(settings.proxy !== undefined && { proxy: settings.proxy }),
  },
  { ...thisMachine, ...namesOf(settings.nameServers) },
);

function namesOf(servers: readonly string[] | undefined): Partial<MachineAccess> {
  if (servers === undefined) return {};
  const timeoutMs = DEFAULTS.connectTimeoutMs;
  const names = new NameLookup({ timeoutMs, startLimit, underWay, clock: systemClock, machine: nameMachine(), servers });
  return { lookup: names.lookup };
}

/** Keeps the event loop busy. */
function work(ms: number): void {
  for (const untilMs = performance.now() + ms; performance.now() < untilMs; );
}

/** Makes each turn of the event loop last. */
function workInEachTurn(): void {
  work(turnMs);
  turn = setImmediate(workInEachTurn);
}
let turn: NodeJS.Immediate | undefined;
if (turnMs > 0) {
  // Each file of an import takes a turn. The package has a spare in one file for hosts like this; what the tests compile has none.
  await Promise.all([import('p-queue'), import('../../src/delivery/http/client.js')]);
  workInEachTurn();
}

const host = new EventEmitter();
telemetry.register(host);
const docsAccess = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false } as const;
const dagRun = { status: 'success', task_count: 2, cosmos_task_count: 2, execution_modes: 'local' } as const;
const call: Record<Hook, () => unknown> = {
  publish: () => telemetry.publish('dbt_docs_access', docsAccess),
  'bus.publish': () => telemetry.bus.publish('dag_run', dagRun, validPackedMetadata()),
  'dag_run.success': emit('dag_run.success'),
  'dag_run.failed': emit('dag_run.failed'),
  'task_instance.success': emit('task_instance.success'),
  'task_instance.failed': emit('task_instance.failed'),
};

function emit(event: Exclude<Hook, 'publish' | 'bus.publish'>): () => void {
  const payload = validPayload(event, 'cosmos');
  return () => {
    host.emit(event, payload);
  };
}

if (startPort !== undefined) {
  const told = connect(startPort, '127.0.0.1');
  await once(told, 'connect');
  told.destroy();
}

let slowestHook = { name: '', cpuMs: 0 };
for (let round = 0; round < rounds; round += 1) {
  for (const name of settings.hooks) {
    const before = process.cpuUsage();
    const startedAtMs = performance.now();
    call[name]();
    const wallMs = performance.now() - startedAtMs;
    const { user, system } = process.cpuUsage(before);
    // Both are upper limits of the CPU time of this thread: CPU time has that of other threads, wall time that of other processes.
    // The first call counts like any other.
    const cpuMs = Math.min(wallMs, (user + system) / 1000);
    if (cpuMs > slowestHook.cpuMs) slowestHook = { name, cpuMs };
  }
  if (isBusy) work(pauseMs);
  await sleep(isBusy ? 0 : pauseMs);
}

const starvedBeforeMs = starvedMs();
const closeAtMs = performance.now();
const report = await telemetry.close({ deadlineMs: 1500 });
const closedAtMs = performance.now();
clearImmediate(turn);
const starvedInCloseMs = starvedMs() - starvedBeforeMs;

process.on('exit', () => {
  look();
  const said: FaultChildReport = {
    slowestHook,
    closeMs: closedAtMs - closeAtMs,
    starvedInCloseMs,
    report,
    codes: [...codes],
    afterCloseMs: performance.now() - closedAtMs - (starvedMs() - starvedBeforeMs - starvedInCloseMs),
    grownMb: (highestBytes - startBytes) / MIB,
  };
  writeSync(1, JSON.stringify(said));
});
