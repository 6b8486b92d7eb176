// A host in a process of its own: creates a client, emits 10,000 events, closes, and reports the traces.
// Arguments: the endpoint, a JSON object of further options, and a file for the report, since standard output may be a socket.
import { EventEmitter } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import { createTelemetry } from '../../src/index.js';
import type { TelemetryOptions, TelemetryStats } from '../../src/index.js';
import { watchTraces } from './traces.js';
import type { Traces } from './traces.js';

/** The report of the child. */
export interface TracesReport extends Traces {
  /** Names of the events for which a listener was ever added to the host. */
  hostListeners: string[];
  enabled: boolean;
  stats: TelemetryStats;
}

const [endpoint = '', given = '{}', file = ''] = process.argv.slice(2);
const options = JSON.parse(given) as Partial<TelemetryOptions>;
const hostListeners: string[] = [];
const host = new EventEmitter();
const task = { module: 'acme.operators.local', operatorName: 'SqlTask' };

/** Marks a moment in a trace of system calls by opening a file that does not exist. */
function mark(name: string): void {
  try {
    openSync(`/nonexistent/${name}`, 'r');
  } catch {
    // As intended.
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
