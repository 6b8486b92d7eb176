/*
 * Sends the events of a buffer through a transport: workers, batches in flight, and the account of each batch.
 */
import type PQueue from 'p-queue';
import { settlesWithin } from '../base/clock.js';
import { bare, given } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { Gate } from '../opt-out/gate.js';
import { Batching, byOutcome } from './batching.js';
import type { BatchingOptions } from './batching.js';
import type { DailyEvents } from './daily.js';
import type { EventBuffer, TakenEvent } from './event-buffer.js';
import { late, LOAD_REASON, loadWaitMs } from './late.js';
import { EventLoopBudget, HEARTBEAT_MS, NextTick, Pause } from './pacing.js';
import type { Spread } from './spread.js';
import { attemptThen, causeOf, CONNECT_REASON, OPEN_REASON, UNANSWERED_REASONS, UNWRITTEN_REASON } from './transport.js';
import type { EventOutcome, SendOutcome, UsageEvent } from './transport.js';

/** What a dispatcher needs. */
export interface DispatcherOptions extends BatchingOptions {
  buffer: Pick<EventBuffer, 'length' | 'oldestSeq' | 'take' | 'putBack'> & {
    /** How many events can be taken now. @default all */
    readonly ready?: number;
  };
  gate: Gate;
  ledger: Ledger;
  log: Log;
  /** Which daily events may be sent. @default there are none */
  daily?: DailyEvents | undefined;
  /** How many batches may be in flight now. */
  limit: () => number;
  /** The longest random delay of background delivery, in milliseconds. @default 0 */
  spreadMs?: number | undefined;
  /** From 0 up to 1. @default Math.random */
  random?: (() => number) | undefined;
  /** Called after a batch has started. */
  onStarted?: () => void;
  /** Called with the outcome of each batch, after it was entered into the ledger. */
  onSettled: (outcome: EventOutcome, taken: readonly TakenEvent[]) => void;
}

/** Loads p-queue. Rejects with a `NotLoadedError`; the next call tries again. */
export const loadPQueue = late('pQueue', async () => (await import('p-queue')).default);

/** Few hosts spread their sends. */
const loadSpread = late('spread', async () => (await import('./spread.js')).Spread);

/** p-queue copies its options into new objects. Without these keys it would read them from a polluted Object.prototype. */
const QUEUE: object = bare({ timeout: undefined });
const TASK: object = bare({ priority: 0, signal: undefined, timeout: undefined });

/** How long events wait after a load that failed in another way than ours. */
const DEFAULT_LOAD_WAIT_MS = 1000;

/** The outcome of events that cannot be built. */
const UNBUILT: SendOutcome = { kind: 'refused', reason: 'invalid' };

/** The outcome of events that were not tried: they return to the buffer. */
const UNSENT: SendOutcome = { kind: 'deferred', waitMs: 0, reason: UNWRITTEN_REASON };

/** How many rounds of the microtask queue an abort may take to pass through retries, breaker and transport. */
const ABORT_ROUNDS = 50;

/**
 * Takes events out of the buffer and sends them with a few workers. A worker is one long task of a p-queue: it sends batch after
 * batch as long as events wait.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #batching: Batching;
  /** While it is on, no batch starts: the network asked for it, or the process is about to exit. */
  readonly pause: Pause;
  readonly #workers = new Workers();
  readonly #budget: EventLoopBudget;
  readonly #startLater: NextTick;
  #queue: PQueue | undefined;
  #spread: Spread | undefined;
  #isLoading = false;
  #hasWarned = false;
  #isStopped = false;
  /** Whether a pause was begun because the network failed. */
  #isInDoubt = false;
  #isOffline = false;
  /** Why an attempt failed last: its cause, or the reason of one that got no answer. */
  #cause: string | undefined;
  /** Workers that run or are queued to run. */
  #started = 0;
  #inFlight = 0;
  #closed = Promise.resolve();
  #hasClosed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#batching = new Batching(options, () => this.startWorkers());
    this.#budget = new EventLoopBudget(options.clock);
    this.#startLater = new NextTick(options.clock, () => this.startWorkers());
    this.pause = new Pause(options.clock, () => this.startWorkers());
    options.gate.whenOpen(() => this.startWorkers());
  }

  /** Why an attempt failed last; undefined if none has. */
  get cause(): string | undefined {
    return this.#cause;
  }

  /** Whether the circuit is open. */
  get isOffline(): boolean {
    return this.#isOffline;
  }

  /** The number of events in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The sequence number of the oldest event that waits or is in flight. */
  get oldestSeq(): number {
    let oldest = this.#options.buffer.oldestSeq;
    for (const { taken } of this.#workers.inFlight) for (const { seq } of taken) if (seq < oldest) oldest = seq;
    return oldest;
  }

  /** How many events can be taken now. */
  get #ready(): number {
    const { buffer } = this.#options;
    return given(buffer, 'ready') ?? buffer.length;
  }

  /** Delays the next batch, with `spreadMs`: to be called when events wait, before workers are started. */
  spread(): void {
    this.#spread?.next(this.#isInDoubt);
  }

  /** Starts as many workers as there is work and room for. Never throws, never waits. */
  startWorkers(): void {
    const { gate, limit } = this.#options;
    // While the gate is unknown, events wait. It calls back when it opens.
    const ready = this.#ready;
    if (this.#isStopped || ready === 0 || this.pause.isOn || gate.state === 'unknown') return;
    if (this.#queue === undefined) return void this.#load();
    const most = (this.#queue.concurrency = limit());
    // A worker takes no second batch while it waits for its transport, so each waiting batch may have its own worker.
    const batches = this.#batching.mayLeave(ready) ? Math.ceil(ready / this.#batching.size) : 0;
    const wanted = Math.min(most, this.#workers.inFlight.length + batches);
    while (this.#started < wanted) {
      this.#started += 1;
      // Rejected only if p-queue refuses the task: its slot is free then.
      void this.#queue.add(this.#work, TASK).catch(() => (this.#started -= 1));
    }
  }

  /**
   * Ends batches that have been in flight for longer than the cap: a transport that never settles loses its slot. To be called at each
   * heartbeat. Heartbeats are counted and not time: while the host keeps the event loop busy, nothing can settle.
   */
  abortOverdue(capMs: number): void {
    const mostBeats = Math.ceil(capMs / HEARTBEAT_MS);
    for (const batch of this.#workers.inFlight) {
      batch.beats += 1;
      if (batch.beats > mostBeats) this.#abort(batch, { kind: 'rejected', reason: 'timeout' });
    }
  }

  /**
   * Starts nothing more, aborts what is in flight, and closes the transport. Resolves when every batch is accounted for.
   * `closed` tells when the transport has closed.
   */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.pause.end();
    this.#batching.stop();
    for (const { controller } of this.#workers.inFlight) controller.abort();
    const settled = this.#settleAll();
    this.#closed = settled.then(() => this.#closeTransport()).then(() => void (this.#hasClosed = true));
    return settled;
  }

  async #settleAll(): Promise<void> {
    // An event that was answered counts by its answer, even if the body was still being read. Transports get no time for this,
    // only microtasks.
    for (let round = 0; round < ABORT_ROUNDS && this.#inFlight > 0; round += 1) await Promise.resolve();
    for (const batch of this.#workers.inFlight) this.#abort(batch, { kind: 'aborted' });
  }

  /** Waits for the transport to close after {@link stop}. Never rejects. @returns Whether it has closed within the limit. */
  async closesWithin(limitMs: number): Promise<boolean> {
    // Most transports have nothing to wait for: no timer for them.
    for (let round = 0; round < ABORT_ROUNDS && !this.#hasClosed; round += 1) await Promise.resolve();
    return this.#hasClosed || settlesWithin(this.#closed, limitMs, this.#options.clock);
  }

  async #closeTransport(): Promise<void> {
    try {
      const { transport } = this.#options;
      await given(transport, 'close')?.call(transport);
    } catch {
      this.#options.log.warn('transport_close_failed', 'the transport could not be closed');
    }
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      const Queue = await loadPQueue();
      if (this.#options.spreadMs) this.#spread = new (await loadSpread())(this.pause, this.#batching.size, this.#options);
      this.#queue = new Queue(QUEUE);
    } catch (error) {
      this.#waitForLoad(loadWaitMs(error));
    } finally {
      this.#isLoading = false;
    }
    if (this.#queue === undefined) return;
    this.spread();
    this.startWorkers();
  }

  /** The events wait in the buffer. A drain, a close or the exit tries again at once. */
  #waitForLoad(waitMs = DEFAULT_LOAD_WAIT_MS): void {
    if (!this.#hasWarned) this.#options.log.warn(LOAD_REASON, 'a dependency cannot be loaded now: events wait until it can');
    this.#hasWarned = true;
    if (!this.#isStopped) this.pause.backOff(waitMs);
  }

  /** The task of the queue. */
  readonly #work = (): Promise<void> =>
    new Promise((resolve) => {
      const worker = new Worker(resolve);
      this.#workers.add(worker);
      this.#runNext(worker);
    });

  /** Has the worker send its next batch, or ends it. */
  #runNext(worker: Worker): void {
    try {
      if (this.#mayContinue() && !worker.isAborted && this.#sendNext(worker)) return;
    } catch {
      // Our own code does not throw; if it does, the worker ends and its slot is free.
    }
    this.#started -= 1;
    this.#workers.delete(worker);
    worker.end();
    // Not at once: if the gate is shut, the next worker would end in the same way.
    if (this.#options.buffer.length > 0) this.#startLater.schedule();
  }

  /** Asked before each attempt: the gate reads the environment again, and from time to time the files. */
  #mayContinue(): boolean {
    return !this.pause.isOn && this.#started <= this.#options.limit() && this.#options.gate.checkAttempt() && !this.#isStopped;
  }

  /** @returns Whether the worker continues later by itself. */
  #sendNext(worker: Worker): boolean {
    const { buffer, clock, daily } = this.#options;
    const nowMs = clock.now();
    // A transport that computes, or that answers at once, must not keep the event loop from the host.
    if (this.#budget.isUsedUp(nowMs)) {
      this.#budget.whenRenewed(() => this.#runNext(worker));
      return true;
    }
    const ready = this.#ready;
    if (ready > 0 && !this.#batching.mayLeave(ready)) return false;
    const taken = this.#batching.take(buffer);
    if (taken.length === 0) return false;
    const batch = worker.begin(taken);
    this.#inFlight += taken.length;
    // They are in flight before it: the transport's code may count, drain, or opt out.
    const rest = this.#batching.cut(taken);
    this.#inFlight -= rest.length;
    if (rest.length > 0) this.#putBack(rest);
    this.#budget.spend(nowMs);
    this.spread();
    if (this.#isStopped) this.#settle(batch, UNSENT);
    else if (daily !== undefined && taken.some((event) => daily.concerns(event))) void this.#claim(batch, daily);
    else this.#attempt(batch);
    return true;
  }

  #putBack(events: readonly TakenEvent[]): void {
    this.#options.ledger.drop('buffer_full', this.#options.buffer.putBack(events));
  }

  /** Sends the events of a batch that have their day, or are not daily. */
  async #claim(batch: InFlightBatch, daily: DailyEvents): Promise<void> {
    batch.isClaiming = true;
    const { worker, taken } = batch;
    const kept: TakenEvent[] = [];
    const left: [TakenEvent, string][] = [];
    for (const event of taken) {
      const reason = daily.concerns(event) ? await daily.claim(event) : undefined;
      if (reason === undefined) kept.push(event);
      else left.push([event, reason]);
    }
    // The process may leave meanwhile: the batch is settled then.
    if (!worker.finish(batch)) return;
    // In flight before anything is told of the others: see `#account`.
    const rest = kept.length === 0 ? undefined : worker.begin(kept);
    for (const { 0: event, 1: reason } of left) this.#leaveOut(event, reason);
    if (rest === undefined) this.#runNext(worker);
    else if (this.#isStopped || !this.#options.gate.check()) this.#settle(rest, UNSENT);
    else this.#attempt(rest);
  }

  #leaveOut(event: TakenEvent, reason: string): void {
    const { ledger, log, onSettled } = this.#options;
    this.#inFlight -= 1;
    ledger.drop(reason, 1, [event]);
    log.debug(reason, 'a daily event is not sent');
    onSettled({ kind: 'refused', reason }, [event]);
  }

  #attempt(batch: InFlightBatch): void {
    const { builder, onStarted, transport } = this.#options;
    const { taken } = batch;
    let events: UsageEvent[];
    try {
      events = taken.map((event) => (event.built ??= builder.build(event)));
    } catch {
      // Our own code does not throw, but what it calls may, as a host may change what is built in.
      // Not at once: the next batch may throw, too, and each would go deeper into the stack.
      void Promise.resolve().then(() => this.#settle(batch, UNBUILT));
      return;
    }
    attemptThen(transport, events, batch.controller.signal, (outcome) => this.#settle(batch, outcome));
    onStarted?.();
  }

  #abort(batch: InFlightBatch, outcome: SendOutcome): void {
    batch.controller.abort();
    this.#settle(batch, batch.isClaiming ? UNSENT : outcome);
  }

  /** The first outcome of a batch counts; then its worker continues. */
  #settle(batch: InFlightBatch, outcome: SendOutcome): void {
    if (!batch.worker.finish(batch)) return;
    this.#account(batch.taken, outcome);
    this.#runNext(batch.worker);
  }

  #wait({ reason, waitMs }: Extract<SendOutcome, { kind: 'deferred' }>): void {
    if (reason === LOAD_REASON) return this.#waitForLoad(waitMs);
    // Ended by us, who know when to go on.
    if (reason === UNWRITTEN_REASON) return this.pause.backOff(waitMs);
    // The server asked for its pause. Ours ends with the next success.
    if (reason !== CONNECT_REASON && reason !== OPEN_REASON) return this.pause.begin(waitMs);
    this.pause.backOffUntilProbe(this.#spread?.probeMs(waitMs) ?? waitMs);
    this.#isInDoubt = true;
    if (reason === OPEN_REASON) this.#stopped();
  }

  /** Says once that the circuit is open. */
  #stopped(): void {
    if (this.#isOffline) return;
    this.#isOffline = true;
    const why = this.#cause === undefined ? '' : ` (${this.#cause})`;
    const waiting = this.#options.buffer.length + this.#inFlight;
    this.#options.log.change('delivery_stopped', `the endpoint cannot be reached${why}; waiting events: ${waiting}`);
  }

  #resumed(): void {
    if (!this.#isOffline) return;
    this.#isOffline = false;
    this.#options.log.change('delivery_resumed', 'the endpoint can be reached again');
  }

  /** Tells only once all is entered: whoever waits for some of the events looks for them among those that wait and are in flight. */
  #account(taken: readonly TakenEvent[], outcome: SendOutcome): void {
    const groups = outcome.kind === 'partial' ? [...byOutcome(taken, outcome.outcomes)] : [{ outcome, events: taken }];
    for (const group of groups) this.#enter(group);
    for (const group of groups) this.#tell(group);
  }

  #enter({ outcome, events }: Group): void {
    const { ledger } = this.#options;
    const { length } = events;
    this.#inFlight -= length;
    if (outcome.kind === 'sent') ledger.confirm(events, given(outcome, 'handedOver'));
    else if (outcome.kind === 'refused') ledger.drop(outcome.reason, length, events);
    else if (outcome.kind === 'deferred') {
      this.#putBack(events);
      this.#batching.waitNoLonger();
    } else ledger.fail(outcome.kind === 'aborted' ? 'aborted' : outcome.reason, length, events);
  }

  #tell({ outcome, events }: Group): void {
    const { log, onSettled } = this.#options;
    if (outcome.kind === 'deferred') {
      if (this.#isStopped) return onSettled(outcome, events);
      this.#wait(outcome);
    } else if (outcome.kind === 'sent') {
      this.#hasWarned = false;
      if (this.#isInDoubt) {
        this.#isInDoubt = false;
        this.#resumed();
        this.pause.wake();
        this.#spread?.restart();
        this.#startLater.schedule();
      }
    }
    if (Object.hasOwn(outcome, 'reason') && 'reason' in outcome) {
      const cause = causeOf(outcome);
      if (cause !== undefined) this.#cause = cause;
      else if (UNANSWERED_REASONS.has(outcome.reason)) this.#cause = outcome.reason;
      log.debug(outcome.reason, `${outcome.kind} by the transport${cause === undefined ? '' : ` (${cause})`}`);
    }
    onSettled(outcome, events);
  }
}

/** Events of a batch that have the same outcome. */
interface Group {
  readonly outcome: EventOutcome;
  readonly events: readonly TakenEvent[];
}

/** The events of one `send()` that has not settled. */
interface InFlightBatch {
  readonly worker: Worker;
  readonly taken: readonly TakenEvent[];
  /** How many heartbeats it has been in flight for. */
  beats: number;
  /** Whether its daily events are asked for: nothing has been tried. */
  isClaiming: boolean;
  readonly controller: AbortController;
}

/**
 * The running workers. There is no set of batches, which would be simpler: entries that were deleted from a set stay in V8's tables
 * for a while and keep their events alive. That made garbage collection cost more than sending.
 */
class Workers extends Set<Worker> {
  get inFlight(): InFlightBatch[] {
    return Array.from(this, ({ batch }) => batch).filter((batch) => batch !== undefined);
  }
}

/** How many sends share a signal: a listener that a transport adds and does not remove is freed with it. */
const SENDS_PER_SIGNAL = 64;

/** One task of the queue, with at most one batch in flight. */
class Worker {
  /** Ends the task. */
  readonly end: () => void;
  #controller = new AbortController();
  #sends = 0;
  #batch: InFlightBatch | undefined;

  constructor(end: () => void) {
    this.end = end;
  }

  get batch(): InFlightBatch | undefined {
    return this.#batch;
  }

  /** Whether we aborted its batch: it sends nothing more after that. */
  get isAborted(): boolean {
    return this.#controller.signal.aborted;
  }

  begin(taken: readonly TakenEvent[]): InFlightBatch {
    if (this.#sends > 0 && this.#sends % SENDS_PER_SIGNAL === 0) this.#controller = new AbortController();
    this.#sends += 1;
    this.#batch = { worker: this, taken, beats: 0, isClaiming: false, controller: this.#controller };
    return this.#batch;
  }

  /** @returns False if the batch has finished before. */
  finish(batch: InFlightBatch): boolean {
    if (this.#batch !== batch) return false;
    this.#batch = undefined;
    return true;
  }
}
