// The measurements of guard.mjs: ratios within one process, from the best of many rounds, and bytes, which do not depend on the machine's
// load.
import { openBare, openCopyRing } from '../adapters/floors.mjs';
import { hostOf, open } from '../adapters/ours.mjs';
import { collected } from '../harness/memory.mjs';
import { dagRun, EVENT, freshEvent, taskInstance } from '../harness/sample-event.mjs';

const ROUNDS = 15;
const CALLS = 5000;
const WARM_UP_ROUNDS = 5;
const ALLOCATING = 20_000;
const WAITING = 50_000;

const silent = { send: () => new Promise(() => {}) };

export async function measure() {
  return { ns: await bestOf(callers()), allocatedBytes: await allocatedBytes(), keptBytes: await keptBytes() };
}

function callers() {
  const on = open();
  const host = hostOf(on.telemetry);
  const offHost = hostOf(open({ env: { DO_NOT_TRACK: '1' } }).telemetry);
  const [small, large] = [dagRun(10), dagRun(10_000)];
  const floor = openCopyRing();
  const { publish: bare } = openBare();
  const settle = async () => {
    await on.settle();
    await floor.settle();
  };
  const calls = {
    bare: () => bare(EVENT),
    floor: () => floor.publish(EVENT),
    publish: () => on.publish(EVENT),
    taskInstance: () => host.emit('task_instance.success', taskInstance),
    smallDag: () => host.emit('dag_run.success', small),
    largeDag: () => host.emit('dag_run.success', large),
    optedOut: () => offHost.emit('task_instance.success', taskInstance),
  };
  return { calls, settle };
}

/** The fastest of all rounds: slower rounds are slowed by other causes than the code. */
async function bestOf({ calls, settle }) {
  const best = Object.fromEntries(Object.keys(calls).map((name) => [name, Infinity]));
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    for (const [name, call] of Object.entries(calls)) {
      const startedAtMs = performance.now();
      for (let count = 0; count < CALLS; count += 1) call();
      const ns = ((performance.now() - startedAtMs) * 1e6) / CALLS;
      if (round >= WARM_UP_ROUNDS) best[name] = Math.min(best[name], ns);
      await settle();
    }
  }
  return best;
}

/** Needs a young generation that holds everything: a collection makes a round show too little, so the highest round counts. */
async function allocatedBytes() {
  const client = open({ transport: silent, capacity: 12 * ALLOCATING });
  const host = hostOf(client.telemetry);
  const allocatedBy = async (call) => {
    for (let count = 0; count < ALLOCATING; count += 1) call();
    let bytes = 0;
    for (let round = 0; round < 4; round += 1) {
      await collected();
      const before = process.memoryUsage().heapUsed;
      for (let count = 0; count < ALLOCATING; count += 1) call();
      bytes = Math.max(bytes, (process.memoryUsage().heapUsed - before) / ALLOCATING);
    }
    return bytes;
  };
  return {
    publish: await allocatedBy(() => client.publish(EVENT)),
    taskInstance: await allocatedBy(() => host.emit('task_instance.success', taskInstance)),
  };
}

/** Bytes of a waiting event, and of a plain copy of it in a list. */
async function keptBytes() {
  const kept = [];
  const client = open({ transport: silent, capacity: WAITING });
  // A global reference, so that they are not garbage-collected.
  globalThis.held = { kept, client };
  const bytesOf = async (take) => {
    const before = await collected();
    for (let count = 0; count < WAITING; count += 1) take(freshEvent(count));
    return ((await collected()).heapBytes - before.heapBytes) / WAITING;
  };
  return { plain: await bytesOf((event) => kept.push(event)), waiting: await bytesOf(client.publish) };
}
