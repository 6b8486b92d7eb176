// A host process: constructs a client, emits 10,000 events, ends, and writes down the traces of that.
// Arguments: the endpoint, further options as JSON, a file for the report. (Standard output may be a socket, which is a trace.)
import { EventEmitter } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import { createTelemetry } from '../../src/index.js';
import type { TelemetryOptions, TelemetryStats } from '../../src/index.js';
import { watchTraces } from './traces.js';
import type { Traces } from './traces.js';

/** The report of the child. */
export interface TracesReport extends Traces {
  /** Names of host events that had a listener at any time. */
  hostListeners: string[];
  enabled: boolean;
  stats: TelemetryStats;
}

const [endpoint = '', given = '{}', file = ''] = process.argv.slice(2);
const options = JSON.parse(given) as Partial<TelemetryOptions>;
const hostListeners: string[] = [];
const host = new EventEmitter();
const task = { module: 'acme.operators.local', operatorName: 'SqlTask' };

/** Marks a point in a trace of system calls by a file that does not exist. */
function mark(name: string): void {
  try {
    openSync(`/nonexistent/${name}`, 'r');
  } catch {
    // The file does not exist.
  }
}

mark('window-begins');
const watch = watchTraces();
host.on('newListener', (name) => hostListeners.push(String(name)));
const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, endpoint, ...(options as object) });
telemetry.register(host);
for (let run = 0; run < 5000; run += 1) {
  host.emit('task_instance.success', { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task } });
  host.emit('dag_run.failed', { dagRun: { dagId: 'd', dag: { tasks: [task] } } });
}
const { enabled } = telemetry;
await telemetry.drain({ deadlineMs: 5000 });
const stats = await telemetry.close({ deadlineMs: 5000 });
const traces = watch.stop();
mark('window-ends');

const report: TracesReport = { ...traces, hostListeners, enabled, stats };
writeFileSync(file, JSON.stringify(report));
