// BullMQ on a real Redis: a flow of a parent and three children, of which one succeeds, one succeeds in its second attempt, and one fails.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlowProducer } from 'bullmq';
import { startCollector } from './collector.mjs';

const LIMIT_MS = 10_000;

if (spawnSync('redis-server', ['--version']).status !== 0) {
  console.log('left out: redis-server is not installed');
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'redis-'));
const path = join(folder, 'socket');
const settings = ['--port', '0', '--unixsocket', path, '--save', '', '--appendonly', 'no', '--dir', folder];
const redis = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
for (let said = ''; !/ready to accept connections/i.test(said); ) said += String((await once(redis.stdout, 'data'))[0]);
redis.stdout.resume();
const connection = { path, maxRetriesPerRequest: null };

const { requests, endpoint, close } = await startCollector();

const failures = [];
/** Starts a program, and waits until its workers listen. @returns Ends it; resolves with its report */
async function start(prefix) {
  const job = { path, prefix, endpoint };
  const child = spawn(process.execPath, [join(import.meta.dirname, 'bullmq-program.mjs'), JSON.stringify(job)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let said = '';
  child.stdout.on('data', (chunk) => (said += chunk));
  while (!said.includes('ready\n')) await once(child.stdout, 'data');
  return async () => {
    child.stdin.end();
    await ended;
    return JSON.parse(said.split('\n')[1]);
  };
}

/** Runs one flow. @returns what arrived: `dag_run failed 3` and the like */
async function flow(prefix, child, { parent = {}, processes = 1, ends }) {
  requests.length = 0;
  const programs = await Promise.all(Array.from({ length: processes }, () => start(prefix)));
  const producer = new FlowProducer({ connection, prefix });
  const children = ['Ok', 'Retries', 'Fails'].map((name) => ({
    name,
    queueName: 'tasks',
    data: {},
    opts: { ...child, ...(name === 'Retries' && { attempts: 2 }) },
  }));
  await producer.add({ name: 'run', queueName: 'runs', data: {}, opts: parent, children });
  const untilMs = Date.now() + LIMIT_MS;
  while (requests.length < ends && Date.now() < untilMs) await sleep(20);
  // One more would be one too many.
  await sleep(200);
  const reports = await Promise.all(programs.map((end) => end()));
  await producer.close();
  for (const { published, sent, failed, dropped } of reports) {
    if (published !== sent || failed + dropped > 0) failures.push(`${prefix}: ${published} published, ${sent} sent`);
  }
  return requests.map(({ type, status, operator_name: name, task_count: count }) => [type, status, name ?? count].join(' ')).toSorted();
}

function expect(title, seen, expected) {
  const isFine = JSON.stringify(seen) === JSON.stringify(expected.toSorted());
  console.log(`${isFine ? 'ok    ' : 'FAILED'} ${title}: ${seen.join(', ')}`);
  if (!isFine) failures.push(`${title}: expected ${expected.join(', ')}`);
}

const TASKS = ['task_instance failed Fails', 'task_instance failed Retries', 'task_instance success Ok', 'task_instance success Retries'];
try {
  expect('default options: the parent waits for ever', await flow('default', {}, { ends: 4 }), TASKS);
  expect('failParentOnFailure', await flow('fail', { failParentOnFailure: true }, { ends: 5 }), [...TASKS, 'dag_run failed 3']);
  expect('continueParentOnFailure', await flow('continue', { continueParentOnFailure: true }, { ends: 5 }), [
    ...TASKS,
    'dag_run success 3',
  ]);
  const removed = { removeOnComplete: true, removeOnFail: true };
  expect(
    'each job is removed as it ends',
    await flow('removed', { ...removed, ignoreDependencyOnFailure: true }, { parent: removed, ends: 5 }),
    [...TASKS, 'dag_run success 3'],
  );
  const counted = { removeOnComplete: { count: 1 }, removeOnFail: { count: 1 }, ignoreDependencyOnFailure: true };
  expect('one job of each kind is kept', await flow('counted', counted, { parent: { removeOnComplete: { count: 0 } }, ends: 5 }), [
    ...TASKS,
    'dag_run success 3',
  ]);
  expect('a failed child that is removed releases its parent, uncounted', await flow('released', removed, { ends: 5 }), [
    ...TASKS,
    'dag_run success 2',
  ]);
  expect('three processes: each end is reported once', await flow('three', { failParentOnFailure: true }, { processes: 3, ends: 5 }), [
    ...TASKS,
    'dag_run failed 3',
  ]);
} finally {
  close();
  redis.kill();
  rmSync(folder, { recursive: true, force: true });
}
for (const failure of failures) console.log(`FAILED: ${failure}`);
process.exit(failures.length === 0 ? 0 : 1);
