/*
 * The consumer of the bus: accepts events on the host's path, delivers them off it, and drains, closes and exits within deadlines.
 */
import type { Channels } from '../base/channels.js';
import { MAX_TIMER_MS } from '../base/check-options.js';
import { settlesWithin } from '../base/clock.js';
import type { Clock, Timer } from '../base/clock.js';
import { soon } from '../base/foreign-values.js';
import type { Ledger, TelemetryStats } from '../base/ledger.js';
import { keepUsable } from '../bus/bus.js';
import type { EventConsumer } from '../bus/bus.js';
import { Dispatcher } from './dispatcher.js';
import type { DispatcherOptions } from './dispatcher.js';
import { EventBuffer } from './event-buffer.js';
import { Heartbeat, HEARTBEAT_MS, NextTick } from './pacing.js';
import { ProcessEnd } from './process-end.js';
import type { Leaver } from './process-end.js';
import { steering } from './transport.js';
import type { SendOutcome } from './transport.js';
import { underWay } from './under-way.js';

/** What an emitter needs. */
interface EmitterOptions extends Omit<DispatcherOptions, 'buffer' | 'limit' | 'isUrgent' | 'onSettled'> {
  maxPendingEvents: number;
  concurrency: number;
  drainConcurrency: number;
  /** A `send()` that has not settled after this time loses its slot, and its events count as `timeout`. */
  sendCapMs: number;
  drainOnExit: boolean;
  exitDeadlineMs: number;
  /** @default none */
  late?: LateEvents | undefined;
}

/** Events that are counted, and of which the host still looks something up. */
interface LateEvents {
  readonly size: number;
  /** Resolves when those of now have been published or given up. */
  settled(): Promise<unknown>;
  giveUp(reason: string): void;
}

/** A `close()` or an exit in progress: each event gets one more attempt, and a network that refuses ends it before the deadline. */
interface Leaving {
  readonly untilMs: number;
  readonly giveUp: () => void;
}

/** Delivers what the bus publishes: a bounded buffer, a dispatcher, and an account of every event. */
export class Emitter {
  readonly #options: EmitterOptions;
  readonly #ledger: Ledger;
  readonly #buffer: EventBuffer;
  readonly #published: Channels['published'] | undefined;
  readonly #dispatcher: Dispatcher;
  readonly #drainWaiters: DrainWaiters;
  readonly #leaveWaiters: DrainWaiters;
  readonly #heartbeat: Heartbeat;
  readonly #flushLater: NextTick;
  readonly #processEnd: ProcessEnd;
  readonly #leaver: Leaver;
  /** If true, a flush is scheduled and the exit hook is set, so an event only needs to be kept. */
  #isArmed = false;
  #isStopped = false;
  #drains = 0;
  #leaving: Leaving | undefined;
  /** Whether the process seems to end. */
  #isHurrying = false;

  constructor(options: EmitterOptions) {
    this.#options = options;
    this.#ledger = options.ledger;
    const { channels } = options.ledger;
    this.#published = channels?.published;
    this.#buffer = new EventBuffer(options.maxPendingEvents, {
      onDropped: ({ type }) => {
        if (channels?.dropped.hasSubscribers === true) channels.tell('dropped', type, 'buffer_full');
      },
      check: (metrics, definition) => keepUsable(metrics, definition, options.ledger),
    });
    this.#drainWaiters = new DrainWaiters(options.clock);
    this.#leaveWaiters = new DrainWaiters(options.clock);
    this.#flushLater = new NextTick(options.clock, () => this.#flush());
    this.#heartbeat = new Heartbeat(options.clock, () => this.#onHeartbeat());
    this.#dispatcher = new Dispatcher({
      ...options,
      buffer: this.#buffer,
      limit: () => this.#limit(),
      isUrgent: () => this.#isUrgent,
      onStarted: () => this.#processEnd.sends(this.#leaver),
      onSettled: (outcome) => this.#onSettled(outcome),
    });
    this.#processEnd = ProcessEnd.of(options.clock);
    const isSending = () => this.#dispatcher.inFlight > 0 && !this.#isStopped;
    this.#leaver = {
      get isSending() {
        return isSending();
      },
      exitMs: options.drainOnExit ? options.exitDeadlineMs : 0,
      hurry: () => this.#hurry(),
      leave: () => this.#leaveProcess(),
      letGo: () => {
        if (!this.#isStopped && this.#leaving === undefined) this.#letGo();
      },
      liveOn: () => this.#liveOn(),
    };
    options.gate.whenShut(() => {
      void this.#stop('opted_out');
    });
    options.gate.whenOpen(() => {
      if (!this.#isStopped && this.#pending() > 0) this.#arm();
    });
  }

  /** A consistent copy of the counters. */
  stats(): TelemetryStats {
    this.#buffer.checkAll();
    this.#countOverflow();
    return this.#ledger.snapshot(this.#pending());
  }

  /** The consumer of the bus. It runs on the host's path: it counts and keeps the event, and schedules a flush. */
  readonly accept: EventConsumer = (metrics, packed, definition, isChecked) => {
    const ledger = this.#ledger;
    // The host's code may have run since the gate was asked: a getter.
    if (this.#isStopped) {
      if (!isChecked) keepUsable(metrics, definition, ledger);
      return ledger.refuse('opted_out', definition.type);
    }
    ledger.published += 1;
    if (this.#published?.hasSubscribers === true) ledger.channels?.tell('published', definition.type);
    if (!this.#isArmed) this.#arm();
    if (this.#buffer.push(definition, metrics, packed, isChecked)) soon(this.#checkBuffer);
  };

  readonly #checkBuffer = (): void => this.#buffer.checkAll();

  /** Waits for what was accepted before the call, with `drainConcurrency`. @returns Whether the deadline came first. */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#drains += 1;
    void this.#options.gate.look();
    this.#dispatcher.pause.wake();
    this.#startWorkers();
    try {
      const { clock, late } = this.#options;
      const untilMs = clock.now() + deadlineMs;
      if (late !== undefined && late.size > 0 && !(await settlesWithin(late.settled(), deadlineMs, clock))) return true;
      return await this.#wait(this.#drainWaiters, Math.max(0, untilMs - clock.now()));
    } finally {
      this.#drains -= 1;
    }
  }

  /** Delivers what it can by the deadline, with one attempt each, and accounts for the rest. @returns Whether the deadline came first. */
  async close(deadlineMs: number): Promise<boolean> {
    const { clock, gate, late } = this.#options;
    const untilMs = clock.now() + deadlineMs;
    // The last chance to learn whether the events may be sent. If not, there is nothing to wait for.
    if (gate.state === 'unknown') await settlesWithin(gate.look(), deadlineMs, clock);
    const giveUp = () => {
      this.#dropAll(this.#whyLeft());
    };
    const leftMs = () => Math.max(0, untilMs - clock.now());
    const leave = () => this.#leave({ untilMs, giveUp }, leftMs());
    const { nextSeq } = this.#buffer;
    const counted = { deadline: this.#counted('deadline'), undecided: this.#counted('undecided') };
    let timedOut = await leave();
    // Only then: what the host still looks up, or never finds, takes no time from the events that are here.
    if (late !== undefined && late.size > 0) {
      const mayWait = !timedOut && gate.state !== 'unknown';
      timedOut = !(mayWait && (await settlesWithin(late.settled(), leftMs(), clock)));
      late.giveUp(this.#whyLeft());
    }
    // What the look-ups have published since, also while the first events were in flight.
    if (this.#buffer.nextSeq > nextSeq) timedOut = (await leave()) || timedOut;
    const why = this.#whyLeft();
    await this.#stop(why);
    this.#tellLost(why, counted[why]);
    gate.close();
    // Also after an opt-out, which has begun it.
    if (await this.#dispatcher.closesWithin(leftMs())) return timedOut;
    this.#options.log.warn('transport_close_slow', 'close() ended before the transport had closed');
    return true;
  }

  /** A program that ends is not there any more when its operator wonders why nothing has arrived. */
  #tellLost(reason: string, countedBefore: number): void {
    const lost = this.#counted(reason) - countedBefore;
    const { cause } = this.#dispatcher;
    if (lost > 0)
      this.#options.log.warn(reason, `close() ended before ${lost} events could be sent${cause === undefined ? '' : ` (${cause})`}`);
  }

  #counted(reason: string): number {
    return this.stats().reasons[reason] ?? 0;
  }

  /** Why the events that wait at a close are not sent. */
  #whyLeft(): 'undecided' | 'deadline' {
    return this.#options.gate.state === 'unknown' ? 'undecided' : 'deadline';
  }

  #dropAll(reason: string): void {
    this.#ledger.drop(reason, this.#buffer.length, this.#buffer.waiting());
    this.#buffer.clear();
  }

  /** Schedules a flush and sets the exit hook. */
  #arm(): void {
    this.#isArmed = true;
    this.#buffer.setTime(this.#options.clock.wallNow());
    // A host may publish in its own `beforeExit`: only a flush that holds the process for one turn happens after that. If the host does so
    // each time, the process must end all the same.
    const mayHold = this.#exitTimeLeftMs() > 0;
    this.#flushLater.schedule(mayHold);
    if (this.#options.drainOnExit) this.#processEnd.arm(this.#leaver);
  }

  #flush(): void {
    this.#isArmed = false;
    this.#countOverflow();
    this.#dispatcher.spread();
    this.#startWorkers();
  }

  #startWorkers(): void {
    this.#dispatcher.startWorkers();
    if (!this.#isStopped && this.#pending() > 0) this.#heartbeat.keepGoing();
  }

  #onHeartbeat(): void {
    const { drainOnExit, gate, sendCapMs } = this.#options;
    gate.check();
    if (gate.state === 'shut') return;
    // A host that came back from its `beforeExit`.
    if (drainOnExit && this.#leaving === undefined && this.#pending() > 0) this.#processEnd.arm(this.#leaver);
    this.#dispatcher.abortOverdue(sendCapMs);
    this.#startWorkers();
  }

  #onSettled(outcome: SendOutcome): void {
    const { clock, gate } = this.#options;
    const leaving = this.#leaving;
    if (leaving !== undefined) {
      if (gate.state === 'unknown') leaving.giveUp();
      if (outcome.kind === 'deferred' && clock.now() + outcome.waitMs > leaving.untilMs) leaving.giveUp();
    }
    this.#notifyWaiters();
  }

  #notifyWaiters(): void {
    // The oldest waiting event is known at once; the oldest in flight is searched for, so only if a waiter may end.
    const oldestWaiting = this.#buffer.oldestSeq;
    for (const waiters of [this.#drainWaiters, this.#leaveWaiters]) {
      if (waiters.mayEndAt(oldestWaiting)) waiters.reached(this.#dispatcher.oldestSeq);
    }
    if (this.#processEnd.isArmed(this.#leaver) && this.#pending() === 0) {
      this.#isArmed = false;
      this.#processEnd.disarm(this.#leaver);
    }
  }

  /** Ends everything: what waits or is in flight is accounted for, timers are cleared, the transport is closed. */
  async #stop(reason: 'opted_out' | 'undecided' | 'deadline'): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#options.late?.giveUp(reason);
    this.#dropAll(reason);
    this.#heartbeat.stop();
    this.#processEnd.forget(this.#leaver);
    await this.#dispatcher.stop();
    // Events that were not tried have come back.
    this.#dropAll(reason);
    this.#notifyWaiters();
  }

  /** The process has nothing else to do. @returns Resolves when it is let go; undefined if that was at once. */
  #leaveProcess(): Promise<unknown> | undefined {
    this.#isArmed = false;
    const { clock, gate } = this.#options;
    const deadlineMs = this.#exitTimeLeftMs();
    // A close() has its own deadline and continues.
    if (this.#isStopped || this.#leaving !== undefined || this.#pending() === 0) return undefined;
    // Nothing may be sent now, and a file that cannot be read must not hold the process.
    if (deadlineMs === 0 || gate.state === 'unknown') {
      this.#letGo();
      return undefined;
    }
    // Keep pending events but start nothing: that would keep a finished process alive. If the host began a close() meanwhile, that
    // has its own deadline and continues.
    const waited = underWay.waits.begin();
    const giveUp = () => {
      waited();
      const isReplaced = this.#leaving !== undefined && this.#leaving !== leaving;
      if (this.#isStopped || isReplaced || this.#pending() === 0) return;
      this.#letGo();
      this.#leaveWaiters.reached(Infinity);
    };
    const leaving: Leaving = { untilMs: clock.now() + deadlineMs, giveUp };
    return this.#leave(leaving, deadlineMs).then(giveUp, giveUp);
  }

  /** Releases the process: connects end, and nothing starts until the next heartbeat. What waits stays in the buffer. */
  #letGo(): void {
    this.#isHurrying = false;
    this.#dispatcher.pause.wake();
    this.#dispatcher.pause.backOff(HEARTBEAT_MS);
    this.#options.transport[steering]?.letGo?.();
  }

  #hurry(): void {
    this.#isHurrying = true;
    this.#dispatcher.spread();
    this.#startWorkers();
  }

  #liveOn(): void {
    this.#isHurrying = false;
    this.#dispatcher.pause.wake();
    if (!this.#isStopped && this.#pending() > 0) this.#arm();
  }

  /** How long an exit may hold the process: `exitDeadlineMs` in all, however often the host comes back from its `beforeExit`. */
  #exitTimeLeftMs(): number {
    const { drainOnExit, exitDeadlineMs } = this.#options;
    return drainOnExit ? Math.max(0, exitDeadlineMs - this.#processEnd.elapsedMs) : 0;
  }

  async #leave(leaving: Leaving, deadlineMs: number): Promise<boolean> {
    const { gate, transport } = this.#options;
    this.#leaving = leaving;
    transport[steering]?.lastCall?.(true);
    this.#dispatcher.pause.wake();
    // Before giving up: giving up ends the wait, so the wait must have begun.
    const waited = this.#wait(this.#leaveWaiters, deadlineMs);
    if (gate.state === 'unknown' || this.#dispatcher.pause.untilMs > leaving.untilMs) {
      leaving.giveUp();
      this.#notifyWaiters();
    }
    this.#startWorkers();
    const timedOut = await waited;
    if (this.#leaving === leaving) {
      this.#leaving = undefined;
      transport[steering]?.lastCall?.(false);
    }
    return timedOut;
  }

  #wait(waiters: DrainWaiters, deadlineMs: number): Promise<boolean> {
    return waiters.wait(this.#buffer.nextSeq, this.#dispatcher.oldestSeq, deadlineMs);
  }

  /** Counts what the buffer dropped. Not in `accept`: each publish would pay for it. */
  #countOverflow(): void {
    // A loop, because the logger is the host's and may publish.
    for (let dropped = this.#buffer.takeOverflow(); dropped > 0; dropped = this.#buffer.takeOverflow()) {
      this.#ledger.drop('buffer_full', dropped);
      this.#options.log.warn('buffer_full', 'the buffer is full; the oldest events are dropped');
    }
  }

  #limit(): number {
    const { concurrency, drainConcurrency } = this.#options;
    return this.#isUrgent ? Math.max(concurrency, drainConcurrency) : concurrency;
  }

  get #isUrgent(): boolean {
    return this.#drains > 0 || this.#isHurrying || this.#leaving !== undefined;
  }

  #pending(): number {
    return this.#buffer.length + this.#dispatcher.inFlight;
  }
}

interface Waiter {
  readonly untilSeq: number;
  readonly timer: Timer;
  readonly end: (timedOut: boolean) => void;
}

/** Callers that wait for events to be settled, each up to its own event and with its own deadline. */
class DrainWaiters {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  #lowestSeq = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits until all events before `untilSeq` are settled. Its timer keeps the process alive: a caller awaits it.
   *
   * @returns Whether the deadline came first.
   */
  wait(untilSeq: number, oldestSeq: number, deadlineMs: number): Promise<boolean> {
    if (oldestSeq >= untilSeq) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (timedOut: boolean) => {
        this.#waiters.delete(waiter);
        this.#lowestSeq = Math.min(...Array.from(this.#waiters, (other) => other.untilSeq));
        this.#clock.clearTimeout(waiter.timer);
        resolve(timedOut);
      };
      const timer = this.#clock.setTimeout(
        () => {
          end(true);
        },
        Math.min(deadlineMs, MAX_TIMER_MS),
      );
      const waiter: Waiter = { untilSeq, timer, end };
      this.#waiters.add(waiter);
      this.#lowestSeq = Math.min(this.#lowestSeq, untilSeq);
    });
  }

  /** Ends the waits for events before `oldestSeq`: all of these are settled. */
  reached(oldestSeq: number): void {
    for (const waiter of this.#waiters) if (oldestSeq >= waiter.untilSeq) waiter.end(false);
  }

  /** Whether `reached(seq)` would end a wait. It is cheap, so that the exact sequence number is computed only if it matters. */
  mayEndAt(seq: number): boolean {
    return this.#waiters.size > 0 && seq >= this.#lowestSeq;
  }
}
