import type { EventConsumer } from '../bus.js';
import type { Ledger, TelemetryStats } from '../ledger.js';
import { Checkpoints } from './checkpoints.js';
import { DeferredCall } from './deferred-call.js';
import { Dispatcher } from './dispatcher.js';
import type { EmitterOptions } from './emitter-options.js';
import { EventBuffer } from './event-buffer.js';
import { ExitHook } from './exit-hook.js';
import { Heartbeat, HEARTBEAT_MS } from './heartbeat.js';
import { CONNECT_REASON, lastCall } from './transport.js';
import type { SendOutcome } from './transport.js';

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
    const waiting = this.#wait(this.#leaveWaits, deadlineMs);
    if (this.#dispatcher.pause.untilMs > leaving.untilMs) {
      leaving.giveUp();
      this.#settled();
    }
    this.#kick();
    const timedOut = await waiting;
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
