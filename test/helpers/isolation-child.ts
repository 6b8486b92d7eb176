// A host of several parts: the one that is run, and two more in worker threads, cluster workers or forks of it. Each publishes
// a number of events of its own and ends without a word to its telemetry; each says at its exit what it knows, one line of JSON.
// Arguments: endpoint, kind of part (`thread`, `cluster` or `fork`), and for the parts their own number of events.
import { fork } from 'node:child_process';
import cluster from 'node:cluster';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import { createTelemetry } from '../../src/index.js';
import type { TelemetryStats } from '../../src/index.js';

/** What each part says of itself. */
export interface PartReport {
  part: 'first' | 'thread' | 'cluster' | 'fork';
  stats: TelemetryStats;
  /** Listeners of what a library must not touch: before, and while events wait. */
  listeners: readonly [number, number];
  /** Exit hooks: before, while events wait, at the exit. */
  beforeExit: readonly [number, number, number];
  /** From the last thing the part did to its exit. */
  lingeredMs: number;
}

const UNTOUCHED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException', 'unhandledRejection', 'exit'] as const;

/** The number of events of the first part; those of the others follow it. */
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
// Its own exit hook is what lets each part deliver; the time is that of a machine under load.
const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, endpoint, env: {}, exitDeadlineMs: 10_000 });
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
// A channel to the parent holds a cluster worker: it is done, and says so.
cluster.worker?.disconnect();
