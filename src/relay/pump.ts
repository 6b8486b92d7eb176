import { Dispatcher } from '../delivery/dispatcher.js';
import type { TakenEvent } from '../delivery/event-buffer.js';
import { HEARTBEAT_MS } from '../delivery/heartbeat.js';
import type { SendOutcome, Transport } from '../delivery/transport.js';
import type { Gate } from '../gate.js';
import type { Clock, Timer } from '../timing.js';
import { Pressure } from './pressure.js';
import type { RelayLedger } from './relay-ledger.js';
import type { RelayLog } from './relay-log.js';
import { relayed } from './relayed-event.js';
import type { RelayedEvent } from './relayed-event.js';
import type { RelayStore } from './store.js';

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
