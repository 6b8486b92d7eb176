import type PQueue from 'p-queue';
import type { Clock } from '../base/clock.js';
import type { Ledger } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { Gate } from '../opt-out/gate.js';
import type { EventBuffer, TakenEvent } from './event-buffer.js';
import type { EventBuilder } from './event-builder.js';
import { DeferredCall, LoopShare, Pause } from './pacing.js';
import { attemptThen } from './transport.js';
import type { SendOutcome, Transport } from './transport.js';

/** How many sends share a signal: what a transport hangs on one and forgets there goes with it, however long a turn lasts. */
const SENDS_PER_SIGNAL = 64;

/** Some events on their way through a transport. */
export interface Flight {
  readonly turn: Turn;
  readonly taken: readonly TakenEvent[];
  readonly startedAtMs: number;
  readonly controller: AbortController;
}

/**
 * The turns that last. There is no set of flights, though it would be plainer: what a set of V8 has forgotten stays in tables that
 * outlive it for a while, and each event with them, which made garbage collection dearer than sending.
 */
export class Turns extends Set<Turn> {
  get flights(): Flight[] {
    return Array.from(this, ({ flight }) => flight).filter((flight) => flight !== undefined);
  }
}

/** A task of the queue: it has one batch after the other sent, and lasts as long as there is something to send. */
export class Turn {
  /** Ends the task. */
  readonly end: () => void;
  #controller = new AbortController();
  #sends = 0;
  #flight: Flight | undefined;

  constructor(end: () => void) {
    this.end = end;
  }

  /** What is under way. */
  get flight(): Flight | undefined {
    return this.#flight;
  }

  /** Whether what it had sent was ended from here: nothing is sent after that. */
  get isAborted(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Some events are on their way now. */
  begin(taken: readonly TakenEvent[], startedAtMs: number): Flight {
    if (this.#sends > 0 && this.#sends % SENDS_PER_SIGNAL === 0) this.#controller = new AbortController();
    this.#sends += 1;
    this.#flight = { turn: this, taken, startedAtMs, controller: this.#controller };
    return this.#flight;
  }

  /** They have ended. @returns Whether they had not before. */
  land(flight: Flight): boolean {
    if (this.#flight !== flight) return false;
    this.#flight = undefined;
    return true;
  }
}

/** How a dispatcher is made. */
export interface DispatcherOptions {
  buffer: Pick<EventBuffer, 'length' | 'oldestSeq' | 'take' | 'putBack'>;
  builder: Pick<EventBuilder, 'build'>;
  transport: Transport;
  gate: Gate;
  ledger: Ledger;
  log: Log;
  clock: Clock;
  /** How many requests may be under way now. */
  limit: () => number;
  /** Called after each account, with what the transport answered and for what. */
  onSettled: (outcome: SendOutcome, taken: readonly TakenEvent[]) => void;
}

/** How many turns of the microtask queue an abort may take through retries, breaker and transport. */
const LAST_WORD_TICKS = 50;

/** Takes events out of the buffer, through a p-queue of few long tasks, and enters into the ledger what became of them. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #batchSize: number;
  /** When nothing is started: the network asked for it, or the process is about to end. */
  readonly pause: Pause;
  readonly #running = new Turns();
  readonly #loop: LoopShare;
  readonly #kickLater: DeferredCall;
  #queue: PQueue | undefined;
  #isLoading = false;
  #isStopped = false;
  #turns = 0;
  #inFlight = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#batchSize = options.transport.maxBatchSize ?? 1;
    this.#loop = new LoopShare(options.clock);
    this.#kickLater = new DeferredCall(options.clock, () => this.kick());
    this.pause = new Pause(options.clock, () => this.kick());
  }

  /** How many events are under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The number of the oldest event that waits or is under way. */
  get oldestSeq(): number {
    let oldest = this.#options.buffer.oldestSeq;
    for (const { taken } of this.#running.flights) for (const { seq } of taken) if (seq < oldest) oldest = seq;
    return oldest;
  }

  /** Sees to it that as many tasks run as there is work for. Never throws, never waits. */
  kick(): void {
    const { buffer, limit } = this.#options;
    if (this.#isStopped || buffer.length === 0 || this.pause.isOn) return;
    if (this.#queue === undefined) return void this.#load();
    const most = (this.#queue.concurrency = limit());
    // A task that waits for its transport takes no second event, so each waiting batch may have a task of its own.
    const wanted = Math.min(most, this.#running.flights.length + Math.ceil(buffer.length / this.#batchSize));
    while (this.#turns < wanted) {
      this.#turns += 1;
      void this.#queue.add(this.#turn).catch(() => undefined);
    }
  }

  /** Ends what has been under way for longer than the cap: a transport that never settles loses its slot. */
  abortOverdue(capMs: number): void {
    const startedBefore = this.#options.clock.now() - capMs;
    for (const flight of this.#running.flights) {
      if (flight.startedAtMs <= startedBefore) this.#end(flight, { kind: 'rejected', reason: 'timeout' });
    }
  }

  /** Starts nothing any more, aborts what is under way, and lets the transport go. Over once every flight is accounted for. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.pause.end();
    for (const { controller } of this.#running.flights) controller.abort();
    // What was answered counts by its answer, though its body was still under way: transports get no time, but a word.
    for (let tick = 0; tick < LAST_WORD_TICKS && this.#inFlight > 0; tick += 1) await Promise.resolve();
    for (const flight of this.#running.flights) this.#end(flight, { kind: 'aborted' });
    void this.#closeTransport();
  }

  async #closeTransport(): Promise<void> {
    try {
      await this.#options.transport.close?.();
    } catch {
      this.#options.log.warn('transport_close_failed', 'the transport could not be closed');
    }
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      const { default: Queue } = await import('p-queue');
      this.#queue = new Queue();
    } catch {
      // The events wait on, and the next kick tries again.
      this.#options.log.warn('load_failed', 'p-queue could not be loaded');
    } finally {
      this.#isLoading = false;
    }
    if (this.#queue !== undefined) this.kick();
  }

  readonly #turn = (): Promise<void> =>
    new Promise((resolve) => {
      const turn = new Turn(resolve);
      this.#running.add(turn);
      this.#goOn(turn);
    });

  #goOn(turn: Turn): void {
    try {
      if (this.#mayGoOn() && !turn.isAborted && this.#sendNext(turn)) return;
    } catch {
      // Nothing of ours throws; should it all the same, the task ends and its place is free.
    }
    this.#turns -= 1;
    this.#running.delete(turn);
    turn.end();
    // Not at once: where the gate has closed, the next task would end as this one did.
    if (this.#options.buffer.length > 0) this.#kickLater.soon();
  }

  /** @returns whether the turn goes on later by itself. */
  #sendNext(turn: Turn): boolean {
    const { buffer, builder, clock, transport } = this.#options;
    const nowMs = clock.now();
    // A transport that answers at once, or that computes, must not keep the host's event loop to itself.
    if (this.#loop.isUsedUp(nowMs)) {
      this.#loop.nextRound(() => this.#goOn(turn));
      return true;
    }
    const taken = buffer.take(this.#batchSize);
    if (taken.length === 0) return false;
    const flight = turn.begin(taken, nowMs);
    this.#loop.work(nowMs);
    this.#inFlight += taken.length;
    const events = taken.map((event) => (event.built ??= builder.build(event)));
    attemptThen(transport, events, flight.controller.signal, (outcome) => this.#land(flight, outcome));
    return true;
  }

  /** Asked before each attempt: the gate reads the environment anew, and now and then the files. */
  #mayGoOn(): boolean {
    return !this.pause.isOn && this.#turns <= this.#options.limit() && this.#options.gate.checkAttempt() && !this.#isStopped;
  }

  #end(flight: Flight, outcome: SendOutcome): void {
    flight.controller.abort();
    this.#land(flight, outcome);
  }

  /** The first outcome of a flight counts, and its turn goes on. */
  #land(flight: Flight, outcome: SendOutcome): void {
    if (!flight.turn.land(flight)) return;
    this.#account(flight.taken, outcome);
    this.#goOn(flight.turn);
  }

  /** Enters into the ledger what became of some events. */
  #account(taken: readonly TakenEvent[], outcome: SendOutcome): void {
    const { buffer, ledger, log, onSettled } = this.#options;
    const events = taken.length;
    this.#inFlight -= events;
    if (outcome.kind === 'sent') ledger.sent += events;
    else if (outcome.kind === 'refused') ledger.drop(outcome.reason, events);
    else if (outcome.kind === 'aborted') ledger.fail('aborted', events);
    else if (outcome.kind !== 'deferred') ledger.fail(outcome.reason, events);
    else {
      ledger.drop('buffer_full', buffer.putBack(taken));
      this.pause.begin(outcome.waitMs);
    }
    if ('reason' in outcome) log.debug(outcome.reason, `${outcome.kind} by the transport`);
    onSettled(outcome, taken);
  }
}
