// Time and timers of the whole fleet. A step is a millisecond in which something is due; promises of all hosts settle before the next one.

const SECOND_MS = 1000;

/** As in src/delivery: how often an emitter looks after waiting events, and how often at the end of its process. */
const HEARTBEAT_MS = 1000;
const LOOK_MS = 15;

export class World {
  nowMs;
  /** How many timers have run. */
  steps = 0;
  #seq = 0;
  /** The timers of the running second, as a heap, and those of later seconds, without order. */
  #soon = [];
  #later = new Map();
  #second;
  #deferred = [];
  /** Called with each host of which a timer has run, once its promises have settled. */
  #onTouched;
  #touched = new Set();

  constructor(startMs, onTouched) {
    this.nowMs = startMs;
    this.#second = Math.floor(startMs / SECOND_MS);
    this.#onTouched = onTouched;
  }

  /** @param owner the clock of a host, which is told of the timer's end */
  at(dueMs, callback, owner) {
    this.#seq += 1;
    const timer = new Timer(dueMs, this.#seq, callback, owner);
    const second = Math.floor(dueMs / SECOND_MS);
    if (second <= this.#second) push(this.#soon, timer);
    else {
      const list = this.#later.get(second);
      if (list === undefined) this.#later.set(second, [timer]);
      else list.push(timer);
    }
    return timer;
  }

  defer(callback) {
    this.#deferred.push(callback);
  }

  /** Runs everything up to a time. */
  async runUntil(endMs) {
    for (;;) {
      const timer = this.#soon[0];
      if (timer === undefined) {
        if ((this.#second + 1) * SECOND_MS > endMs) break;
        this.#enterNextSecond();
      } else if (timer.dueMs > endMs) break;
      else await this.#step(timer.dueMs);
    }
    this.nowMs = endMs;
  }

  async #step(dueMs) {
    this.nowMs = dueMs;
    let ran = false;
    while (this.#soon[0]?.dueMs <= dueMs) ran = this.#run(pop(this.#soon)) || ran;
    if (ran) await this.#settle();
  }

  #run(timer) {
    const { callback, owner } = timer;
    if (callback === undefined) return false;
    this.steps += 1;
    timer.callback = undefined;
    if (owner !== undefined) {
      owner.over(timer);
      this.#touched.add(owner.host);
    }
    callback();
    return true;
  }

  async #settle() {
    await turn();
    while (this.#deferred.length > 0) {
      for (const callback of this.#deferred.splice(0)) callback();
      await turn();
    }
    for (const host of this.#touched) this.#onTouched(host);
    this.#touched.clear();
  }

  #enterNextSecond() {
    this.#second += 1;
    const list = this.#later.get(this.#second);
    if (list === undefined) return;
    this.#later.delete(this.#second);
    for (const timer of list) if (timer.callback !== undefined) push(this.#soon, timer);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

class Timer {
  dueMs;
  seq;
  callback;
  owner;
  isHeartbeat = false;

  constructor(dueMs, seq, callback, owner) {
    this.dueMs = dueMs;
    this.seq = seq;
    this.callback = callback;
    this.owner = owner;
  }

  ref() {
    return this;
  }

  unref() {
    return this;
  }
}

/** A timer that never runs. */
const NEVER = new Timer(Infinity, 0, undefined, undefined);

/**
 * The clock of one host. It leaves out what cannot change anything in this world, since a fleet that waits for an hour would do nothing else:
 * the looks for the end of the process, because no process ends, and the heartbeats of a host that has nothing in flight and waits for a later
 * timer, because nobody opts out.
 */
export class HostClock {
  host;
  #world;
  #skips;
  #timers = new Set();

  constructor(world, host, { skipsHeartbeats }) {
    this.#world = world;
    this.host = host;
    this.#skips = skipsHeartbeats;
  }

  get hasTimers() {
    return this.#timers.size > 0;
  }

  now() {
    return this.#world.nowMs;
  }

  wallNow() {
    return this.#world.nowMs;
  }

  setTimeout(callback, delayMs) {
    if (delayMs === LOOK_MS) return NEVER;
    const { nowMs } = this.#world;
    let dueMs = nowMs + Math.max(1, Math.trunc(delayMs));
    const isHeartbeat = delayMs === HEARTBEAT_MS;
    if (isHeartbeat && this.#skips && this.host.inFlight === 0) dueMs = Math.max(dueMs, this.#latest());
    const timer = this.#world.at(dueMs, callback, this);
    timer.isHeartbeat = isHeartbeat;
    this.#timers.add(timer);
    return timer;
  }

  /** When the last timer is due that is no heartbeat. */
  #latest() {
    let latestMs = 0;
    for (const { dueMs, isHeartbeat } of this.#timers) if (!isHeartbeat && dueMs > latestMs) latestMs = dueMs;
    return latestMs;
  }

  clearTimeout(timer) {
    timer.callback = undefined;
    this.#timers.delete(timer);
  }

  defer(callback) {
    this.#world.defer(callback);
  }

  over(timer) {
    this.#timers.delete(timer);
  }
}

function isBefore(left, right) {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.seq < right.seq);
}

function push(heap, timer) {
  let index = heap.length;
  heap.push(timer);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(timer, heap[parent])) break;
    heap[index] = heap[parent];
    index = parent;
  }
  heap[index] = timer;
}

function pop(heap) {
  const first = heap[0];
  const last = heap.pop();
  if (heap.length === 0) return first;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child += 1;
    if (!isBefore(heap[child], last)) break;
    heap[index] = heap[child];
    index = child;
  }
  heap[index] = last;
  return first;
}
