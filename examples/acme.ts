// A product with its own name: Acme, a job runner that is not related to Cosmos. The fields carry its name, its events go to its own
// endpoint, its users have their own switch (ACME_TELEMETRY), and its host emits its own payloads.
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

// What Acme's scheduler emits anyway, for its own purposes.
interface Job {
  readonly name: string;
  readonly flow: string;
  readonly operator: { readonly module: string; readonly name: string };
  readonly attempt: number;
}
interface Flow {
  readonly name: string;
  readonly jobs: readonly Job[];
  readonly broken: readonly Job[];
}
const scheduler = new EventEmitter<{ 'job:done': [job: Job, seconds: number]; 'flow:broken': [flow: Flow, seconds: number] }>();

// The map says what of it is reported. Types follow from the scheduler: a misspelt event, argument or key does not compile.
const taskOf = ({ operator: { module, name } }: Job) => ({ module, operatorName: name });
telemetry.register(scheduler, {
  map: {
    'job:done': (job, duration) => {
      const { flow: dagId, name: taskId, attempt } = job;
      return {
        event: 'task_instance.success',
        payload: { taskInstance: { dagId, taskId, mapIndex: -1, attempt, duration, task: taskOf(job) } },
      };
    },
    'flow:broken': ({ name: dagId, jobs, broken }, duration) => ({
      event: 'dag_run.failed',
      payload: { dagRun: { dagId, failedCount: broken.length, duration, dag: { tasks: jobs.map(taskOf) } } },
    }),
  },
});

// Acme at work. The names of flows and jobs stay on the machine.
const extract: Job = { name: 'extract', flow: 'nightly', operator: { module: 'acme.operators.spark', name: 'SparkJob' }, attempt: 1 };
const notify: Job = { name: 'notify', flow: 'nightly', operator: { module: 'chat.operators.post', name: 'PostMessage' }, attempt: 2 };
scheduler.emit('job:done', extract, 7);
scheduler.emit('job:done', notify, 1); // Not Acme's operator: not reported.
scheduler.emit('flow:broken', { name: 'nightly', jobs: [extract, notify], broken: [notify] }, 93.5);

// Typed: a missing or misspelt field, or a value of another type, does not compile.
telemetry.publish('backfill', { outcome: 'completed', days: 31, elapsed: 84.2 });

await telemetry.drain({ deadlineMs: 5000 });
const { published, sent } = await telemetry.close();
for (const { url } of collector.requests) console.log(url);
console.log(`published ${published}, sent ${sent}`);

// The switch of Acme's users. DO_NOT_TRACK and SCARF_NO_ANALYTICS apply to every product.
for (const value of ['off', 'on']) console.log(`ACME_TELEMETRY=${value}: ${acmeTelemetry({ ACME_TELEMETRY: value }).enabled}`);
await collector.close();
