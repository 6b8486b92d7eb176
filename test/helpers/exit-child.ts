// A host process: publishes events, ends as its settings say, and prints at exit how long that took.
// Argument: ChildSettings as JSON.
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { thisMachine } from '../../src/base/machine.js';
import { systemClock } from '../../src/base/clock.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { NameLookup } from '../../src/delivery/http/name-lookup.js';
import { startLimit } from '../../src/delivery/pacing.js';
import { underWay } from '../../src/delivery/under-way.js';
import type { TelemetryOptions, TelemetryStats } from '../../src/index.js';
import { nameMachine } from './dns-server.js';
import { starvedMs } from './starved.js';

/** The task of the child. */
export interface ChildSettings {
  events: number;
  end: 'return' | 'close' | 'drain' | 'closeBeforeExit';
  /** Publish one event in each `beforeExit`, too. */
  publishBeforeExit?: boolean;
  deadlineMs?: number;
  options: Partial<TelemetryOptions>;
  /** The name server. @default that of the machine */
  nameServer?: string;
  /** How long the host continues after the last event, in milliseconds. */
  liveOnMs?: number;
}

/** What the child prints at exit. */
export interface ChildReport {
  /** Time from the end of the script to the exit, without the time in which other processes had the processor. */
  afterEndMs: number;
  starvedMs: number;
  stats: TelemetryStats;
  /** Number of listeners of the process for events that a library must not handle, before and after. */
  listeners: [before: number[], after: number[]];
  beforeExitListeners: { whileWaiting: number; atExit: number };
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException', 'unhandledRejection', 'exit'] as const;

const settings = JSON.parse(process.argv[2] ?? '{}') as ChildSettings;
const count = () => SIGNALS.map((name) => process.listenerCount(name));
const before = count();
const { nameServer } = settings;
const names = { clock: systemClock, startLimit, underWay, timeoutMs: 10_000, machine: nameMachine(), servers: [nameServer ?? ''] };
const telemetry = createTelemetryWith(
  { product: { name: 'acme', version: '1.0.0' }, dbt: true, env: {}, ...(settings.options as { endpoint: string }) },
  nameServer === undefined ? thisMachine : { ...thisMachine, lookup: new NameLookup(names).lookup },
);
const publish = (): boolean =>
  telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
for (let event = 0; event < settings.events; event += 1) publish();
if (settings.publishBeforeExit === true) process.on('beforeExit', publish);
const whileWaiting = process.listenerCount('beforeExit');
const after = count();
if (settings.liveOnMs !== undefined) await new Promise((resolve) => setTimeout(resolve, settings.liveOnMs));
if (settings.end === 'closeBeforeExit') {
  process.once('beforeExit', () => void telemetry.close({ deadlineMs: settings.deadlineMs }));
} else if (settings.end !== 'return')
  await telemetry[settings.end]({ ...(settings.deadlineMs !== undefined && { deadlineMs: settings.deadlineMs }) });
const starvedBeforeMs = starvedMs();
const endedAt = performance.now();

process.on('exit', () => {
  const starved = starvedMs() - starvedBeforeMs;
  const report: ChildReport = {
    afterEndMs: performance.now() - endedAt - starved,
    starvedMs: starved,
    stats: telemetry.stats(),
    listeners: [before, after],
    beforeExitListeners: { whileWaiting, atExit: process.listenerCount('beforeExit') - (settings.publishBeforeExit === true ? 1 : 0) },
  };
  if (isMainThread) writeSync(1, JSON.stringify(report));
});
