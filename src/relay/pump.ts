import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../base/clock.js';
import { Ledger } from '../base/ledger.js';
import { Dispatcher } from '../delivery/dispatcher.js';
import type { TakenEvent } from '../delivery/event-buffer.js';
import { HEARTBEAT_MS } from '../delivery/pacing.js';
import type { SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import type { EventDefinition } from '../events/definition.js';
import type { Gate } from '../opt-out/gate.js';
import type { RelayLog } from './log.js';
import type { RelayStore, StoredEvent } from '../delivery/relay-store.js';

/** How often it is judged anew. */
const WINDOW_MS = 100;

/** From this share of its time on the process has little to give away: the rest goes in waiting for the disk and for the processor. */
const BUSY = 0.5;

/** Fewer events than that in a window do not need the process for themselves. */
const LEAST_EVENTS = 20;

/** @returns The share of its time in which the event loop was busy since the last question, from 0 to 1. */
export type Utilization = () => number;

function utilizationOf(loop: typeof performance): Utilization {
  let last = loop.eventLoopUtilization();
  return () => {
    const now = loop.eventLoopUtilization();
    const { utilization } = loop.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/**
 * Whether events come in so fast that sending would keep those waiting who are about to send: their hook waits for the answer, and
 * what is in the spool does not mind.
 */
export class Pressure {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #utilization: Utilization;
  #sinceMs: number;
  #events = 0;
  #isHigh = false;

  constructor(clock: Pick<Clock, 'now'>, utilization = utilizationOf(performance)) {
    this.#clock = clock;
    this.#utilization = utilization;
    this.#sinceMs = clock.now();
  }

  /** Counts events that came in. */
  add(events: number): void {
    this.#events += events;
  }

  get isHigh(): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      this.#isHigh = this.#utilization() >= BUSY && this.#events >= LEAST_EVENTS;
      this.#sinceMs = nowMs;
      this.#events = 0;
    }
    return this.#isHigh;
  }
}

/** The accounts of a relay: those of the library, with the reasons of what failed and of what was dropped apart. */
export class RelayLedger extends Ledger {
  readonly failedBy = new Map<string, number>();
  readonly droppedBy = new Map<string, number>();

  override drop(reason: string, events: number): void {
    super.drop(reason, events);
    add(this.droppedBy, reason, events);
  }

  override fail(reason: string, events: number): void {
    super.fail(reason, events);
    add(this.failedBy, reason, events);
  }
}

function add(to: Map<string, number>, reason: string, events: number): void {
  if (events > 0) to.set(reason, (to.get(reason) ?? 0) + events);
}

/** An event that is under way through the dispatcher. */
export interface RelayedEvent extends TakenEvent {
  readonly stored: StoredEvent;
}

/** What it declares was looked at when it came in. */
const RELAYED: EventDefinition = { type: 'relayed', fields: {}, description: 'Sent when Cosmos has sent it.' };
const NO_METRICS = Object.freeze({});
const TYPE = /^\/v3\/([a-z0-9_]+)/;

/** A stored event as the dispatcher and its transports see it: built already, since it leaves as it came. */
export function relayed(stored: StoredEvent): RelayedEvent {
  const { seq, target } = stored;
  const built: UsageEvent = {
    id: String(seq),
    type: TYPE.exec(target)?.[1] ?? RELAYED.type,
    metrics: NO_METRICS,
    requestTarget: () => target,
  };
  return { seq, definition: RELAYED, metrics: NO_METRICS, packed: undefined, built, stored };
}

/** How a pump is made. */
export interface PumpOptions {
  store: RelayStore;
  transport: Transport;
  gate: Gate;
  ledger: RelayLedger;
  log: RelayLog;
  clock: Clock;
  concurrency: number;
  drainConcurrency: number;
  /** After this time an attempt that has not settled loses its slot and its event counts as `timeout`. */
  sendCapMs: number;
  /** Whether the store may fill further while those who come go first: one that is full serves nobody. */
  hasRoom: () => boolean;
  /** @default that of this process */
  pressure?: Pick<Pressure, 'add' | 'isHigh'>;
}

/** How long sending rests after each round of attempts while others go first. */
const REST_MS = 50;

/** Those who wait until everything is delivered. */
interface Drain {
  untilMs: number;
  readonly end: (timedOut: boolean) => void;
}

/** Takes events out of the store and has them delivered, and accounts for each. */
export class Pump {
  readonly #options: PumpOptions;
  readonly #dispatcher: Dispatcher;
  readonly #pressure: Pick<Pressure, 'add' | 'isHigh'>;
  #timer: Timer | undefined;
  #isKicked = false;
  #isStopped = false;
  #drain: Drain | undefined;

  constructor(options: PumpOptions) {
    this.#options = options;
    const { store } = options;
    this.#pressure = options.pressure ?? new Pressure(options.clock);
    this.#dispatcher = new Dispatcher({
      ...options,
      buffer: {
        get length() {
          return store.length;
        },
        get oldestSeq() {
          return store.oldestSeq;
        },
        take: (limit) => store.take(limit).map(relayed),
        putBack: (taken) => {
          // An opt-out that came meanwhile has emptied the store, which takes nothing back.
          if (options.gate.isOpen()) store.putBack(storedOf(taken));
          else options.ledger.drop('opted_out', taken.length);
          return 0;
        },
      },
      builder: { build: unbuilt },
      limit: () => (this.#drain === undefined ? options.concurrency : Math.max(options.concurrency, options.drainConcurrency)),
      onSettled: (outcome, taken) => {
        this.#onSettled(outcome, taken);
      },
    });
    options.gate.whenShut(() => {
      options.log.warn('opted_out', 'an opt-out has appeared: what waited is discarded, and so is what comes');
      void this.stop();
      options.ledger.drop('opted_out', store.clear());
    });
    this.#beat();
    this.#kickLater();
  }

  /** How many events wait or are under way. */
  get pending(): number {
    return this.#options.store.length + this.#dispatcher.inFlight;
  }

  /** Called by the store in the step in which it has more events. */
  readonly onStored = (events: number): void => {
    const { ledger, store, clock, gate } = this.#options;
    ledger.published += events;
    this.#pressure.add(events);
    if (!this.#isStopped) this.#kickLater();
    // What was being written when the opt-out came.
    else if (!gate.check()) clock.defer(() => ledger.drop('opted_out', store.clear()));
  };

  /**
   * Waits until everything is delivered, with more concurrency. It ends before the deadline where nothing can happen until then.
   *
   * @returns Whether something is left.
   */
  drain(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const untilMs = clock.now() + deadlineMs;
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => {
        drain.end(true);
      }, deadlineMs);
      const drain: Drain = {
        untilMs,
        end: (timedOut) => {
          if (this.#drain !== drain) return;
          this.#drain = undefined;
          clock.clearTimeout(timer);
          resolve(timedOut);
        },
      };
      this.#drain?.end(true);
      this.#drain = drain;
      // Whatever it waited for, this is the last occasion.
      this.#dispatcher.pause.end();
      this.#dispatcher.kick();
      this.#lookAtDrain();
    });
  }

  /** Starts nothing any more; what is under way ends and is accounted for. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    await this.#dispatcher.stop();
    this.#drain?.end(this.pending > 0);
  }

  #onSettled(outcome: SendOutcome, taken: readonly TakenEvent[]): void {
    if (outcome.kind !== 'deferred') this.#options.store.settle(storedOf(taken));
    if (this.#drain !== undefined) this.#lookAtDrain();
    else if (this.#pressure.isHigh && this.#options.hasRoom()) this.#dispatcher.pause.rest(REST_MS);
  }

  #lookAtDrain(): void {
    const drain = this.#drain;
    if (drain === undefined) return;
    if (this.pending === 0) drain.end(false);
    else if (this.#dispatcher.inFlight === 0 && this.#dispatcher.pause.untilMs >= drain.untilMs) drain.end(true);
  }

  #kickLater(): void {
    if (this.#isKicked) return;
    this.#isKicked = true;
    this.#options.clock.defer(() => {
      this.#isKicked = false;
      this.#dispatcher.kick();
    });
  }

  /** Once a second: opt-outs, events that are too old, attempts that never end. It does not hold the process. */
  #beat(): void {
    const { clock, gate, store, ledger, log, sendCapMs } = this.#options;
    this.#timer = clock.setTimeout(() => {
      if (this.#isStopped || !gate.checkAttempt()) return;
      const expired = store.expire();
      ledger.drop('expired', expired);
      if (expired > 0) log.warn('expired', 'events have waited for longer than is allowed and are dropped');
      this.#dispatcher.abortOverdue(sendCapMs);
      this.#dispatcher.kick();
      this.#beat();
    }, HEARTBEAT_MS);
    this.#timer.unref();
  }
}

function storedOf(taken: readonly TakenEvent[]): RelayedEvent['stored'][] {
  return taken.map((event) => (event as RelayedEvent).stored);
}

function unbuilt(): never {
  throw new Error('A relayed event is built when it is taken.');
}
