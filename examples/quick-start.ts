// The demonstration behind `npm start`, in three acts: what an opt-out leaves behind, what leaves the machine otherwise, and what the host
// feels of a dead network. It uses only loopback: the collector runs in this process. Every figure is measured. If an expectation fails, the
// exit code is 1.
import { fork } from 'node:child_process';
import { createTelemetry } from 'cosmos-telemetry';
import { startCollector } from 'cosmos-telemetry/testing';
import { acme } from './acme/product.js';
import type { Account, Ended, Published } from './quick-start/measure.js';
import { EMITTED_PER_RUN, EVENTS_PER_RUN, FLOW, Orchestrator, TASKS } from './quick-start/orchestrator.js';
import { endRow, green, heading, number, print, red, startRow, wrapped } from './quick-start/print.js';
import { countTraces } from './quick-start/traces.js';

/** Acts 1 and 3: runs of the flow. */
const RUNS = 400;

/** Act 3: requests that are answered before the silence, the deadline of the end, and how long any client may take to end. */
const ANSWERS = 1000;
const DEADLINE_MS = 500;
const PATIENCE_MS = 5000;

/** Act 2: the task whose end is reported. */
const [TASK = {}] = TASKS;

const failures: string[] = [];
let expectations = 0;
function expect(holds: boolean, what: string): void {
  expectations += 1;
  if (!holds) failures.push(what);
}

function equation({ published, sent, failed, dropped, pending }: Account): string {
  const isBalanced = published === sent + failed + dropped + pending;
  expect(isBalanced, 'published = sent + failed + dropped + pending');
  const [a, b, c, d, e] = [published, sent, failed, dropped, pending].map((events) => number(events));
  return (isBalanced ? green : red)(`published ${a} = sent ${b} + failed ${c} + dropped ${d} + pending ${e}`);
}

/** Runs `work` of a host with a client, and counts what it leaves on the machine, at the collector and on the host. */
async function observe(env: NodeJS.ProcessEnv, work: (host: Orchestrator) => unknown) {
  const collector = await startCollector();
  const host = new Orchestrator();
  let stats: Account = { published: Number.NaN, sent: 0, failed: 0, dropped: 0, pending: 0 };
  let listeners = 0;
  const { sockets, lookups, files, timers } = await countTraces(async () => {
    // Longer than the defaults, for busy machines.
    const patience = { connectTimeoutMs: 5000, attemptTimeoutMs: 5000 };
    const telemetry = createTelemetry({ ...acme, ...patience, endpoint: collector.url, env });
    telemetry.register(host);
    listeners = host.eventNames().length;
    await work(host);
    stats = await telemetry.close({ deadlineMs: 5000 });
  });
  await collector.close();
  const { connections, requests } = collector;
  const counts = { sockets, 'look-ups': lookups, connections, requests: requests.length, files, timers };
  return { counts, stats, listeners, targets: requests.map(({ url }) => url), emitted: host.hookUs.length };
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, count]) => `${what} ${number(count)}`)
    .join(', ');
}

async function optedOut(): Promise<void> {
  const { counts, stats, listeners, emitted } = await observe({ ...process.env, DO_NOT_TRACK: '1' }, (host) => host.run(RUNS));
  heading(`1  DO_NOT_TRACK=1: ${number(emitted)} events of the host, nothing leaves`);
  const isZero = Object.values(counts).every((count) => count === 0);
  expect(isZero, 'no socket, look-up, connection, request, file or timer under an opt-out');
  expect(listeners === 0 && stats.published === 0, 'no listener and nothing counted under an opt-out');
  expect(emitted === RUNS * EMITTED_PER_RUN, `${RUNS * EMITTED_PER_RUN} events of the host`);
  wrapped((isZero ? green : red)(listed(counts)).split(/(?<=, )/));
  print(equation(stats));
}

async function onTheWire(): Promise<void> {
  const { counts, stats, targets } = await observe({}, (host) => host.announceTask(TASK));
  heading('2  Opted in, on loopback only: one event of acme');
  const [target = ''] = targets;
  wrapped(`GET ${target} HTTP/1.1`.split(/(?<=[?&])/));
  print(`Not in it: the names of the flow (${FLOW}) and the task (${TASK.taskId}).`);
  wrapped(listed(counts).split(/(?<=, )/));
  print(equation(stats));
  expect(targets.length === 1 && stats.published === 1 && stats.sent === 1, 'one event published and sent');
  expect(!target.includes(FLOW) && !target.includes(`${TASK.taskId}`), 'no names on the wire');
  // The counters of act 1 do count.
  expect(counts.sockets > 0 && counts.connections > 0 && counts.timers > 0, 'a socket, a connection and a timer if opted in');
}

interface Ending extends Partial<Published>, Partial<Ended> {
  ending: string;
  /** From the last event to the end of the process. */
  endedAfterUs: number;
  /** Requests that the collector answered. */
  answered: number;
}

async function silence(): Promise<void> {
  const events = RUNS * EVENTS_PER_RUN;
  heading(`3  The endpoint goes silent after ${number(ANSWERS)} of ${number(events)} events`);
  print(
    `Each client has its own process and ${DEADLINE_MS} ms to end. By hand is node-fetch, p-queue, p-retry and eventemitter3, with request ` +
      'timeouts and a deadline.',
  );
  startRow('hooks:');
  endRow(['median', 'p99', 'slowest', 'CPU', 'ended']);
  const ours = await clientRow('this package', 'with-telemetry');
  const { account: { failed, dropped } = { failed: Number.NaN, dropped: 0 }, reasons = {} } = ours;
  const explained = Object.values(reasons).reduce((sum, count) => sum + count, 0);
  print(`Why ${number(failed + dropped)} were lost: ${listed(reasons)}`);
  expect(explained === failed + dropped, 'a reason for each loss');
  await clientRow('by hand', 'by-hand', ours);
  print('What differs: by hand, hooks start requests; here they only copy and queue.');
  expect((ours.account?.sent ?? Number.NaN) <= ours.answered, 'no event counted as sent without an answer');
}

/** Runs a client in a process of its own, and prints its figures and its account. Green is better than the other client's, red is worse. */
async function clientRow(name: string, program: string, other?: Ending): Promise<Ending> {
  startRow(name);
  const client = await againstSilence(program);
  const figures = (of: Ending) => [of.medianUs, of.p99Us, of.slowestUs, of.cpuUs, of.endedAfterUs];
  const others = other === undefined ? [] : figures(other);
  endRow(
    figures(client).map((us = Number.NaN, index) => {
      const ratio = us / (others[index] ?? us);
      return (ratio > 1.1 ? red : ratio < 0.9 ? green : String)(time(us));
    }),
  );
  const { account } = client;
  if (account !== undefined) print(equation(account));
  expect(client.ending === 'ended', `that the process of ${name} ends by itself; it ${client.ending}`);
  expect(account?.published === RUNS * EVENTS_PER_RUN, `${RUNS * EVENTS_PER_RUN} events published by ${name}`);
  expect(account?.pending === 0, `nothing pending at the end of ${name}`);
  return client;
}

/** At most seven characters. */
function time(us: number): string {
  const [value, unit] = us < 999.5 ? [us, 'µs'] : us < 999_500 ? [us / 1000, 'ms'] : [us / 1_000_000, 's'];
  return `${number(value, value < 10 ? 1 : 0)} ${unit}`;
}

/** Runs a program of quick-start/ against a collector that goes silent, and kills it after PATIENCE_MS. */
async function againstSilence(program: string): Promise<Ending> {
  const collector = await startCollector({ faults: (_request, index) => ({ kind: index < ANSWERS ? 'ok' : 'hang' }) });
  const file = new URL(`quick-start/${program}.js`, import.meta.url);
  const child = fork(file, [collector.url, String(RUNS), String(DEADLINE_MS)]);
  const told: Partial<Published & Ended> = {};
  let askedAtMs = Number.NaN;
  let patience: NodeJS.Timeout | undefined;
  child.on('message', (message) => {
    Object.assign(told, message);
    if (patience !== undefined) return;
    askedAtMs = performance.now();
    patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once('exit', (...how) => resolve(how));
  });
  const endedAfterUs = (performance.now() - askedAtMs) * 1000;
  clearTimeout(patience);
  await collector.close();
  const ending = signal === null ? (code === 0 ? 'ended' : `ended with exit code ${code}`) : 'was killed';
  return { ...told, ending, endedAfterUs, answered: collector.answered2xx };
}

await optedOut();
await onTheWire();
await silence();
for (const what of failures) process.stderr.write(`${red(`Expected ${what}.`)}\n`);
if (failures.length > 0) process.exitCode = 1;
else print(`${green(`All ${expectations} expectations hold`)}, after ${number(performance.now() / 1000, 1)} s.`);
