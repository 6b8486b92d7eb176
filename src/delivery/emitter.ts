import { MAX_TIMER_MS } from '../base/check-options.js';
import type { Clock, Timer } from '../base/clock.js';
import type { Ledger, TelemetryStats } from '../base/ledger.js';
import type { EventConsumer } from '../bus/bus.js';
import { Dispatcher } from './dispatcher.js';
import type { DispatcherOptions } from './dispatcher.js';
import { EventBuffer } from './event-buffer.js';
import { DeferredCall, Heartbeat, HEARTBEAT_MS } from './pacing.js';
import { CONNECT_REASON, lastCall } from './transport.js';
import type { SendOutcome } from './transport.js';

interface Waiter {
  readonly untilSeq: number;
  readonly timer: Timer;
  readonly end: (timedOut: boolean) => void;
}

/** Those who wait for events to be over, each up to an event of its own and a deadline of its own. */
export class Checkpoints {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  /** The least that anybody waits for. */
  #soonestSeq = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits until everything before `untilSeq` is over. The timer holds the process, since somebody awaits it.
   *
   * @returns Whether the deadline came first.
   */
  wait(untilSeq: number, oldestSeq: number, deadlineMs: number): Promise<boolean> {
    if (oldestSeq >= untilSeq) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (timedOut: boolean) => {
        this.#waiters.delete(waiter);
        this.#soonestSeq = Math.min(...Array.from(this.#waiters, (other) => other.untilSeq));
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
      this.#soonestSeq = Math.min(this.#soonestSeq, untilSeq);
    });
  }

  /** Says how far it is: everything before `oldestSeq` is over. */
  reached(oldestSeq: number): void {
    for (const waiter of this.#waiters) if (oldestSeq >= waiter.untilSeq) waiter.end(false);
  }

  /** Whether somebody waits for nothing beyond `seq`, so that nobody computes how far it is for nothing. */
  mayEndAt(seq: number): boolean {
    return this.#waiters.size > 0 && seq >= this.#soonestSeq;
  }
}

/** How an emitter is made. */
export interface EmitterOptions extends Omit<DispatcherOptions, 'buffer' | 'limit' | 'onSettled'> {
  maxPendingEvents: number;
  concurrency: number;
  drainConcurrency: number;
  /** After this time a `send()` that has not settled loses its slot and its events count as `timeout`. */
  sendCapMs: number;
  drainOnExit: boolean;
  exitDeadlineMs: number;
}

const waiting = new Set<() => void>();

/** One `beforeExit` listener serves all who wait, and it is there only while somebody does. */
function callAll(): void {
  // Gone before anybody is called: a callback that writes to a stream would otherwise bring it back for ever.
  process.off('beforeExit', callAll);
  const callbacks = [...waiting];
  waiting.clear();
  for (const callback of callbacks) callback();
}

/** One callback for the moment when the process has nothing else to do. It can be set and cleared, and is cleared when it is called. */
export class ExitHook {
  readonly #callback: () => void;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  get isSet(): boolean {
    return waiting.has(this.#callback);
  }

  set(): void {
    if (waiting.size === 0) process.on('beforeExit', callAll);
    waiting.add(this.#callback);
  }

  clear(): void {
    if (waiting.delete(this.#callback) && waiting.size === 0) process.off('beforeExit', callAll);
  }
}

/** The host is leaving: each event is worth one more attempt, and the first sign of a dead network ends that too. */
interface Leaving {
  readonly untilMs: number;
  readonly giveUp: () => void;
}

/**
 * Takes events over from the bus and has them delivered off the host's path: a bounded buffer, a dispatcher, and an account of
 * every event.
 */
export class Emitter {
  readonly #options: EmitterOptions;
  readonly #ledger: Ledger;
  readonly #buffer: EventBuffer;
  readonly #dispatcher: Dispatcher;
  readonly #drainWaits: Checkpoints;
  readonly #leaveWaits: Checkpoints;
  readonly #heartbeat: Heartbeat;
  readonly #lookLater: DeferredCall;
  readonly #exitHook = new ExitHook(() => this.#onBeforeExit());
  #isAwake = false;
  #isStopped = false;
  #drains = 0;
  #leaving: Leaving | undefined;

  constructor(options: EmitterOptions) {
    this.#options = options;
    this.#ledger = options.ledger;
    this.#buffer = new EventBuffer(options.maxPendingEvents);
    this.#drainWaits = new Checkpoints(options.clock);
    this.#leaveWaits = new Checkpoints(options.clock);
    this.#lookLater = new DeferredCall(options.clock, () => this.#look());
    this.#heartbeat = new Heartbeat(options.clock, () => {
      if (!options.gate.check()) return;
      this.#dispatcher.abortOverdue(options.sendCapMs);
      this.#kick();
    });
    const [limit, onSettled] = [() => this.#limit(), (outcome: SendOutcome) => this.#onSettled(outcome)];
    this.#dispatcher = new Dispatcher({ ...options, buffer: this.#buffer, limit, onSettled });
    options.gate.whenShut(() => {
      void this.#stop('opted_out');
    });
  }

  /** A consistent copy of the accounts. */
  stats(): TelemetryStats {
    this.#countOverflow();
    return this.#ledger.snapshot(this.#pending());
  }

  /** The consumer of the bus, on the host's path: counts, keeps, and sees to it that somebody looks later. */
  readonly accept: EventConsumer = (metrics, packed, definition) => {
    const ledger = this.#ledger;
    // Foreign code ran since the gate was asked: a getter of the host's.
    if (this.#isStopped) return ledger.refuse('opted_out');
    ledger.published += 1;
    this.#buffer.push(definition, metrics, packed);
    if (!this.#isAwake) this.#wake();
  };

  /** Sees to it that somebody looks later, and at the exit. */
  #wake(): void {
    this.#isAwake = true;
    this.#lookLater.soon();
    if (this.#options.drainOnExit) this.#exitHook.set();
  }

  /** Waits for what was accepted so far, with more concurrency. @returns Whether the deadline came first. */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#drains += 1;
    this.#dispatcher.pause.wake();
    this.#kick();
    try {
      return await this.#wait(this.#drainWaits, deadlineMs);
    } finally {
      this.#drains -= 1;
    }
  }

  /** Delivers what the deadline allows, one attempt each, and accounts for the rest. @returns Whether the deadline came first. */
  async close(deadlineMs: number): Promise<boolean> {
    const { clock, ledger } = this.#options;
    const giveUp = () => {
      ledger.drop('deadline', this.#buffer.clear());
    };
    const timedOut = await this.#leave({ untilMs: clock.now() + deadlineMs, giveUp }, deadlineMs);
    await this.#stop('deadline');
    return timedOut;
  }

  #look(): void {
    this.#isAwake = false;
    this.#countOverflow();
    this.#kick();
  }

  #kick(): void {
    this.#dispatcher.kick();
    if (!this.#isStopped && this.#pending() > 0) this.#heartbeat.keepGoing();
  }

  #onSettled(outcome: SendOutcome): void {
    const { clock } = this.#options;
    const leaving = this.#leaving;
    if (leaving !== undefined) {
      const isOffline = outcome.kind === 'retryable' && outcome.reason === CONNECT_REASON;
      if (isOffline || (outcome.kind === 'deferred' && clock.now() + outcome.waitMs > leaving.untilMs)) leaving.giveUp();
    }
    this.#settled();
  }

  #settled(): void {
    // What waits is known at once; to find the oldest that is under way, all of it must be looked at.
    const oldestWaiting = this.#buffer.oldestSeq;
    for (const waits of [this.#drainWaits, this.#leaveWaits]) if (waits.mayEndAt(oldestWaiting)) waits.reached(this.#dispatcher.oldestSeq);
    if (this.#exitHook.isSet && this.#pending() === 0) {
      this.#isAwake = false;
      this.#exitHook.clear();
    }
  }

  /** Nothing waits, nothing is under way, nothing holds memory or sockets; what did is accounted for. */
  async #stop(reason: 'opted_out' | 'deadline'): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#options.ledger.drop(reason, this.#buffer.clear());
    this.#heartbeat.stop();
    await this.#dispatcher.stop();
    this.#settled();
  }

  #onBeforeExit(): void {
    this.#isAwake = false;
    const { clock, exitDeadlineMs } = this.#options;
    // Whatever is left stays, should the process live on; but starting it at once would hold a process that does not. A close()
    // that the host began meanwhile has a deadline of its own, and goes on.
    const rest = () => {
      const isReplaced = this.#leaving !== undefined && this.#leaving !== leaving;
      if (this.#isStopped || isReplaced || this.#pending() === 0) return;
      this.#dispatcher.pause.rest(HEARTBEAT_MS);
      this.#leaveWaits.reached(Infinity);
    };
    const leaving: Leaving = { untilMs: clock.now() + exitDeadlineMs, giveUp: rest };
    void this.#leave(leaving, exitDeadlineMs).then(rest);
  }

  async #leave(leaving: Leaving, deadlineMs: number): Promise<boolean> {
    const { transport } = this.#options;
    this.#leaving = leaving;
    transport[lastCall]?.(true);
    this.#dispatcher.pause.wake();
    // Waited for before anything is given up: whoever gives up ends the waiting, and cannot end what has not begun.
    const ended = this.#wait(this.#leaveWaits, deadlineMs);
    if (this.#dispatcher.pause.untilMs > leaving.untilMs) {
      leaving.giveUp();
      this.#settled();
    }
    this.#kick();
    const timedOut = await ended;
    if (this.#leaving === leaving) {
      this.#leaving = undefined;
      transport[lastCall]?.(false);
    }
    return timedOut;
  }

  #wait(waits: Checkpoints, deadlineMs: number): Promise<boolean> {
    return waits.wait(this.#buffer.nextSeq, this.#dispatcher.oldestSeq, deadlineMs);
  }

  /** The buffer counts what went for newer events, and this is asked seldom: each publish pays for it while nobody answers. */
  #countOverflow(): void {
    // Until there is nothing new: the logger is the host's, and may publish in its turn.
    for (let dropped = this.#buffer.takeOverflow(); dropped > 0; dropped = this.#buffer.takeOverflow()) {
      this.#ledger.drop('buffer_full', dropped);
      this.#options.log.warn('buffer_full', 'more events wait than are kept; the oldest are dropped');
    }
  }

  #limit(): number {
    const { concurrency, drainConcurrency } = this.#options;
    return this.#drains > 0 || this.#leaving !== undefined ? Math.max(concurrency, drainConcurrency) : concurrency;
  }

  #pending(): number {
    return this.#buffer.length + this.#dispatcher.inFlight;
  }
}
