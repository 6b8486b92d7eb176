// The orchestrator with a client that takes an afternoon to write from the same four packages: an event bus, a queue, retries, fetch with a
// timeout. quick-start.ts runs it in its own process. It is a fair implementation.
import { EventEmitter } from 'eventemitter3';
import fetch from 'node-fetch';
import PQueue from 'p-queue';
import pRetry from 'p-retry';
import type { HostEvents, Task } from 'cosmos-telemetry';
import { hookTimes, jaffleShop, Orchestrator, tell } from './jaffle-shop.js';

const [, , endpoint = '', runs = '1'] = process.argv;

type Metrics = Record<string, string>;
const bus = new EventEmitter<{ usage: [type: string, metrics: Metrics] }>();
const queue = new PQueue({ concurrency: 6 });
let events = 0;
let settled = 0;
const settle = () => {
  settled += 1;
};

bus.on('usage', (type, metrics) => {
  events += 1;
  const url = `${endpoint}/v3/${type}?${new URLSearchParams(metrics).toString()}`;
  const send = async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
  };
  queue.add(() => pRetry(send, { retries: 3 })).then(settle, settle);
});

const host = new Orchestrator();
host.on('task_instance.success', ({ taskInstance: { task, duration } }: HostEvents['task_instance.success']) => {
  if (!isOwn(task)) return;
  const { operatorName = '', invocationMode, baseCmd } = task;
  const dbtCommand = Array.isArray(baseCmd) ? baseCmd.join(' ') : '';
  const facts = { operator_name: operatorName, invocation_mode: `${invocationMode}`, dbt_command: dbtCommand };
  bus.emit('usage', 'task_instance', { status: 'success', ...facts, duration: `${duration}` });
});
host.on('dag_run.success', ({ dagRun: { dag } }: HostEvents['dag_run.success']) => {
  const counts = { task_count: `${dag.tasks.length}`, cosmos_task_count: `${dag.tasks.filter(isOwn).length}` };
  bus.emit('usage', 'dag_run', { status: 'success', ...counts });
});

function isOwn(task: Task): boolean {
  return task.module?.startsWith('cosmos.') === true || task.isDbtOperator === true;
}

const dag = jaffleShop();
for (let run = 0; run < Number(runs); run += 1) await host.run('jaffle_shop', dag, 0);

const hooks = hookTimes(host.hookUs);
tell({ hooks, events, settled });
// Reports progress until the process is killed. The timer does not keep the process alive.
setInterval(() => tell({ hooks, events, settled }), 250).unref();
await queue.onIdle();
tell({ hooks, events, settled });
