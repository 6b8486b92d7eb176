// The cost of a publish for the caller: nanoseconds per call. Deferred work is done between the bursts.
import { hostOf, open as openOurs } from '../adapters/ours.mjs';
import { openClient, RIVALS } from '../adapters/index.mjs';
import { dagRun, EVENT, taskInstance } from '../harness/sample-event.mjs';
import { median } from '../harness/stats.mjs';

/** Calls between two settles, so few that no bounded queue is full and no event is dropped. */
const BURST = 1000;
const REPEATS = 5;
const CALLS = 20_000;
const WARM_UP = 10_000;

/** Never answers, so that all events wait. */
const silent = { send: () => new Promise(() => {}) };

function opted(env, use) {
  const client = openOurs({ env });
  return { ...client, publish: use(client.telemetry) };
}

function throughHost(name, payload, env = {}) {
  return opted(env, (telemetry) => {
    const host = hostOf(telemetry);
    return () => host.emit(name, payload);
  });
}

/** A new DAG object for each call, as in a host that reads its DAGs for each run; the task objects are the same. */
function throughHostAfresh(tasks, payloads) {
  const { dagRun: run } = dagRun(tasks);
  const fresh = Array.from({ length: payloads }, () => ({ dagRun: { ...run, dag: { tasks: [...run.dag.tasks] } } }));
  return opted({}, (telemetry) => {
    const host = hostOf(telemetry);
    let next = 0;
    return () => host.emit('dag_run.success', fresh[next++ % payloads]);
  });
}

const fill = ({ publish }, events) => {
  for (let event = 0; event < events; event += 1) publish(EVENT);
};

/** This many events wait before the first burst, and no event is ever sent. */
function withWaiting(waiting, capacity) {
  const client = openOurs({ transport: silent, capacity });
  fill(client, waiting);
  return { ...client, settle: () => new Promise(setImmediate) };
}

/** This many events wait before each burst, and are sent after it. */
function withWaitingEachTime(waiting) {
  let holds = true;
  const held = [];
  const holding = { send: () => new Promise((answer) => (holds ? held.push(answer) : answer({ kind: 'sent' }))) };
  const client = openOurs({ transport: holding });
  fill(client, waiting);
  const settle = async () => {
    holds = false;
    for (const answer of held.splice(0)) answer({ kind: 'sent' });
    await client.settle();
    holds = true;
    fill(client, waiting);
    await new Promise(setImmediate);
  };
  return { ...client, settle };
}

const OPT_OUT = { DO_NOT_TRACK: '1' };

/** All ways to publish with our library. `calls` overrides the usual number of calls of a repeat. */
const OURS = {
  'ours: publish': { make: () => opted({}, (telemetry) => () => telemetry.publish('task_instance', EVENT)) },
  'ours: bus.publish': { make: () => opted({}, (telemetry) => () => telemetry.bus.publish('task_instance', EVENT)) },
  'ours: host event, task_instance': { make: () => throughHost('task_instance.success', taskInstance) },
  'ours: host event, dag_run of 1 task': { make: () => throughHost('dag_run.success', dagRun(1)) },
  'ours: host event, dag_run of 10 tasks': { make: () => throughHost('dag_run.success', dagRun(10)) },
  'ours: host event, dag_run of 1,000 tasks': { make: () => throughHost('dag_run.success', dagRun(1000)) },
  'ours: host event, dag_run of 10,000 tasks': { make: () => throughHost('dag_run.success', dagRun(10_000)) },
  'ours: host event, a new DAG of 10 tasks each': { make: () => throughHostAfresh(10, 5000), calls: 5000 },
  'ours: host event, a new DAG of 10,000 tasks each': { make: () => throughHostAfresh(10_000, 60), calls: 60, warmUp: 60 },
  'ours: publish, opted out': { make: () => opted(OPT_OUT, (telemetry) => () => telemetry.publish('task_instance', EVENT)) },
  'ours: host event, opted out': { make: () => throughHost('task_instance.success', taskInstance, OPT_OUT) },
  'ours: publish, the buffer is full': { make: () => withWaiting(10_000), fixed: true },
  'ours: publish, 1,000 waiting': { make: () => withWaitingEachTime(1000), calls: 10_000 },
  'ours: publish, 1,000,000 waiting': { make: () => withWaiting(1_000_000, 1_100_000), calls: 10_000, fixed: true },
};

/** Fewer calls for clients whose deferred work takes tens of microseconds per event, because each settle waits for it. */
const SLOW = { calls: 4000, warmUp: 4000 };

const FLOORS = ['eventemitter3 emit, one listener', 'floor: emit, ring', 'floor: emit, copy, ring', 'p-queue add', 'naive'];

export function plan({ quick }) {
  const rows = [...FLOORS, ...Object.keys(OURS), ...(quick ? [] : RIVALS)];
  return rows.map((row) => ({ row, rounds: quick ? 2 : 7, params: { row } }));
}

/** How the client of a row is created, and how often it is called. */
export function howTo(row) {
  const others = row === 'naive' || RIVALS.includes(row) ? SLOW : {};
  const { make = () => openClient(row), calls = CALLS, warmUp = WARM_UP, fixed = false } = OURS[row] ?? others;
  return { make, calls, warmUp, fixed };
}

export async function measure({ row }) {
  const { make, calls, warmUp, fixed } = howTo(row);
  // Warm up the compiler. If events stay in the buffer, use another client for that.
  const warm = fixed ? openOurs() : await make();
  await burst(warm, warmUp);
  const client = fixed ? await make() : warm;
  const nsPerCall = [];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) nsPerCall.push((await burst(client, calls)) / calls);
  return { nsPerCall: median(nsPerCall) };
}

/** @returns the duration of the calls in nanoseconds */
async function burst({ publish, settle }, calls) {
  let tookMs = 0;
  for (let done = 0; done < calls; done += BURST) {
    const count = Math.min(BURST, calls - done);
    const startedAtMs = performance.now();
    for (let call = 0; call < count; call += 1) publish(EVENT);
    tookMs += performance.now() - startedAtMs;
    await settle();
  }
  return tookMs * 1e6;
}
