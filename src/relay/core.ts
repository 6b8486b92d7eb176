import { access } from 'node:fs/promises';
import { within } from '../base/clock.js';
import { loadMetrics } from './metrics.js';
import type { Metrics } from './metrics.js';
import { Pump, RelayLedger } from './pump.js';
import { admitted } from './request-target.js';
import type { DroppedField } from './request-target.js';
import type { RelayStore, RelayStoreStats, Stored } from '../delivery/relay-store.js';
import type { RelayStats } from './types.js';
import { relayTransport } from './wiring.js';
import type { StoreRequest, WorksOptions } from './wiring.js';

const NO_STORE: RelayStoreStats = { waiting: 0, bytes: 0, isDurable: false, recovered: 0, maybeSentTwice: 0, tornLines: 0 };

/** How long who was turned away is asked to stay away: `Retry-After` says the same. */
const FULL_MS = 10_000;

/** Beyond the limit of an attempt a transport is given so long, and beyond the deadline of its end a disk. */
const SLACK_MS = 1000;
export const DISK_GRACE_MS = 1000;

/** So many events may wait in memory alone while sending rests. */
const MOST_IN_MEMORY = 2000;

/** Everything behind the door: the store, the pump, the accounts, the metrics. */
export class RelayWorks {
  readonly #given: WorksOptions;
  readonly #ledger = new RelayLedger();
  #opening: Promise<void> | undefined;
  #store: RelayStore | undefined;
  #pump: Pump | undefined;
  /** How many events waited when there was no room for another, and until when that stands: files may go without an event that tells. */
  #fullAt: { readonly waiting: number; readonly untilMs: number } | undefined;
  #isOpen = false;
  #hasFailed = false;
  #left: number | undefined;
  /** How many events an earlier process left, whatever became of them. */
  #recovered = 0;
  /** One that is there only to be emptied, once its disk works. */
  #doomed: RelayStore | undefined;
  metrics: Metrics | undefined;

  constructor(given: WorksOptions) {
    this.#given = given;
  }

  /** Opens the store, once; what failed may be tried again. @throws (rejects) as the store does. */
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

  /** Opens it at the first request, where nobody listens and a handler alone is used. Never rejects. */
  async begin(): Promise<void> {
    if (!this.#hasFailed) await this.open().catch(() => undefined);
  }

  /** Keeps an event; undefined where it cannot be kept anywhere. Never rejects. */
  async keep(target: string, dropped: readonly DroppedField[]): Promise<Stored | undefined> {
    const { log } = this.#given;
    if (this.#store === undefined) await this.open().catch(() => undefined);
    const store = this.#store;
    if (store === undefined) return undefined;
    const stored = await store.append(target);
    this.#fullAt = stored === 'full' ? { waiting: store.length, untilMs: this.#given.parts.machine.clock.now() + FULL_MS } : undefined;
    if (stored !== 'full' && dropped.length > 0) {
      this.#ledger.fieldsDropped += dropped.length;
      log.droppedFields(dropped);
    }
    return stored;
  }

  /** Why nothing can be kept now. */
  unready(): 'full' | 'unavailable' | undefined {
    if (!this.#isOpen) return 'unavailable';
    if (this.#fullAt !== undefined) {
      const { waiting, untilMs } = this.#fullAt;
      if ((this.#store?.length ?? 0) < waiting || this.#given.parts.machine.clock.now() >= untilMs) this.#fullAt = undefined;
    }
    return this.#fullAt === undefined ? undefined : 'full';
  }

  stats(): Omit<RelayStats, 'answers' | 'isAccepting'> {
    const ledger = this.#ledger;
    const store = { ...(this.#store?.stats() ?? NO_STORE), recovered: this.#recovered };
    return {
      ...ledger.snapshot(this.#left ?? this.#pump?.pending ?? 0),
      accepted: ledger.published - this.#recovered,
      failedBy: Object.fromEntries(ledger.failedBy),
      droppedBy: Object.fromEntries(ledger.droppedBy),
      store,
    };
  }

  /** Delivers what the deadline allows, and lets go of everything. Never rejects. @returns Whether something was left. */
  async close(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#given.parts.machine;
    const untilMs = clock.now() + deadlineMs;
    const opening = this.#opening?.catch(() => undefined);
    if (opening !== undefined && !(await within(opening, deadlineMs + DISK_GRACE_MS, clock))) {
      void opening.then(() => this.close(0));
      return true;
    }
    await this.#doomed?.close(DISK_GRACE_MS);
    const pump = this.#pump;
    const store = this.#store;
    if (pump === undefined || store === undefined) return false;
    const timedOut = await pump.drain(deadlineMs);
    await pump.stop();
    const lost = await store.close(Math.max(0, untilMs - clock.now()) + DISK_GRACE_MS);
    this.#ledger.drop('deadline', lost);
    this.#left = pump.pending - lost;
    if (lost > 0 && this.#given.settings.spool !== undefined) {
      this.#given.log.warn('spool_not_written', `the disk did not take ${lost} of the events that wait: they end with this process`);
    }
    return timedOut;
  }

  async #open(): Promise<void> {
    const { gate, log, parts, options, settings, stats } = this.#given;
    const { machine } = parts;
    this.metrics = await loadMetrics(stats, parts.loadProm);
    if (this.metrics === undefined) log.info('no_metrics', 'the package prom-client is not installed: /metrics answers 501');
    if (!gate.check()) return this.#discard();
    const onRecovered = (): void => {
      if (this.#store === undefined) return;
      this.#takeOver(this.#store);
      this.#pump?.onStored(0);
    };
    const store = await this.#openStore({ onStored: (events) => this.#pump?.onStored(events), onRecovered });
    this.#takeOver(store);
    const transport = relayTransport({
      settings,
      options,
      gate,
      log,
      machine,
      observe: (seconds) => this.metrics?.observeAttempt(seconds),
    });
    const { concurrency, drainConcurrency, attemptTimeoutMs, maxSpoolBytes, spool } = settings;
    // On disk they wait safely; those in memory would end with the process.
    const hasRoom = (): boolean => (spool === undefined ? store.length < MOST_IN_MEMORY : store.stats().bytes < maxSpoolBytes / 2);
    const isOpen = gate.check();
    this.#store = store;
    this.#pump = new Pump({
      store,
      transport,
      gate,
      ledger: this.#ledger,
      log,
      clock: machine.clock,
      concurrency,
      drainConcurrency,
      sendCapMs: attemptTimeoutMs + SLACK_MS,
      hasRoom,
    });
    if (!isOpen) {
      void this.#pump.stop();
      this.#ledger.drop('opted_out', store.clear());
    }
  }

  /** Counts what an earlier process left. */
  #takeOver(store: RelayStore): void {
    const { log } = this.#given;
    const { recovered, tornLines } = store.stats();
    this.#recovered += recovered;
    this.#ledger.published += recovered;
    // Before the first of them is sent.
    this.#ledger.drop('expired', store.expire());
    if (recovered > 0) log.info('recovered', `${recovered} events were left by an earlier process`);
    if (tornLines > 0) log.warn('torn_lines', `${tornLines} lines of the spool could not be read`);
  }

  /** Opted out from the start: nothing is kept, and what an earlier process kept is emptied. */
  async #discard(): Promise<void> {
    const { log, settings } = this.#given;
    log.warn('opted_out', 'telemetry is opted out of here: every event is discarded');
    if (settings.spool === undefined) return;
    // A directory that is not there need not be made to be emptied.
    if (
      !(await access(settings.spool).then(
        () => true,
        () => false,
      ))
    )
      return;
    const empty = (from: RelayStore): Promise<number> => {
      this.#takeOver(from);
      this.#ledger.drop('opted_out', from.clear());
      this.#doomed = undefined;
      return from.close(DISK_GRACE_MS);
    };
    const store = await this.#openStore({ onStored: () => undefined, onRecovered: () => this.#doomed && void empty(this.#doomed) });
    if (store.stats().isDurable) await empty(store);
    else this.#doomed = store;
  }

  async #openStore(heard: Pick<StoreRequest, 'onStored' | 'onRecovered'>): Promise<RelayStore> {
    const { log, parts, settings, routing } = this.#given;
    const { spool: directory, maxSpoolBytes: maxBytes, maxAgeMs } = settings;
    try {
      const store = await parts.openStore({
        directory,
        maxBytes,
        maxAgeMs,
        clock: parts.machine.clock,
        log,
        admit: (target) => admitted(target, routing),
        ...heard,
      });
      this.#hasFailed = false;
      return store;
    } catch (error) {
      this.#hasFailed = true;
      log.warn('spool_unusable', 'the spool cannot be opened');
      throw error;
    }
  }
}
