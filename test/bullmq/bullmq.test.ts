import { EventEmitter } from 'node:events';
import test from 'ava';
import { bullmqMap } from '../../src/bullmq/index.js';
import type { BullmqJob, BullmqMapOptions } from '../../src/bullmq/index.js';
import { createTelemetry } from '../../src/index.js';
import { recordingTransport } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { settle } from '../helpers/virtual-clock.js';

/** A job that has ended, as its worker has it. */
function jobOf(more: Partial<BullmqJob> & { children?: Record<string, number>; name?: string } = {}) {
  const { children, ...own } = more;
  const asked = { times: 0 };
  const job = {
    id: '7',
    queueName: 'tasks',
    attemptsMade: 1,
    processedOn: 1000,
    finishedOn: 3000,
    getDependenciesCount: () => {
      asked.times += 1;
      return Promise.resolve(children ?? { processed: 0, unprocessed: 0, ignored: 0, failed: 0 });
    },
    ...own,
  };
  return { job, asked };
}

/** A worker, and what has been delivered of its events. */
function arrange(options?: BullmqMapOptions) {
  const worker = new EventEmitter();
  const transport = recordingTransport();
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, transport, env: {}, drainOnExit: false });
  telemetry.register(worker, { map: bullmqMap(options) });
  const delivered = async (): Promise<unknown[]> => {
    await settle();
    await telemetry.drain();
    return transport.events.map(({ type, metrics }) => [type, metrics['status'], metrics['task_count'] ?? metrics['duration']]);
  };
  return { worker, telemetry, delivered };
}

test(proves('host-bullmq', 'a job with children is a run, and every other job a task: each attempt once'), async (t) => {
  const { worker, delivered } = arrange();
  const parent = jobOf({ queueName: 'runs', children: { processed: 2, ignored: 1, failed: 0, unprocessed: 0 } });
  const { finishedOn: _finishedOn, ...again } = jobOf({ id: '8', parentKey: 'bull:runs:7' }).job;
  worker.emit('active', parent.job);
  worker.emit('completed', parent.job, 'result', 'active');
  worker.emit('completed', jobOf({ id: '1', parentKey: 'bull:runs:7' }).job);
  worker.emit('failed', again, new Error('once'), 'active');
  worker.emit('completed', jobOf({ id: '8', parentKey: 'bull:runs:7', attemptsMade: 2 }).job);
  worker.emit('completed', jobOf({ id: '9' }).job);
  const seen = (await delivered()) as [string, string, number][];
  t.deepEqual(seen.map(([type, status]) => `${type} ${status}`).toSorted(), [
    'dag_run success',
    'task_instance failed',
    'task_instance success',
    'task_instance success',
    'task_instance success',
  ]);
  t.is(seen.find(([type]) => type === 'dag_run')?.[2], 3);
  t.is(parent.asked.times, 1, 'asked once, as it starts');
});

test('a job that has a parent is not looked up, unless the host says so', async (t) => {
  const child = jobOf({ parentKey: 'bull:runs:7', children: { processed: 1 } });
  const first = arrange();
  first.worker.emit('active', child.job);
  first.worker.emit('completed', child.job);
  t.like(await first.delivered(), [['task_instance', 'success', 2]]);
  t.is(child.asked.times, 0);
  const second = arrange({ mayHaveChildren: () => true });
  second.worker.emit('completed', child.job);
  t.like(await second.delivered(), [['dag_run', 'success', 1]]);
});

test('a job that BullMQ has lost is not reported, and one that cannot be looked up is `invalid`', async (t) => {
  const { worker, telemetry, delivered } = arrange();
  const broken = { ...jobOf().job, getDependenciesCount: () => Promise.reject(new Error('the connection is closed')) };
  worker.emit('failed', undefined, new Error('stalled'), 'active');
  worker.emit('active', broken);
  worker.emit('completed', broken);
  t.deepEqual(await delivered(), []);
  t.like(telemetry.stats(), { pending: 0, reasons: { invalid: 1 } });
});

test('the name of an operator leaves only if the host gives one', async (t) => {
  const transport = recordingTransport();
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, transport, env: {}, drainOnExit: false });
  const worker = new EventEmitter();
  telemetry.register(worker, { map: bullmqMap<BullmqJob & { name: string }>({ operatorName: ({ name }) => name.split(' ')[0] }) });
  worker.emit('completed', { ...jobOf().job, name: 'Build of a customer' });
  await settle();
  await telemetry.drain();
  t.is(transport.events[0]?.metrics['operator_name'], 'Build');
});
