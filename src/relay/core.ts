/** The relay without HTTP: it opens the store, accepts events into it, has the pump send them, and counts. */
import { settlesWithin } from '../base/clock.js';
import { uuidOf } from '../delivery/event-builder.js';
import { ndjsonTransportWith } from '../delivery/ndjson/ndjson-transport.js';
import type { Gate } from '../opt-out/gate.js';
import { hasFreeDescriptor } from './descriptors.js';
import type { RelayLog } from './log.js';
import { loadMetrics } from './metrics.js';
import type { Metrics } from './metrics.js';
import { RETRY_WHEN_FULL_MS } from './options.js';
import type { RelayOptions, RelaySettings } from './options.js';
import type { DeliveryRecord } from './delivery-record.js';
import { dropExpired, Pump, RelayLedger } from './pump.js';
import { becomesLine, idIn, lineOfTarget, readmit } from './event-lines.js';
import { SeenIds } from './seen-ids.js';
import type { DroppedField } from './declared-fields.js';
import type { RecentEvents } from './page/recent-events.js';
import type { TargetOptions } from './request-target.js';
import type { RelayStore, RelayStoreStats, Stored } from '../delivery/relay-store.js';
import type { Relay, RelayStats } from './types.js';
import { exists, hasRoom, openGiven, relayTransport } from './wiring.js';
import type { RelayParts, StoreRequest } from './wiring.js';

const NO_STORE: RelayStoreStats = { waiting: 0, bytes: 0, isDurable: false, recovered: 0, maybeSentTwice: 0, tornLines: 0 };

/** How much longer than the timeout of an attempt a transport may take. */
const TRANSPORT_GRACE_MS = 1000;

/** How much longer than the deadline of a close the disk may take. */
export const DISK_GRACE_MS = 1000;

/** What a core needs. */
interface CoreOptions {
  readonly options: RelayOptions;
  readonly settings: RelaySettings;
  readonly targetOptions: TargetOptions;
  readonly parts: RelayParts;
  readonly gate: Gate;
  readonly log: RelayLog;
  /** The last events, for the page; undefined without `showEvents`. */
  readonly recent?: RecentEvents | undefined;
  /** Its `stats()` are what the metrics report. */
  readonly relay: Pick<Relay, 'stats'>;
}

/** Why no events are accepted: the names of the answers with status 503. */
type NotReady = 'closing' | 'spool_full' | 'spool_unavailable';

/** What a relay that is ready says of itself: the names of the answers with status 200. */
type ReadyBut =
  | 'ready_undecided'
  | 'ready_in_memory'
  | 'ready_without_queue'
  | 'ready_in_queue'
  | 'ready_without_descriptors'
  | 'ready_offline'
  | 'ready_paused';

/** Accepts events, and delivers them later. */
export class RelayCore {
  readonly #options: CoreOptions;
  readonly #ledger = new RelayLedger();
  #opening: Promise<void> | undefined;
  #store: RelayStore | undefined;
  #pump: Pump | undefined;
  /** Set while the store is full: its length then, and when to check again, since no callback reports that the store has room. */
  #full: { readonly length: number; readonly untilMs: number } | undefined;
  #isOpen = false;
  #isClosing = false;
  #hasFailedToOpen = false;
  /** The events in the spool after the close. */
  #left: number | undefined;
  /** Events of an earlier process. */
  #recovered = 0;
  /** Events that were accepted into a queue which several relays share: those that come out of it may be others. */
  #queued = 0;
  /** Set after an opt-out if the disk of the store does not work yet. The store is cleared as soon as it does. */
  #storeToClear: RelayStore | undefined;
  #clearing: Promise<number> | undefined;
  #metrics: Metrics | undefined;
  /** The ids that came last. */
  readonly #seen = new SeenIds();
  /** The events with an id that are being stored. */
  readonly #appending = new Map<string, Promise<Stored | undefined>>();

  constructor(options: CoreOptions) {
    this.#options = options;
  }

  /** Undefined before the store is opened, and without prom-client. */
  get metrics(): Metrics | undefined {
    return this.#metrics;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** What attempts have shown; undefined before the store is open, and if telemetry was opted out of by then. */
  get record(): DeliveryRecord | undefined {
    return this.#pump?.record;
  }

  /** Whether a file could be opened now: without a free descriptor, nothing can be sent. */
  get hasFreeDescriptor(): boolean {
    return (this.#options.parts.hasFreeDescriptor ?? hasFreeDescriptor)();
  }

  /** Opens the store, once. A failed call may be repeated. @throws (rejects) as the store does. */
  open(): Promise<void> {
    this.#opening ??= this.#open().then(
      () => void (this.#isOpen = true),
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    );
    return this.#opening;
  }

  /**
   * Opens the store at the first request, for a handler that is used without `listen()`. After a failure only `accept` tries again. Never
   * rejects.
   */
  async openForHandler(): Promise<void> {
    if (!this.#isClosing && !this.#hasFailedToOpen) await this.open().catch(() => undefined);
  }

  /** Stores an event. Never rejects. @returns Where it was stored; undefined if the store cannot be opened. */
  async accept(target: string, dropped: readonly DroppedField[], id?: string): Promise<Stored | undefined> {
    const { log, parts } = this.#options;
    if (this.#store === undefined) await this.open().catch(() => undefined);
    const store = this.#store;
    if (store === undefined) return undefined;
    const { text, lost } = this.#textOf(target);
    const stored = await store.append(text, id);
    if (stored === 'duplicate') {
      this.#ledger.duplicates += 1;
      return store.stats().isDurable ? 'disk' : 'queue';
    }
    if (stored !== 'full') this.#queued += 1;
    this.#full = stored === 'full' ? { length: store.length, untilMs: parts.machine.clock.now() + RETRY_WHEN_FULL_MS } : undefined;
    if (stored !== 'full') this.#options.recent?.accepted(text, [...dropped, ...lost]);
    for (const fields of [dropped, lost]) {
      if (stored === 'full' || fields.length === 0) continue;
      this.#ledger.fieldsDropped += fields.length;
      log.droppedFields(fields);
    }
    return stored;
  }

  /** The text to store: where lines are forwarded, an event that came by GET gets its id, and the time of its acceptance. */
  #textOf(target: string): { text: string; lost: DroppedField[] } {
    const { parts, targetOptions } = this.#options;
    const lost: DroppedField[] = [];
    if (targetOptions.forwardsLines !== true || !becomesLine(target)) return { text: target, lost };
    const timeMs = parts.machine.clock.wallNow();
    return { text: lineOfTarget(target, uuidOf(timeMs), timeMs, lost), lost };
  }

  /** Stores an event with an id, once: what comes again is where it was stored first. Never rejects. @returns As `accept`. */
  async acceptLine({ id, line, dropped }: { id: string; line: string; dropped: readonly DroppedField[] }): Promise<Stored | undefined> {
    // The ids of an earlier process are known when the store is open.
    if (this.#store === undefined) await this.open().catch(() => undefined);
    const seen = this.#seen.find(id);
    const earlier = seen === undefined ? this.#appending.get(id) : Promise.resolve(seen);
    if (earlier !== undefined) {
      const stored = await earlier;
      if (stored !== undefined && stored !== 'full') this.#ledger.duplicates += 1;
      return stored;
    }
    const appending = this.accept(line, dropped, id);
    this.#appending.set(id, appending);
    const stored = await appending;
    this.#appending.delete(id);
    if (stored !== undefined && stored !== 'full') this.#seen.add(id, stored);
    return stored;
  }

  /** Counts an event of a batch that is refused. */
  refuse(reason: string): void {
    this.#ledger.countRefusal(reason);
  }

  /** Whether nothing is sent because a file that may opt out cannot be read. */
  get isUndecided(): boolean {
    return this.#options.gate.state === 'unknown';
  }

  /** Why no events are accepted now; undefined if they are. */
  notReady(): NotReady | undefined {
    if (this.#isClosing) return 'closing';
    if (!this.#isOpen) return 'spool_unavailable';
    return this.#isFull() ? 'spool_full' : undefined;
  }

  /** What a relay that accepts events cannot do now; undefined if it works in full. */
  get readyBut(): ReadyBut | undefined {
    if (this.isUndecided) return 'ready_undecided';
    const { settings, options } = this.#options;
    const store = this.#store?.stats();
    if (store?.queue?.isReachable === false) return 'ready_without_queue';
    const isOnDisk = settings.spool !== undefined || options.store !== undefined;
    if (isOnDisk && store?.isDurable === false && store.queue === undefined) return 'ready_in_memory';
    if (!this.hasFreeDescriptor) return 'ready_without_descriptors';
    if (this.#pump?.isOffline === true) return 'ready_offline';
    if (this.#pump?.isPaused === true) return 'ready_paused';
    return store?.queue !== undefined && !store.isDurable ? 'ready_in_queue' : undefined;
  }

  #isFull(): boolean {
    if (this.#full === undefined) return false;
    const { length, untilMs } = this.#full;
    if ((this.#store?.length ?? 0) < length || this.#options.parts.machine.clock.now() >= untilMs) this.#full = undefined;
    return this.#full !== undefined;
  }

  stats(): Omit<RelayStats, 'answers' | 'refusedConnections'> {
    const ledger = this.#ledger;
    const store = this.#store?.stats() ?? NO_STORE;
    // They are pending here, and count as published when they come out of the queue.
    const held = this.#left === undefined ? (store.queue?.held ?? 0) : 0;
    const counts = ledger.snapshot((this.#left ?? this.#pump?.pending ?? 0) + held);
    return {
      ...counts,
      published: counts.published + held,
      accepted: store.queue === undefined ? ledger.published - this.#recovered : this.#queued,
      failedBy: Object.fromEntries(ledger.failedBy),
      duplicates: ledger.duplicates + (store.queue?.duplicates ?? 0),
      refusedBy: Object.fromEntries(ledger.refusedBy),
      attemptsFailedBy: Object.fromEntries(ledger.attemptsFailedBy),
      droppedBy: Object.fromEntries(ledger.droppedBy),
      isAccepting: this.notReady() === undefined,
      isPaused: this.#pump?.isPaused ?? false,
      isOffline: this.#pump?.isOffline ?? false,
      breaker: this.record?.breaker ?? 'closed',
      notDelivering: this.#notDelivering(),
      lastSentAtMs: this.record?.lastSentAtMs,
      isOptedOut: this.#options.gate.state === 'shut',
      store: { ...store, recovered: this.#recovered },
    };
  }

  #notDelivering(): string | undefined {
    const { state } = this.#options.gate;
    if (state === 'open') return this.record?.failure;
    return state === 'shut' ? 'opted_out' : 'undecided';
  }

  /** From now on new events are refused with 503. */
  stopAccepting(): void {
    this.#isClosing = true;
  }

  /** Sends pending events until the deadline, then closes pump and store. Never rejects. @returns Whether events were left. */
  async close(deadlineMs: number): Promise<boolean> {
    const { gate, log, parts, settings } = this.#options;
    const { clock } = parts.machine;
    const untilMs = clock.now() + deadlineMs;
    const opening = this.#opening?.catch(() => undefined);
    if (opening !== undefined && !(await settlesWithin(opening, deadlineMs + DISK_GRACE_MS, clock))) {
      void opening.then(() => this.close(0));
      return true;
    }
    await this.#storeToClear?.close(DISK_GRACE_MS);
    // The directory lease is held until this is over.
    await this.#clearing;
    const pump = this.#pump;
    const store = this.#store;
    if (pump === undefined || store === undefined) {
      gate.close();
      return false;
    }
    const timedOut = await pump.drain(deadlineMs);
    gate.close();
    await pump.stop();
    const lost = await store.close(Math.max(0, untilMs - clock.now()) + DISK_GRACE_MS);
    this.#ledger.drop(settings.spool === undefined && this.isUndecided ? 'undecided' : 'deadline', lost);
    this.#left = pump.pending - lost;
    if (lost > 0 && settings.spool !== undefined)
      log.warn('spool_not_written', `the disk did not accept ${lost} pending events: they are lost when this process ends`);
    return timedOut;
  }

  async #open(): Promise<void> {
    const { gate, log, parts, relay } = this.#options;
    this.#metrics = await loadMetrics(relay, parts.loadProm);
    if (this.#metrics === undefined) log.info('no_metrics', 'the package prom-client is not installed: /metrics answers 501');
    if (isShut(gate)) return this.#clearSpool();
    const store = await this.#openStore(this.#onStored, this.#onRecovered, this.#options.settings.isSpoolRequired);
    this.#countRecovered(store);
    const isOptedOut = isShut(gate);
    const pump = this.#startPump(store);
    this.#store = store;
    this.#pump = pump;
    if (isOptedOut) {
      void pump.stop();
      this.#ledger.drop('opted_out', store.clear());
      if (store.stats().queue !== undefined) void store.close();
    }
  }

  #startPump(store: RelayStore): Pump {
    const { gate, log, options, parts, recent, settings } = this.#options;
    const { machine } = parts;
    const { attemptTimeoutMs, concurrency, drainConcurrency, backoffMs, maxBackoffMs, spreadMs } = settings;
    const transport = relayTransport({
      settings,
      options,
      gate,
      log,
      machine,
      lineTransport: parts.lineTransport ?? ndjsonTransportWith,
      observe: (seconds) => this.#metrics?.observeAttempt(seconds),
    });
    return new Pump({
      store,
      transport,
      gate,
      ledger: this.#ledger,
      log,
      recent,
      clock: machine.clock,
      random: machine.random,
      backoffMs,
      maxBackoffMs,
      concurrency,
      drainConcurrency,
      spreadMs,
      sendCapMs: attemptTimeoutMs + TRANSPORT_GRACE_MS,
      hasRoom: () => hasRoom(store, settings),
    });
  }

  readonly #onStored = (events: number): void => {
    this.#pump?.onStored(events);
  };

  /** Each event in the directory, also one that was sent: a sender that got no answer may send it again. */
  readonly #onRead = (text: string): void => {
    const id = idIn(text);
    if (id !== undefined) this.#seen.add(id, 'disk');
  };

  readonly #onUnreadable = (events: number): void => {
    this.#ledger.drop('unreadable', events);
    this.#options.recent?.unreadable(events);
    this.#pump?.onReady();
  };

  /** The disk works at last, and the store has read what an earlier process left there. */
  readonly #onRecovered = (): void => {
    if (this.#store === undefined) return;
    this.#countRecovered(this.#store);
    this.#pump?.onStored(0);
  };

  #countRecovered(store: RelayStore): void {
    const { log } = this.#options;
    const { recovered, tornLines } = store.stats();
    this.#recovered += recovered;
    this.#ledger.published += recovered;
    if (recovered > 0) log.info('recovered', `${recovered} events were left by an earlier process`);
    // Before the first one is sent.
    dropExpired(store, this.#ledger, log);
    if (tornLines > 0) log.warn('torn_lines', `${tornLines} lines of the spool could not be read`);
  }

  /** Opted out from the start: no event is stored, and those of an earlier process are deleted. */
  async #clearSpool(): Promise<void> {
    const { log, options, settings } = this.#options;
    log.warn('opted_out', 'telemetry is opted out of here: every event is discarded');
    // A missing directory is not created.
    const hasStore = options.store !== undefined || (settings.spool !== undefined && (await exists(settings.spool)));
    if (!hasStore) return;
    const clear = (store: RelayStore): Promise<number> => {
      this.#countRecovered(store);
      this.#ledger.drop('opted_out', store.clear());
      this.#storeToClear = undefined;
      return store.close(DISK_GRACE_MS);
    };
    const store = await this.#openStore(
      () => undefined,
      () => {
        if (this.#storeToClear !== undefined) this.#clearing = clear(this.#storeToClear);
      },
    );
    // A queue that relays share keeps what others accepted.
    if (store.stats().queue !== undefined) await store.close(DISK_GRACE_MS);
    else if (store.stats().isDurable || options.store !== undefined) await clear(store);
    else this.#storeToClear = store;
  }

  async #openStore(onStored: StoreRequest['onStored'], onRecovered: () => void, required = false): Promise<RelayStore> {
    const { log, options, parts, settings, targetOptions } = this.#options;
    const { spool: directory, maxSpoolBytes: maxBytes, maxAgeMs } = settings;
    try {
      const shared = {
        maxBytes,
        maxAgeMs,
        clock: parts.machine.clock,
        log,
        admit: (text: string) => readmit(text, targetOptions),
        onRead: this.#onRead,
        onStored,
        onReady: () => this.#pump?.onReady(),
        onUnreadable: this.#onUnreadable,
      };
      const store = await (options.store === undefined
        ? parts.openStore({ ...shared, directory, required, onRecovered })
        : openGiven(options.store, shared));
      this.#hasFailedToOpen = false;
      return store;
    } catch (error) {
      this.#hasFailedToOpen = true;
      log.warn('spool_unusable', 'the spool cannot be opened');
      throw error;
    }
  }
}

/** Whether an opt-out is known, with the environment as it is now. */
function isShut(gate: Gate): boolean {
  gate.check();
  return gate.state === 'shut';
}
