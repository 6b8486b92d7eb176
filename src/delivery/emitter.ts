import type { EventConsumer } from '../bus.js';
import type { TelemetryStats } from '../ledger.js';
import type { Timer } from '../timing.js';
import { Checkpoints } from './checkpoints.js';
import { Dispatcher } from './dispatcher.js';
import type { DispatcherOptions } from './dispatcher.js';
import { EventBuffer } from './event-buffer.js';
import { notBeforeExit, onceBeforeExit } from './exit-hook.js';
import { CONNECT_REASON, lastCall } from './transport.js';
import type { SendOutcome } from './transport.js';

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

/** How often opt-outs and the cap are looked at while events wait or are under way. */
const HEARTBEAT_MS = 1000;

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
  readonly #buffer: EventBuffer;
  readonly #dispatcher: Dispatcher;
  readonly #drainWaits: Checkpoints;
  readonly #leaveWaits: Checkpoints;
  #isKicked = false;
  #isHooked = false;
  #isStopped = false;
  #drains = 0;
  #leaving: Leaving | undefined;
  #heartbeat: Timer | undefined;

  constructor(options: EmitterOptions) {
    this.#options = options;
    this.#buffer = new EventBuffer(options.maxPendingEvents);
    this.#drainWaits = new Checkpoints(options.clock);
    this.#leaveWaits = new Checkpoints(options.clock);
    this.#dispatcher = new Dispatcher({
      ...options,
      buffer: this.#buffer,
      limit: () => this.#limit(),
      onSettled: (outcome) => {
        this.#onSettled(outcome);
      },
    });
    options.gate.whenShut(() => {
      this.#stop('opted_out');
    });
  }

  /** A consistent copy of the accounts. */
  stats(): TelemetryStats {
    return this.#options.ledger.snapshot(this.#pending());
  }

  /** The consumer of the bus, on the host's path: counts, keeps, and sees to it that somebody looks later. */
  readonly accept: EventConsumer = (metrics, packed, definition) => {
    const { ledger, log, clock, drainOnExit } = this.#options;
    ledger.published += 1;
    const isFull = this.#buffer.push(definition, metrics, packed);
    if (isFull) {
      ledger.drop('buffer_full', 1);
      log.warn('buffer_full', 'more events wait than are kept; the oldest are dropped');
    }
    if (!this.#isKicked) {
      this.#isKicked = true;
      clock.defer(this.#kick);
    }
    if (drainOnExit && !this.#isHooked) {
      this.#isHooked = true;
      onceBeforeExit(this.#onBeforeExit);
    }
  };

  /** Waits for what was accepted so far, with more concurrency. @returns Whether the deadline came first. */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#drains += 1;
    this.#kick();
    try {
      return await this.#wait(this.#drainWaits, deadlineMs);
    } finally {
      this.#drains -= 1;
    }
  }

  /** Delivers what the deadline allows, one attempt each, and accounts for the rest. @returns Whether the deadline came first. */
  async close(deadlineMs: number): Promise<boolean> {
    const timedOut = await this.#leave(deadlineMs, () => {
      this.#options.ledger.drop('deadline', this.#buffer.clear());
    });
    this.#stop('deadline');
    return timedOut;
  }

  readonly #kick = (): void => {
    this.#isKicked = false;
    this.#dispatcher.kick();
    if (this.#heartbeat === undefined && !this.#isStopped && this.#pending() > 0) this.#armHeartbeat();
  };

  #armHeartbeat(): void {
    const { clock, gate, sendCapMs } = this.#options;
    this.#heartbeat = clock.setTimeout(() => {
      this.#heartbeat = undefined;
      if (!gate.check()) return;
      this.#dispatcher.abortOverdue(sendCapMs);
      this.#kick();
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
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
    for (const waits of [this.#drainWaits, this.#leaveWaits]) if (!waits.isEmpty) waits.reached(this.#dispatcher.oldestSeq);
    if (this.#isHooked && this.#pending() === 0) {
      this.#isHooked = false;
      notBeforeExit(this.#onBeforeExit);
    }
  }

  /** Nothing waits, nothing is under way, nothing holds memory or sockets; what did is accounted for. */
  #stop(reason: 'opted_out' | 'deadline'): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    const { clock, ledger } = this.#options;
    ledger.drop(reason, this.#buffer.clear());
    this.#dispatcher.stop();
    if (this.#heartbeat !== undefined) clock.clearTimeout(this.#heartbeat);
    this.#settled();
  }

  readonly #onBeforeExit = (): void => {
    this.#isHooked = false;
    // Whatever is left stays, should the process live on; but starting it at once would hold a process that does not.
    const rest = () => {
      if (this.#isStopped || this.#pending() === 0) return;
      this.#dispatcher.pause(HEARTBEAT_MS);
      this.#leaveWaits.reached(Infinity);
    };
    void this.#leave(this.#options.exitDeadlineMs, rest).then(rest);
  };

  async #leave(deadlineMs: number, giveUp: () => void): Promise<boolean> {
    const { clock, transport } = this.#options;
    const leaving: Leaving = { untilMs: clock.now() + deadlineMs, giveUp };
    this.#leaving = leaving;
    transport[lastCall]?.(true);
    // Waited for before anything is given up: whoever gives up ends the waiting, and cannot end what has not begun.
    const waiting = this.#wait(this.#leaveWaits, deadlineMs);
    if (this.#dispatcher.pausedUntilMs > leaving.untilMs) {
      giveUp();
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

  #limit(): number {
    const { concurrency, drainConcurrency } = this.#options;
    return this.#drains > 0 || this.#leaving !== undefined ? Math.max(concurrency, drainConcurrency) : concurrency;
  }

  #pending(): number {
    return this.#buffer.length + this.#dispatcher.inFlight;
  }
}
