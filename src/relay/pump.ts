/** The pump takes events out of the store, has them sent, and records the outcome of each. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../base/clock.js';
import { Ledger } from '../base/ledger.js';
import { Dispatcher } from '../delivery/dispatcher.js';
import type { DispatcherOptions } from '../delivery/dispatcher.js';
import type { TakenEvent } from '../delivery/event-buffer.js';
import { NextTick, Heartbeat } from '../delivery/pacing.js';
import { causeOf, steering } from '../delivery/transport.js';
import type { EventOutcome, Transport } from '../delivery/transport.js';
import type { EventDefinition } from '../events/definition.js';
import type { Gate } from '../opt-out/gate.js';
import type { RelayStore, StoredEvent } from '../delivery/relay-store.js';
import { backoff } from './backoff.js';
import type { BackoffOptions } from './backoff.js';
import { DeliveryRecord } from './delivery-record.js';
import type { RelayLog } from './log.js';
import type { RecentEvents } from './page/recent-events.js';
import { isOfDagFactory } from './path-forms.js';
import { Refusals } from './refusals.js';
import { RelayedEvent } from './relayed-event.js';

/** What a pump needs. */
interface PumpOptions extends BackoffOptions {
  store: RelayStore;
  /** Sends a batch of events with one destination, once. */
  transport: Transport;
  gate: Gate;
  ledger: RelayLedger;
  log: RelayLog;
  /** Told the fate of each event, if it may be shown. */
  recent?: Pick<RecentEvents, 'settled' | 'expire' | 'findLost'> | undefined;
  clock: Clock;
  concurrency: number;
  drainConcurrency: number;
  /** An attempt that has not settled after this time loses its slot, and its event fails with reason `timeout`. */
  sendCapMs: number;
  /** Whether the store has room for more events. If not, sending does not pause, since only sending makes room. */
  hasRoom: () => boolean;
  /** The longest random delay of an event, in milliseconds. @default 0 */
  spreadMs?: number | undefined;
  /** @default the load of this process */
  load?: Pick<IntakeLoad, 'add' | 'isHigh'>;
}

/** The pause after each round of attempts while the load is high. */
const LOAD_PAUSE_MS = 50;

/** A `drain()` that is waiting. */
interface Drain {
  readonly untilMs: number;
  readonly end: (timedOut: boolean) => void;
}

/** Sends the events of the store, in order, with limited concurrency. */
export class Pump {
  readonly #options: PumpOptions;
  readonly #refusals: Refusals;
  readonly #dispatcher: Dispatcher;
  readonly #load: Pick<IntakeLoad, 'add' | 'isHigh'>;
  readonly #nextTick: NextTick;
  readonly #heartbeat: Heartbeat;
  #isStopped = false;
  /** Whether only events that stepped aside wait, and the dispatcher's pause lasts until one has its turn. */
  #isHeld = false;
  #drain: Drain | undefined;
  /** What the outcomes of attempts show. */
  readonly record: DeliveryRecord;

  constructor(options: PumpOptions) {
    const { clock, gate } = options;
    this.#options = options;
    this.#load = options.load ?? new IntakeLoad(clock);
    this.record = new DeliveryRecord({ clock, log: options.log, pending: () => this.pending });
    this.record.setUndecided(gate.state === 'unknown');
    this.#refusals = new Refusals({ ...options, onResumed: this.#onResumed });
    this.#dispatcher = new Dispatcher({
      ...options,
      transport: backoff(this.#refusals.judge(options.transport), options),
      buffer: bufferOf(options, this.#take),
      builder: { build: unbuilt },
      limit: this.#limit,
      // What has no room does not wait: only sending makes room.
      isUrgent: () => this.#drain !== undefined || !options.hasRoom(),
      onSettled: this.#onSettled,
    });
    this.#nextTick = new NextTick(clock, () => {
      this.#dispatcher.spread();
      this.#dispatcher.startWorkers();
    });
    this.#heartbeat = new Heartbeat(clock, this.#beat);
    gate.whenShut(this.#onOptOut);
    this.#heartbeat.keepGoing();
    this.#nextTick.schedule();
  }

  /** The number of events in the store or in flight. */
  get pending(): number {
    return this.#options.store.length + this.#dispatcher.inFlight;
  }

  /** Whether sending pauses because the endpoint refuses events. */
  get isPaused(): boolean {
    return this.#refusals.isPaused;
  }

  /** Whether the endpoint cannot be reached. */
  get isOffline(): boolean {
    return this.#dispatcher.isOffline;
  }

  /** The store calls this at once when it has more events. */
  readonly onStored = (events: number): void => {
    const { ledger, store, clock, gate } = this.#options;
    ledger.published += events;
    this.#load.add(events);
    if (!this.#isStopped) return this.onReady();
    gate.check();
    // Events that were being written when an opt-out appeared.
    if (gate.state === 'shut') clock.defer(() => ledger.drop('opted_out', store.clear()));
  };

  /** To be called when events that waited on disk can be taken, or are lost. */
  onReady(): void {
    if (this.#isHeld && !this.isPaused) this.#dispatcher.pause.wake();
    this.#nextTick.schedule();
    this.#endDrainIfDone();
  }

  /**
   * Sends all pending events, with more concurrency. Ends before the deadline if no event can be sent until then.
   *
   * @returns Whether events are left.
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
          this.#lastCall(false);
          clock.clearTimeout(timer);
          resolve(timedOut);
        },
      };
      this.#drain?.end(true);
      this.#drain = drain;
      this.#lastCall(true);
      // A pause ends here, whatever its reason: this is the last chance to send, and to learn whether events may be sent.
      this.#dispatcher.pause.end();
      this.#refusals.hurry();
      this.#dispatcher.startWorkers();
      if (this.#options.gate.state === 'unknown') void this.#options.gate.look().then(() => this.#endDrainIfDone());
      else this.#endDrainIfDone();
    });
  }

  #lastCall(isLast: boolean): void {
    this.#options.transport[steering]?.lastCall?.(isLast);
  }

  /** Starts no more attempts, ends those in flight, and records their outcomes. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#heartbeat.stop();
    await this.#dispatcher.stop();
    this.#drain?.end(this.pending > 0);
  }

  readonly #limit = (): number => {
    const { concurrency, drainConcurrency } = this.#options;
    if (this.isPaused) return 1;
    return this.#drain === undefined ? concurrency : Math.max(concurrency, drainConcurrency);
  };

  /** Takes events in order, except those that stepped aside. */
  readonly #take = (limit: number): StoredEvent[] => {
    const { store } = this.#options;
    this.#isHeld = false;
    const most = this.#refusals.isPaused ? 1 : Math.min(limit, this.#refusals.maxTogether);
    if (!this.#refusals.isPaused && this.#refusals.size === 0) {
      const taken = store.take(most);
      const together = oneDestination(taken);
      if (together.length < taken.length) store.putBack(taken.slice(together.length));
      return together;
    }
    const waiting = store.take(this.#refusals.size + most);
    const turn = this.#refusals.next(waiting);
    const event = 'event' in turn ? turn.event : undefined;
    const together = event === undefined ? [] : this.#company(event, waiting, most);
    store.putBack(waiting.filter((each) => !together.includes(each)));
    if (event !== undefined) return together;
    if ('waitMs' in turn && waiting.length > 0) this.#hold(turn.waitMs);
    return [];
  };

  /** An event whose turn it is, and those that go with it: one that stepped aside goes alone. */
  #company(event: StoredEvent, waiting: readonly StoredEvent[], most: number): StoredEvent[] {
    const isAside = ({ seq }: StoredEvent) => this.#refusals.isAside(seq);
    if (most === 1 || isAside(event)) return [event];
    return oneDestination(waiting.filter((each) => each.seq >= event.seq && !isAside(each)).slice(0, most));
  }

  /** Now there is room for more workers than one. */
  readonly #onResumed = (): void => {
    if (this.#isHeld) this.#dispatcher.pause.wake();
    this.#nextTick.schedule();
  };

  #hold(waitMs: number): void {
    this.#isHeld = true;
    this.#dispatcher.pause.backOff(waitMs);
    this.#endDrainIfDone();
  }

  readonly #onOptOut = (): void => {
    const { ledger, log, store } = this.#options;
    log.warn('opted_out', 'an opt-out has appeared: pending and new events are discarded');
    void this.stop();
    ledger.drop('opted_out', store.clear());
    // What other relays accepted is theirs to send or to delete.
    if (store.stats().queue !== undefined) void store.close();
  };

  readonly #onSettled = (outcome: EventOutcome, taken: readonly TakenEvent[]): void => {
    const { hasRoom, ledger, recent, spreadMs = 0, store } = this.#options;
    const cause = causeOf(outcome);
    if (cause !== undefined) add(ledger.attemptsFailedBy, cause, 1);
    this.record.observe(outcome, cause);
    if (recent !== undefined) for (const { target, acceptedAtMs } of storedOf(taken)) recent.settled(target, acceptedAtMs, outcome);
    if (outcome.kind !== 'deferred') store.settle(storedOf(taken));
    if (this.#drain !== undefined) this.#endDrainIfDone();
    else if (spreadMs === 0 && this.#load.isHigh && hasRoom()) this.#dispatcher.pause.backOff(LOAD_PAUSE_MS);
  };

  #endDrainIfDone(): void {
    const drain = this.#drain;
    if (drain === undefined) return;
    if (this.pending === 0) drain.end(false);
    else if (this.#dispatcher.inFlight === 0 && this.#nothingStartsBefore(drain.untilMs)) drain.end(true);
  }

  #nothingStartsBefore(untilMs: number): boolean {
    return this.#options.gate.state === 'unknown' || this.#dispatcher.pause.untilMs >= untilMs;
  }

  /** Once a second: looks for opt-outs, drops expired events, and ends attempts that do not settle. Stops after an opt-out. */
  readonly #beat = (): void => {
    const { gate, store, ledger, log, recent, sendCapMs } = this.#options;
    gate.checkAttempt();
    if (this.#isStopped || gate.state === 'shut') return;
    this.record.setUndecided(gate.state === 'unknown');
    this.record.say(this.isOffline || this.isPaused);
    dropExpired(store, ledger, log);
    if (recent !== undefined) this.#findGone(recent);
    this.#refusals.forgetBefore(this.#dispatcher.oldestSeq);
    this.#dispatcher.abortOverdue(sendCapMs);
    this.#dispatcher.startWorkers();
    this.#heartbeat.keepGoing();
  };

  #findGone(recent: Pick<RecentEvents, 'expire' | 'findLost'>): void {
    const { oldestAgeMs, queue } = this.#options.store.stats();
    // Another relay may have taken and sent an event of a queue.
    if (queue !== undefined) return;
    recent.expire();
    if (this.pending === 0) recent.findLost(undefined);
    else if (oldestAgeMs !== undefined) recent.findLost(oldestAgeMs);
  }
}

/** Drops the events that are too old, counts them, and says so. */
export function dropExpired(store: RelayStore, ledger: RelayLedger, log: RelayLog): void {
  const expired = store.expire();
  ledger.drop('expired', expired);
  if (expired > 0) log.warn('expired', `${expired} events that were pending for longer than \`maxAgeMs\` are dropped`);
}

/** The store as the dispatcher's buffer. */
function bufferOf({ store, gate, ledger }: PumpOptions, take: (limit: number) => StoredEvent[]): DispatcherOptions['buffer'] {
  return {
    get length() {
      return store.length;
    },
    get ready() {
      return store.ready;
    },
    get oldestSeq() {
      return store.oldestSeq;
    },
    take: (limit) => take(limit).map(inFlight),
    putBack: (taken) => {
      // An opt-out that appeared meanwhile has cleared the store.
      if (gate.state !== 'shut') store.putBack(storedOf(taken));
      else ledger.drop('opted_out', taken.length);
      return 0;
    },
  };
}

/** A stored event in flight. */
interface EventInFlight extends TakenEvent {
  readonly stored: StoredEvent;
}

/** The start of the events that go to one place: a batch has one destination. DAG Factory takes one event at a time. */
function oneDestination(events: readonly StoredEvent[]): StoredEvent[] {
  const end = events.findIndex(({ target }) => isOfDagFactory(target));
  return end === 0 ? events.slice(0, 1) : events.slice(0, end === -1 ? undefined : end);
}

/** A definition without fields: those of a relayed event were checked when it was received. */
const RELAYED: EventDefinition = { type: 'relayed', fields: {}, description: 'Sent when Cosmos has sent it.' };
const NO_METRICS = Object.freeze({});

/** A stored event as the dispatcher takes it. */
function inFlight(stored: StoredEvent): EventInFlight {
  return {
    seq: stored.seq,
    definition: RELAYED,
    metrics: NO_METRICS,
    packed: undefined,
    timeMs: stored.acceptedAtMs,
    built: new RelayedEvent(stored),
    stored,
  };
}

function storedOf(taken: readonly TakenEvent[]): StoredEvent[] {
  return taken.map((event) => (event as EventInFlight).stored);
}

function unbuilt(): never {
  throw new Error('A relayed event is built when it is taken.');
}

/** How often the load is measured again. */
const WINDOW_MS = 100;

/** If the event loop is busy for this share of time, the process has no capacity to spare: the rest is waiting for disk and processor. */
const BUSY = 0.5;

/** With fewer events in a window the load is not high. */
const MIN_EVENTS = 20;

/**
 * Load shedding: whether events come in so fast that sending would delay the answers. A hook of Cosmos waits for its answer; an event in
 * the spool can wait.
 */
export class IntakeLoad {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #utilization: () => number;
  #windowStartMs: number;
  #events = 0;
  #isHigh = false;

  /** @param utilization The share of time in which the event loop was busy since the last call, from 0 to 1. @default this process's */
  constructor(clock: Pick<Clock, 'now'>, utilization = loopUtilization()) {
    this.#clock = clock;
    this.#utilization = utilization;
    this.#windowStartMs = clock.now();
  }

  /** Counts events that came in. */
  add(events: number): void {
    this.#events += events;
  }

  get isHigh(): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#isHigh = this.#utilization() >= BUSY && this.#events >= MIN_EVENTS;
      this.#windowStartMs = nowMs;
      this.#events = 0;
    }
    return this.#isHigh;
  }
}

function loopUtilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/** The library's ledger, with separate reasons for failed and for dropped events. */
export class RelayLedger extends Ledger {
  readonly failedBy = new Map<string, number>();
  /** Attempts, not events: an event that could not be sent waits for another one. */
  readonly attemptsFailedBy = new Map<string, number>();
  readonly droppedBy = new Map<string, number>();
  /** Events of batches that were not accepted. They are in no other account. */
  readonly refusedBy = new Map<string, number>();
  /** Events that came again, with the same id. */
  duplicates = 0;

  countRefusal(reason: string): void {
    add(this.refusedBy, reason, 1);
  }

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
