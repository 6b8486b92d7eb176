import type PQueue from 'p-queue';
import type { Gate } from '../gate.js';
import type { Ledger } from '../ledger.js';
import type { Log } from '../log.js';
import type { Clock } from '../timing.js';
import { DeferredCall } from './deferred-call.js';
import type { EventBuffer, TakenEvent } from './event-buffer.js';
import type { EventBuilder } from './event-builder.js';
import { Flight } from './flights.js';
import { LoopShare } from './loop-share.js';
import { Pause } from './pause.js';
import type { SendOutcome, Transport } from './transport.js';

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

/** How many sends share a signal: what a transport hangs on one and forgets there goes with it, however long a task lasts. */
const SENDS_PER_SIGNAL = 64;

/** How many turns of the microtask queue an abort may take through retries, breaker and transport. */
const LAST_WORD_TICKS = 50;

/** Takes events out of the buffer, through a p-queue of few long tasks, and enters into the ledger what became of them. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #batchSize: number;
  /** When nothing is started: the network asked for it, or the process is about to end. */
  readonly pause: Pause;
  readonly #flights = new Set<Flight>();
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
    this.pause = new Pause(options.clock, () => {
      this.kick();
    });
  }

  /** How many events are under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The number of the oldest event that waits or is under way. */
  get oldestSeq(): number {
    let oldest = this.#options.buffer.oldestSeq;
    for (const { taken } of this.#flights) for (const { seq } of taken) if (seq < oldest) oldest = seq;
    return oldest;
  }

  /** Sees to it that as many tasks run as there is work for. Never throws, never waits. */
  kick(): void {
    const { buffer, limit } = this.#options;
    if (this.#isStopped || buffer.length === 0 || this.pause.isOn) return;
    if (this.#queue === undefined) {
      void this.#load();
      return;
    }
    const most = limit();
    this.#queue.concurrency = most;
    // A task that waits for its transport takes no second event, so each waiting batch may have a task of its own.
    const wanted = Math.min(most, this.#flights.size + Math.ceil(buffer.length / this.#batchSize));
    while (this.#turns < wanted) {
      this.#turns += 1;
      void this.#queue.add(this.#turn).catch(() => undefined);
    }
  }

  /** Ends what has been under way for longer than the cap: a transport that never settles loses its slot. */
  abortOverdue(capMs: number): void {
    const startedBefore = this.#options.clock.now() - capMs;
    for (const flight of this.#flights) {
      if (flight.startedAtMs <= startedBefore) this.#end(flight, { kind: 'rejected', reason: 'timeout' });
    }
  }

  /** Starts nothing any more, aborts what is under way, and lets the transport go. Over once every flight is accounted for. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.pause.end();
    for (const flight of this.#flights) flight.controller.abort();
    // What was answered counts by its answer, though its body was still under way: transports get no time, but a word.
    for (let tick = 0; tick < LAST_WORD_TICKS && this.#flights.size > 0; tick += 1) await Promise.resolve();
    for (const flight of this.#flights) this.#end(flight, { kind: 'aborted' });
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

  readonly #turn = async (): Promise<void> => {
    const { buffer } = this.#options;
    let controller = new AbortController();
    let sends = 0;
    try {
      while (this.#mayGoOn() && !controller.signal.aborted) {
        // A transport that answers at once, or that computes, must not keep the host's event loop to itself.
        if (this.#loop.isUsedUp()) {
          await this.#loop.nextRound();
          continue;
        }
        const taken = buffer.take(this.#batchSize);
        if (taken.length === 0) break;
        if (sends > 0 && sends % SENDS_PER_SIGNAL === 0) controller = new AbortController();
        sends += 1;
        const flight = this.#begin(taken, controller);
        this.#account(flight, await flight.outcome);
      }
    } finally {
      this.#turns -= 1;
      // Not at once: where the gate has closed, the next task would end as this one did.
      if (buffer.length > 0) this.#kickLater.soon();
    }
  };

  /** Asked before each attempt: the gate reads the environment anew, and now and then the files. */
  #mayGoOn(): boolean {
    return !this.pause.isOn && this.#turns <= this.#options.limit() && this.#options.gate.checkAttempt() && !this.#isStopped;
  }

  #begin(taken: readonly TakenEvent[], controller: AbortController): Flight {
    const { builder, clock, transport } = this.#options;
    const flight = new Flight(taken, controller, clock.now());
    this.#loop.work(flight.startedAtMs);
    this.#flights.add(flight);
    this.#inFlight += taken.length;
    flight.begin(taken.map((event) => (event.built ??= builder.build(event))), transport);
    return flight;
  }

  #end(flight: Flight, outcome: SendOutcome): void {
    flight.controller.abort();
    this.#account(flight, outcome);
    flight.release(outcome);
  }

  /** Enters a flight into the ledger, once. */
  #account(flight: Flight, outcome: SendOutcome): void {
    if (!this.#flights.delete(flight)) return;
    const { buffer, ledger, log, onSettled } = this.#options;
    const events = flight.taken.length;
    this.#inFlight -= events;
    if (outcome.kind === 'sent') ledger.sent += events;
    else if (outcome.kind === 'refused') ledger.drop(outcome.reason, events);
    else if (outcome.kind === 'aborted') ledger.fail('aborted', events);
    else if (outcome.kind !== 'deferred') ledger.fail(outcome.reason, events);
    else {
      ledger.drop('buffer_full', buffer.putBack(flight.taken));
      this.pause.begin(outcome.waitMs);
    }
    if ('reason' in outcome) log.debug(outcome.reason, `${outcome.kind} by the transport`);
    onSettled(outcome, flight.taken);
  }
}
