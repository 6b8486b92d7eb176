// A host that has something to send: the emitter, retries, breaker and gate of the package, composed as `createTelemetry` does it, with a
// simulated attempt in place of HTTP.
import { DEFAULTS } from '../../build/src/base/constants.js';
import { Ledger } from '../../build/src/base/ledger.js';
import { Log } from '../../build/src/base/log.js';
import { circuitBreaker } from '../../build/src/delivery/circuit-breaker.js';
import { Emitter } from '../../build/src/delivery/emitter.js';
import { EventBuilder } from '../../build/src/delivery/event-builder.js';
import { gated, retrying } from '../../build/src/delivery/retry.js';
import { defineEvent } from '../../build/src/index.js';
import { Gate } from '../../build/src/opt-out/gate.js';
import { UNAVAILABLE } from './endpoint.mjs';
import { HostClock } from './world.mjs';
import { hashed } from './random.mjs';

const EVENT = defineEvent('run', {}, 'A run, or a task of it.');
const NOBODY_OPTS_OUT = { optedOutNow: () => false };
const MAX_BACKOFF_MS = 5000;
const SEND_CAP_MS = (DEFAULTS.retries + 1) * DEFAULTS.attemptTimeoutMs + DEFAULTS.retries * MAX_BACKOFF_MS + 1000;

/** What all hosts share: it does not change what any of them does. One ledger counts the events of all. */
export function share(world, endpoint, { spreadMs, seed, skipsHeartbeats = true }) {
  const clock = { now: () => world.nowMs, wallNow: () => world.nowMs };
  const ledger = new Ledger();
  return {
    world,
    endpoint,
    spreadMs,
    seed,
    skipsHeartbeats,
    ledger,
    log: new Log(undefined, clock),
    gate: new Gate({ state: 'open', watch: NOBODY_OPTS_OUT, clock }),
    builder: new EventBuilder({}, ledger),
    /** How often an event was answered with 503, and how many events were so at each of their attempts: these fail, as they should. */
    refusals: new WeakMap(),
    unlucky: 0,
  };
}

export class Host {
  inFlight = 0;
  number = -1;
  #shared;
  #emitter;
  #clock;
  #isInDoubt = false;
  #drawnAtMs = 0;
  #draws = 0;

  constructor(shared) {
    this.#shared = shared;
    const { world, ledger, log, gate, builder, spreadMs, skipsHeartbeats } = shared;
    const clock = new HostClock(world, this, { skipsHeartbeats });
    const random = () => this.#random();
    const attempt = { maxBatchSize: 1, send: ([event]) => this.#attempt(event) };
    const transport = retrying(circuitBreaker(gated(attempt, gate), { clock, random }), {
      retries: DEFAULTS.retries,
      maxDelayMs: MAX_BACKOFF_MS,
      random,
      clock,
    });
    this.#clock = clock;
    this.#emitter = new Emitter({
      ...DEFAULTS,
      spreadMs,
      gate,
      ledger,
      log,
      clock,
      random,
      builder,
      transport,
      sendCapMs: SEND_CAP_MS,
      drainOnExit: false,
    });
  }

  /** Becomes a host that has nothing to send and no doubt about the network: it has no state but its number. */
  become(number) {
    this.number = number;
    this.#drawnAtMs = 0;
  }

  /** It depends on the host and the time alone: not on what else was drawn before. */
  #random() {
    const { seed, world } = this.#shared;
    this.#draws = this.#drawnAtMs === world.nowMs ? this.#draws + 1 : 0;
    this.#drawnAtMs = world.nowMs;
    return hashed(seed + 2, this.number, world.nowMs, this.#draws) / 2 ** 32;
  }

  publish() {
    this.#emitter.accept({}, undefined, EVENT, true);
  }

  get pending() {
    return this.#emitter.stats().pending;
  }

  /** Whether the next event would find it as a new host. */
  get isIdle() {
    return this.inFlight === 0 && !this.#clock.hasTimers && !this.#isInDoubt && this.pending === 0;
  }

  #attempt(event) {
    const { refusals } = this.#shared;
    this.inFlight += 1;
    return new Promise((resolve) => {
      this.#shared.endpoint.request(
        () => this.#random(),
        (outcome) => {
          this.inFlight -= 1;
          this.#isInDoubt = outcome.reason === 'connect';
          if (outcome === UNAVAILABLE) {
            const times = (refusals.get(event) ?? 0) + 1;
            refusals.set(event, times);
            if (times === DEFAULTS.retries + 1) this.#shared.unlucky += 1;
          }
          resolve(outcome);
        },
      );
    });
  }
}
