// A product with its own name: Acme, a job runner that is not related to Cosmos. The fields carry its name, its events go to its own
// endpoint, its users have their own switch (ACME_TELEMETRY), and its host uses its own event names.
import { EventEmitter } from 'node:events';
import { createTelemetry } from 'cosmos-telemetry';
import { startCollector } from 'cosmos-telemetry/testing';
import { acme } from './acme/product.js';

// In production this is your own server; examples/access-log.ts shows a minimal one.
const collector = await startCollector();

function acmeTelemetry(env: NodeJS.ProcessEnv) {
  return createTelemetry({ ...acme, endpoint: collector.url, env });
}

const telemetry = acmeTelemetry(process.env);

const host = new EventEmitter();
telemetry.register(host, {
  events: {
    'dag_run.success': 'flow:done',
    'dag_run.failed': 'flow:broken',
    'task_instance.success': 'job:done',
    'task_instance.failed': 'job:broken',
  },
});

// Acme at work. The names of flows and jobs stay on the machine.
const extract = { module: 'acme.operators.spark', operatorName: 'SparkJob' };
const notify = { module: 'chat.operators.post', operatorName: 'PostMessage' };
host.emit('job:done', { taskInstance: { dagId: 'nightly', taskId: 'extract', mapIndex: -1, attempt: 1, duration: 7, task: extract } });
host.emit('job:broken', { taskInstance: { dagId: 'nightly', taskId: 'notify', mapIndex: -1, attempt: 2, duration: 1, task: notify } });
host.emit('flow:broken', { dagRun: { dagId: 'nightly', failedCount: 1, duration: 93.5, dag: { tasks: [extract, notify] } } });

// Typed: a missing or misspelt field, or a value of another type, does not compile.
telemetry.publish('backfill', { outcome: 'completed', days: 31, elapsed: 84.2 });

await telemetry.drain({ deadlineMs: 5000 });
const { published, sent } = await telemetry.close();
for (const { url } of collector.requests) console.log(url);
console.log(`published ${published}, sent ${sent}`);

// The switch of Acme's users. DO_NOT_TRACK and SCARF_NO_ANALYTICS apply to every product.
for (const value of ['off', 'on']) console.log(`ACME_TELEMETRY=${value}: ${acmeTelemetry({ ACME_TELEMETRY: value }).enabled}`);
await collector.close();
