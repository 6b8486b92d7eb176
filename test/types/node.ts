/*
 * A user's program for Node: it compiles with `@types/node`, whose types go into the package. `scripts/check-types.mjs` compiles it.
 */
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { URL as NodeUrl } from 'node:url';
import { configFilePath, createTelemetry, resolveSettings } from 'cosmos-telemetry';
import type { Clock, Environment, HostReport, Platform, Telemetry, Transport, TypedHost } from 'cosmos-telemetry';
import { createTelemetryCli } from 'cosmos-telemetry/cli';
import { createRelay } from 'cosmos-telemetry/relay';
import { startCollector } from 'cosmos-telemetry/testing';

const env: Environment = process.env;
const platform: NodeJS.Platform = 'linux' satisfies Platform;
const clock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  defer: (callback) => void setImmediate(callback),
};

/** The signal goes into Node's own functions. */
const transport: Transport = {
  async send(_events, signal) {
    await sleep(clock.now(), undefined, { signal });
    EventEmitter.setMaxListeners(20, signal);
    return { kind: 'sent' };
  },
};

class Orchestrator extends EventEmitter {}

interface QueueEvents {
  completed: [job: { id: string }, seconds: number];
  drained: [];
}

class Queue extends EventEmitter<QueueEvents> {}

const done = (taskId: string, duration: number): HostReport => ({
  event: 'task_instance.success',
  payload: { taskInstance: { dagId: 'nightly', taskId, mapIndex: -1, duration, task: { owned: true } } },
});

/** What the compiler infers of emitters of node:events. */
export function maps(telemetry: Telemetry, emitter: EventEmitter<QueueEvents>, queue: Queue): void {
  telemetry.register(emitter, { map: { completed: (job, seconds) => done(job.id, seconds), drained: async () => undefined } });
  telemetry.register(new EventEmitter(), { map: { completed: (job, seconds) => done(job.id, seconds) } });
  telemetry.register(new Orchestrator(), { map: { completed: (job: { id: string }) => done(job.id, 1) } });
  // @ts-expect-error a number has no such property
  telemetry.register(emitter, { map: { completed: (job, seconds) => done(job.id, seconds.length) } });
  // @ts-expect-error a string is no number
  telemetry.register(emitter, { map: { completed: (job: { id: string }, _seconds: string) => done(job.id, 1) } });
  // @ts-expect-error it never emits that
  telemetry.register(emitter, { map: { drained: () => null, complete: () => null } });
  // Of a class that extends an emitter only the names are known.
  telemetry.register(queue, { map: { completed: (job: { id: string }, seconds: number) => done(job.id, seconds) } });
  const known: EventEmitter<QueueEvents> = queue;
  telemetry.register(known, { map: { completed: (job, seconds) => done(job.id, seconds) } });
  // @ts-expect-error so an argument needs its type
  telemetry.register(queue, { map: { completed: (job) => done(job.id, 1) } });
  // @ts-expect-error and a name is checked
  telemetry.register(queue, { map: { complete: () => null } });
}

export async function use(): Promise<number> {
  await using telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: process.env, logger: console });
  telemetry.register(new EventEmitter());
  telemetry.register(new Orchestrator());
  telemetry.register(new EventEmitter<{ 'dag_run.success': [payload: object] }>());
  const typed = new EventEmitter<TypedHost & { started: [id: string] }>();
  typed.emit('dag_run.failed', { dagRun: { dagId: 'nightly', dag: { tasks: [] } } });
  telemetry.register(typed);
  const queue = new EventEmitter<{ done: [id: string] }>();
  telemetry.register(queue, { map: { done: (id: string) => (id === '' ? null : undefined) } });
  // @ts-expect-error it emits none of our events
  telemetry.register(queue);
  await telemetry.consent.ask({ input: process.stdin, output: process.stdout, question: 'May acme report how it is used?' });
  resolveSettings({ product: 'acme', env: { ...process.env, HOME: '/home/alice' } });
  configFilePath('acme', env, platform);
  configFilePath('acme', process.env, process.platform);
  // @ts-expect-error no such platform: with @types/node the names are known
  configFilePath('acme', process.env, 'windows');
  const endpoint = new NodeUrl('https://telemetry.acme.example/');
  return createTelemetryCli({ product: { name: 'acme' }, endpoint }).run(process.argv, { ...process, env: process.env });
}

export async function relay(): Promise<void> {
  await using running = createRelay({ forward: new NodeUrl('https://telemetry.acme.example/'), env: process.env });
  await using collector = await startCollector();
  const listener: RequestListener = running.handler;
  createServer(running.handler).on('request', listener);
  createServer((request, response) => running.handler(request, response)).listen(collector.port);
  // @ts-expect-error the relay speaks HTTP/1.1
  createHttp2Server(running.handler);
}
