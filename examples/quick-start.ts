// The demonstration behind `npm start`, in three acts: what leaves the machine, what happens if the endpoint does not answer, and what an
// opt-out leaves behind. It uses only loopback: the collector runs in this process. Every figure is measured. If an expectation fails, the
// exit code is 1.
import { fork } from 'node:child_process';
import { createTelemetry, explainSettings, resolveSettings, storeTelemetryMetadata } from 'cosmos-telemetry';
import type { TelemetryStats } from 'cosmos-telemetry';
import { startCollector } from 'cosmos-telemetry/testing';
import { hookTimes, jaffleShop, Orchestrator, PROJECT_METADATA } from './quick-start/jaffle-shop.js';
import type { Progress } from './quick-start/jaffle-shop.js';
import { dim, heading, number, print, table, wrapped } from './quick-start/print.js';
import { countTraces } from './quick-start/traces.js';

/** Act 2: runs of the DAG, and requests that are answered before the silence. */
const RUNS = 400;
const ANSWERS = 1000;

/** Act 2: the deadline of close(), and how long any client may take to end. */
const CLOSE_MS = 500;
const PATIENCE_MS = 5000;

/** Every event starts with these fields; the demonstration leaves them out. */
const STANDARD = ['cosmos_version', 'airflow_version', 'python_version', 'node_version', 'platform_system', 'platform_machine'];

const failures: string[] = [];
function expect(holds: boolean, what: string): void {
  if (!holds) failures.push(what);
}

function observe(endpoint: string, env: NodeJS.ProcessEnv) {
  const host = { name: 'airflow', version: '2.10.1', pythonVersion: '3.11.7' };
  // Longer than the defaults, for busy machines.
  const patience = { connectTimeoutMs: 5000, attemptTimeoutMs: 5000 };
  return createTelemetry({ product: { name: 'cosmos', version: '1.12.0' }, host, endpoint, env, ...patience });
}

function sum(stats: TelemetryStats): string {
  const { published, sent, failed, dropped, pending } = stats;
  expect(published === sent + failed + dropped + pending, 'published = sent + failed + dropped + pending');
  const [a, b, c, d, e] = [published, sent, failed, dropped, pending].map((events) => number(events));
  return `published ${a} = sent ${b} + failed ${c} + dropped ${d} + pending ${e}`;
}

async function whatLeaves(): Promise<void> {
  heading('1  What leaves the machine');
  const collector = await startCollector();
  const env = {};
  const telemetry = observe(collector.url, env);
  const host = new Orchestrator();
  telemetry.register(host);
  const dag = jaffleShop();
  storeTelemetryMetadata(dag, PROJECT_METADATA, { env });

  await host.run('jaffle_shop', dag, 1);
  const report = await telemetry.close({ deadlineMs: 5000 });
  await collector.close();

  const requests = collector.requests.map(({ url, eventType, query }) => ({ url, eventType, fields: new Map(query) }));
  const tasks = requests.filter(({ eventType }) => eventType === 'task_instance');
  const dagRun = requests.find(({ eventType }) => eventType === 'dag_run');
  print(`jaffle_shop ran ${dag.tasks.length} tasks. One of them is not a dbt task: nothing was sent about it.`);
  print();
  const columns = ['status', 'operator_name', 'execution_mode', 'dbt_command', 'has_callback', 'duration'];
  table([['event', ...columns], ...tasks.map(({ fields }) => ['task_instance', ...columns.map((name) => fields.get(name) ?? '')])]);
  print();
  print(dim('dag_run, with the metadata that was packed in a DAG param:'));
  const own = [...(dagRun?.fields ?? [])].filter(([name]) => !STANDARD.includes(name));
  wrapped(own.map(([name, value]) => `${name}=${value}  `));
  print();
  print(dim('one task_instance on the wire (a single line, broken here to be readable):'));
  wrapped(`GET ${tasks.at(-1)?.url ?? ''} HTTP/1.1`.split(/(?<=[?&])/));
  print();
  print(`close() after ${number(report.durationMs)} ms: ${sum(report)}`);

  expect(tasks.length === 9, `nine task_instance events, not ${tasks.length}`);
  expect(requests.length === 10 && dagRun !== undefined, 'one dag_run event');
  expect(dagRun?.fields.get('total_dbt_models') === '5', 'unpacked metadata in the dag_run event');
  expect(report.sent === 10 && report.published === 10, 'ten events published and sent');
}

async function silence(): Promise<void> {
  heading('2  The network goes silent in the middle of a run');
  const ours = await againstSilence('with-telemetry', String(CLOSE_MS));
  const naive = await againstSilence('naive-composition');
  const { report } = ours;

  print(`The collector answers ${number(ANSWERS)} requests; after that it accepts requests and does not answer. The`);
  print(`orchestrator runs jaffle_shop ${number(RUNS)} times with each of two clients, each in its own process.`);
  print();
  table([
    ['', 'cosmos-telemetry', 'the same four packages, composed by hand'],
    ['events', number(ours.events), number(naive.events)],
    ['slowest hook', microseconds(ours.hooks.slowestUs), microseconds(naive.hooks.slowestUs)],
    ['99 of 100 hooks under', microseconds(ours.hooks.p99Us), microseconds(naive.hooks.p99Us)],
    ['median hook', microseconds(ours.hooks.medianUs), microseconds(naive.hooks.medianUs)],
    ['asked to end by', `close({ deadlineMs: ${CLOSE_MS} })`, 'await queue.onIdle()'],
    [
      'which took',
      `${number(report?.durationMs ?? Number.NaN)} ms`,
      naive.ending === 'killed' ? `more than ${number(PATIENCE_MS)} ms` : '',
    ],
    ['process', `${ours.ending} after ${number(ours.endedAfterMs)} ms`, `${naive.ending} after ${number(naive.endedAfterMs)} ms`],
    ['events accounted for', `${number(ours.settled)} of ${number(ours.events)}`, `${number(naive.settled)} of ${number(naive.events)}`],
  ]);
  print();
  if (report === undefined) {
    failures.push('a report of close()');
    return;
  }
  print(sum(report));
  print(
    `with a reason for each loss: ${Object.entries(report.reasons)
      .map(([why, events]) => `${why} ${number(events)}`)
      .join(', ')}`,
  );
  print(dim('The slowest hook includes pauses of the garbage collector and of the machine.'));

  expect(report.published === RUNS * 10 && naive.events === report.published, `${RUNS * 10} events published by both`);
  expect(report.pending === 0, 'nothing pending after close()');
  expect(report.sent <= ours.answered, 'no event counted as sent without an answer');
  expect(ours.ending === 'ended', 'a process that ends by itself');
}

interface Ending extends Progress {
  ending: string;
  /** Milliseconds from the last publish to the exit. */
  endedAfterMs: number;
  /** Requests that the collector answered. */
  answered: number;
}

/** Runs a program of quick-start/ against a collector that goes silent, and kills it after PATIENCE_MS. */
async function againstSilence(program: string, ...options: string[]): Promise<Ending> {
  const collector = await startCollector({ faults: (_request, index) => ({ kind: index < ANSWERS ? 'ok' : 'hang' }) });
  const child = fork(new URL(`quick-start/${program}.js`, import.meta.url), [collector.url, String(RUNS), ...options]);
  let progress: Progress = { hooks: hookTimes([]), events: 0, settled: 0 };
  let askedAtMs = Number.NaN;
  let patience: NodeJS.Timeout | undefined;
  child.on('message', (message) => {
    progress = message as Progress;
    if (patience !== undefined) return;
    askedAtMs = performance.now();
    patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once('exit', (...how) => resolve(how));
  });
  const endedAfterMs = performance.now() - askedAtMs;
  clearTimeout(patience);
  await collector.close();
  const ending = signal === null ? (code === 0 ? 'ended' : `ended with exit code ${code}`) : 'killed';
  return { ...progress, ending, endedAfterMs, answered: collector.answered2xx };
}

async function optedOut(): Promise<void> {
  heading('3  The same under DO_NOT_TRACK=1');
  const collector = await startCollector();
  const env = { ...process.env, DO_NOT_TRACK: '1' };
  const host = new Orchestrator();
  const dag = jaffleShop();
  let isStored = true;
  let report: TelemetryStats | undefined;
  const traces = await countTraces(async () => {
    const telemetry = observe(collector.url, env);
    telemetry.register(host);
    isStored = storeTelemetryMetadata(dag, PROJECT_METADATA, { env });
    for (let run = 0; run < RUNS; run += 1) await host.run('jaffle_shop', dag, 0);
    report = await telemetry.close();
  });
  await collector.close();

  const {
    enabled,
    rules: [rule],
  } = explainSettings(resolveSettings({ product: 'cosmos', env }));
  const { connections, requests } = collector;
  const { sockets, lookups, files, timers } = traces;
  const listeners = host.eventNames().length;
  print(
    `telemetry is ${enabled ? 'on' : 'off'}, decided by ${rule?.name}=${rule?.value}. What ${number(host.hookUs.length)} host events left:`,
  );
  print(
    `sockets ${sockets}, look-ups ${lookups}, files ${files}, timers ${timers}, connections ${connections}, requests ${requests.length}`,
  );
  print(`listeners on the host ${listeners}, metadata stored: ${isStored}`);
  if (report !== undefined) print(sum(report));

  expect(sockets + lookups + files + timers === 0, 'no socket, look-up, file or timer under an opt-out');
  expect(connections === 0 && requests.length === 0, 'no connection and no request under an opt-out');
  expect(listeners === 0 && !isStored, 'no trace on the host under an opt-out');
  expect(report?.published === 0, 'nothing counted under an opt-out');
}

function microseconds(us: number): string {
  return `${number(us, us < 10 ? 1 : 0)} µs`;
}

print(`cosmos-telemetry on Node ${process.versions.node}. Everything stays on 127.0.0.1, so acts 1 and 2 ignore your`);
print('opt-outs; act 3 shows what an opt-out does.');
await whatLeaves();
await silence();
await optedOut();
for (const what of failures) process.stderr.write(`Expected ${what}.\n`);
if (failures.length > 0) process.exitCode = 1;
