// The orchestrator with a client that takes an afternoon to write from the same four packages: an event bus, a queue, retries, a timeout for
// each request, and a deadline at the end. quick-start.ts runs it in its own process. It is a fair implementation: it ends in time, and counts
// what became of each event.
import { setTimeout } from 'node:timers/promises';
import { EventEmitter } from 'eventemitter3';
import fetch from 'node-fetch';
import PQueue from 'p-queue';
import pRetry from 'p-retry';
import type { HostEvents, Task } from 'cosmos-telemetry';
import { acme } from '../acme/product.js';
import { measure } from './measure.js';
import { Orchestrator } from './orchestrator.js';

const [, , endpoint = '', runs = '1', deadlineMs = '500'] = process.argv;

type Metrics = Record<string, string>;
const bus = new EventEmitter<{ usage: [type: string, metrics: Metrics] }>();
const queue = new PQueue({ concurrency: 6 });
const ending = new AbortController();
const counts = { published: 0, sent: 0, failed: 0, dropped: 0 };
const STANDARD: Metrics = {
  acme_version: acme.product.version,
  node_version: process.versions.node,
  platform_system: process.platform,
  platform_machine: process.arch,
  edition: acme.common.edition.value,
};

async function send(url: string): Promise<void> {
  const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(1000)]);
  const response = await fetch(url, { signal });
  await response.text();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
}

bus.on('usage', (type, metrics) => {
  counts.published += 1;
  const url = `${endpoint}/v3/${type}?${new URLSearchParams({ ...STANDARD, ...metrics }).toString()}`;
  queue
    .add(() => pRetry(() => send(url), { retries: 3, signal: ending.signal }))
    .then(
      () => (counts.sent += 1),
      () => (counts.failed += 1),
    );
});

const isOwn = (task: Task) => task.module?.startsWith('acme.') === true;

const host = new Orchestrator();
host.on('task_instance.success', ({ taskInstance: { task, attempt, duration } }: HostEvents['task_instance.success']) => {
  if (!isOwn(task)) return;
  const facts = { operator_name: task.operatorName ?? '', attempt: `${attempt}`, duration: `${duration}` };
  bus.emit('usage', 'task_instance', { status: 'success', ...facts, is_mapped_task: 'False', has_callback: 'False' });
});
host.on('dag_run.success', ({ dagRun: { dag, duration } }: HostEvents['dag_run.success']) => {
  const numbers = { task_count: `${dag.tasks.length}`, acme_task_count: `${dag.tasks.filter(isOwn).length}` };
  bus.emit('usage', 'dag_run', { status: 'success', ...numbers, duration: `${duration}` });
});

await measure(host, Number(runs), async () => {
  await Promise.race([queue.onIdle(), setTimeout(Number(deadlineMs))]);
  counts.dropped = queue.size;
  queue.clear();
  ending.abort();
  await queue.onIdle();
  return { account: { ...counts, pending: queue.size + queue.pending } };
});
