// A host of three parts: the first, and two worker threads, cluster workers or forks. Each publishes its own number of events, ends
// without a call of close(), and prints its report at exit as a line of JSON.
// Arguments: endpoint, kind of part (`thread`, `cluster` or `fork`), and, for a part, its number of events.
import { fork } from 'node:child_process';
import cluster from 'node:cluster';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import { createTelemetry } from '../../src/index.js';
import type { TelemetryStats } from '../../src/index.js';

/** What a part prints at exit. */
export interface PartReport {
  part: 'first' | 'thread' | 'cluster' | 'fork';
  stats: TelemetryStats;
  /** Number of listeners for events that a library must not handle: before, and while events wait. */
  listeners: readonly [number, number];
  /** Number of exit hooks: before, while events wait, at the exit. */
  beforeExit: readonly [number, number, number];
  /** Time from the end of the script to the exit. */
  lingeredMs: number;
}

const UNTOUCHED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException', 'unhandledRejection', 'exit'] as const;

/** Number of events of the first part. The others publish one and two more. */
const FIRST_EVENTS = 3;

const [endpoint = '', kind = '', events] = process.argv.slice(2);
const file = fileURLToPath(import.meta.url);
const isFirst = events === undefined;

const untouched = (): number => UNTOUCHED.reduce((sum, name) => sum + process.listenerCount(name), 0);
const hooks = (): number => process.listenerCount('beforeExit');

function startPart(own: number): unknown {
  const argv = [endpoint, kind, String(own)];
  if (kind === 'thread') return new Worker(file, { argv });
  if (kind === 'fork') return fork(file, argv);
  cluster.setupPrimary({ exec: file, args: argv });
  return cluster.fork();
}

if (isFirst) for (const more of [1, 2]) startPart(FIRST_EVENTS + more);
const before = [untouched(), hooks()] as const;
// The exit hook of each part delivers its events. The deadline is for a machine under load.
const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, endpoint, env: {}, exitDeadlineMs: 10_000 });
for (let event = 0; event < Number(events ?? FIRST_EVENTS); event += 1) {
  telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
}
const waiting = [untouched(), hooks()] as const;
const endedAtMs = performance.now();
process.on('exit', () => {
  const said: PartReport = {
    part: isFirst ? 'first' : (kind as 'thread'),
    stats: telemetry.stats(),
    listeners: [before[0], waiting[0]],
    beforeExit: [before[1], waiting[1], hooks()],
    lingeredMs: performance.now() - endedAtMs,
  };
  writeSync(1, `${JSON.stringify({ ...said, isMainThread })}\n`);
});
// The channel to the parent would hold a cluster worker.
cluster.worker?.disconnect();
