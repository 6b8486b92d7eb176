import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { Stored } from '../store.js';
import { diskTrouble, DiskWatch, HANGS, REVIVAL_PATIENCE_MS } from './disk-health.js';
import { Cleared, mayPass } from './files.js';
import type { MarkWriter } from './marks.js';
import type { Entry } from './record.js';
import type { Segments } from './segments.js';
import { AppendQueue, Shelter } from './waiting-lines.js';
import type { SizedLine, WaitingAppend } from './waiting-lines.js';

/** Runs one thing after the other. */
export class Turns {
  readonly #onIdle: () => void;
  #running: Promise<void> | undefined;

  /** `onIdle`: called each time when nothing runs any more. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Runs something that never rejects, once it is its turn. */
  start(work: () => Promise<void>): void {
    const running = (this.#running ?? Promise.resolve()).then(work).finally(() => {
      if (this.#running !== running) return;
      this.#running = undefined;
      this.#onIdle();
    });
    this.#running = running;
  }

  /** Over once nothing runs. */
  async rest(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }
}

/** What writing takes. */
export interface WritesOptions {
  segments: Segments;
  marks: MarkWriter;
  clock: Clock;
  log: Log;
  /** How many bytes one write takes, roughly. */
  batchBytes: number;
  /** Called for new events in the moment in which they are stored, on disk or in memory. */
  onStored: (entries: readonly Entry[]) => void;
  /** Called when the disk has failed, before anybody is told where its event went. */
  onFailed: (error: unknown) => void;
}

/** A write that has not returned. */
interface UnderWay {
  readonly lines: readonly SizedLine[];
  /** Those of them whose appends are to be answered once it has. */
  readonly waiting: WaitingAppend[];
  readonly bytes: number;
}

/**
 * Events on their way to disk: those whose appends wait for it, and those that were kept in memory since it failed or did not answer.
 * Whether the disk is counted on, and what a write that returns late means for both.
 */
export class Writes {
  readonly #options: WritesOptions;
  readonly #shelter = new Shelter();
  readonly #queue = new AppendQueue();
  #underWay: UnderWay | undefined;
  /** Set while the disk does not answer. */
  #hang: { wasDurable: boolean } | undefined;
  #isDurable = false;
  /** Whether it is still to be told that the disk works again. */
  #isBack = false;

  constructor(options: WritesOptions) {
    this.#options = options;
  }

  /** Whether the next event goes to disk. */
  get isDurable(): boolean {
    return this.#isDurable;
  }

  get isHanging(): boolean {
    return this.#hang !== undefined;
  }

  /** The room that is promised to events that are not on disk. */
  get reservedBytes(): number {
    return this.#queue.bytes + (this.#underWay?.bytes ?? 0) + this.#shelter.bytes;
  }

  /** Since when the first of those who wait for an answer does so. */
  get waitingSinceMs(): number | undefined {
    return (this.#underWay?.waiting[0] ?? this.#queue.first)?.sinceMs;
  }

  /** Events of a write that has not returned: they may have a place on disk, and nobody knows whether they are there. */
  get underWay(): ReadonlySet<Entry> {
    return new Set(this.#underWay?.lines.map(({ entry }) => entry));
  }

  get isSheltering(): boolean {
    return this.#shelter.size > 0;
  }

  get hasWork(): boolean {
    return this.#isDurable && (this.#queue.size > 0 || this.isSheltering);
  }

  /** Stores a new event. */
  add(line: SizedLine): Promise<Stored> {
    if (!this.#isDurable) {
      this.#keepInMemory([line]);
      return Promise.resolve('memory');
    }
    return new Promise((resolve) => {
      this.#queue.add({ ...line, sinceMs: this.#options.clock.now(), resolve });
    });
  }

  shelter(entry: Entry): void {
    this.#shelter.add(entry);
  }

  unshelter(entry: Entry): void {
    this.#shelter.delete(entry);
  }

  /** Forgets what is on its way. */
  clear(): void {
    this.#shelter.clear();
    for (const { resolve } of this.#queue.takeAll()) resolve('full');
  }

  /** The disk is counted on from now on. `isBack`: after it had failed. */
  trust(isBack: boolean): void {
    this.#isDurable = true;
    this.#isBack = isBack;
  }

  /** The disk failed, and is not counted on: whoever waits for it is told so. */
  distrust(): void {
    if (this.#hang !== undefined) this.#hang.wasDurable = false;
    this.#turnToMemory();
  }

  /** The disk neither takes nor refuses. What is asked of it synchronously would hold up the process, so nothing is. */
  stall(): void {
    const { log, marks, onStored } = this.#options;
    if (this.#hang !== undefined) return;
    log.warn(HANGS.code, HANGS.text);
    this.#hang = { wasDurable: this.#isDurable };
    marks.hold();
    // They wait among the others now, with their places on disk, and are not sheltered: a second line would be a second event.
    const late = this.#underWay?.waiting.splice(0) ?? [];
    onStored(late.map(({ entry }) => entry));
    for (const { resolve } of late) resolve('memory');
    this.#turnToMemory();
  }

  /** The disk has answered, sooner or later: it gets the marks that were held back meanwhile. */
  answered(hasTaken: boolean): void {
    const hang = this.#hang;
    if (hang === undefined) return;
    this.#hang = undefined;
    try {
      this.#options.marks.release();
    } catch (error) {
      this.#options.onFailed(error);
      return;
    }
    if (hasTaken && hang.wasDurable) this.trust(true);
  }

  /** One write of what came first: events in memory, then those whose appends wait. @returns Whether the disk took it. */
  async writeSome(): Promise<boolean> {
    const { segments, batchBytes, onStored, onFailed } = this.#options;
    const sheltered = this.#shelter.takeSome(batchBytes);
    const waiting = sheltered.length > 0 ? [] : this.#queue.takeSome(batchBytes);
    const lines: readonly SizedLine[] = sheltered.length > 0 ? sheltered : [...waiting];
    this.#underWay = { lines, waiting, bytes: lines.reduce((sum, { bytes }) => sum + bytes, 0) };
    try {
      await segments.write(lines);
      this.#underWay = undefined;
      // Taken, and brought back before it had its place on disk.
      for (const { entry } of lines) if (entry.segment !== undefined) this.#shelter.delete(entry);
      onStored(waiting.map(({ entry }) => entry));
      for (const { resolve } of waiting) resolve('disk');
    } catch (error) {
      this.#underWay = undefined;
      const isCleared = error instanceof Cleared;
      if (!isCleared) {
        for (const { entry, bytes } of lines) if (entry.isWaiting) this.#shelter.add(entry, bytes);
        this.#keepInMemory(waiting);
        onFailed(error);
      }
      for (const { resolve } of waiting) resolve(isCleared ? 'full' : 'memory');
      this.answered(isCleared);
      return isCleared;
    }
    this.answered(true);
    return true;
  }

  /** Says, once, that all of it is on disk again. */
  tellIfBack(): void {
    if (!this.#isBack || !this.#isDurable) return;
    this.#isBack = false;
    this.#options.log.warn('spool_back', 'the spool takes events again, and those that waited in memory are on disk');
  }

  #turnToMemory(): void {
    this.#isDurable = false;
    const appends = this.#queue.takeAll();
    this.#keepInMemory(appends);
    for (const { resolve } of appends) resolve('memory');
  }

  #keepInMemory(lines: readonly SizedLine[]): void {
    for (const { entry, bytes } of lines) this.#shelter.add(entry, bytes);
    this.#options.onStored(lines.map(({ entry }) => entry));
  }
}

/** How a group commit is made. */
export interface GroupCommitOptions extends Omit<WritesOptions, 'onFailed'> {
  /** Makes the directory fit, at first and for another try. Rejects where it is not. */
  revive: () => Promise<void>;
}

/** How long a disk that failed is left alone. */
const RETRY_MS = 5000;

/**
 * Brings events to disk: all that come in while a write is under way share the next write and its one sync. While the disk fails,
 * events stay in memory; it is tried again every few seconds, and then takes them too. While it does not answer, they stay there
 * until it does.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly writes: Writes;
  /** Whether nothing is begun any more. */
  isAbandoned = false;
  readonly #turns: Turns;
  readonly #watch: DiskWatch;
  #retry: Timer | undefined;
  #onHang: (() => void) | undefined;
  #isClosed = false;

  constructor({ revive, ...options }: GroupCommitOptions) {
    this.#options = { revive, ...options };
    this.writes = new Writes({ ...options, onFailed: (error) => this.fail(error) });
    this.#turns = new Turns(() => {
      this.#watch.rest();
      // What came in after the last look, and before this.
      this.#kick();
    });
    this.#watch = new DiskWatch({
      clock: options.clock,
      waitingSinceMs: () => this.writes.waitingSinceMs,
      onOverdue: () => {
        this.writes.stall();
        this.#onHang?.();
      },
    });
  }

  /** Makes the directory fit. Over once it is, or once memory has to do for now. @throws (rejects) What waiting would not mend. */
  async open(): Promise<void> {
    let refusal: { error: unknown } | undefined;
    const hang = new Promise<void>((resolve) => (this.#onHang = resolve));
    this.#start(async () => {
      try {
        await this.#revive();
      } catch (error) {
        if (this.writes.isHanging || mayPass(error)) this.fail(error);
        else refusal = { error };
        return;
      }
      if (this.writes.isHanging) await this.#resume();
      else this.writes.trust(false);
    });
    await Promise.race([this.#turns.rest(), hang]);
    if (refusal !== undefined) throw refusal.error;
  }

  /** Stores a new event. */
  add(line: SizedLine): Promise<Stored> {
    const stored = this.writes.add(line);
    this.#kick();
    return stored;
  }

  /** Sees to an event that came back and has no place on disk. */
  shelter(entry: Entry): void {
    this.writes.shelter(entry);
    this.#kick();
  }

  /** The disk failed: whoever waits is told so, and it is left alone for a while. */
  fail(error: unknown): void {
    const { code, text } = diskTrouble(error);
    this.#options.log.warn(code, text);
    this.writes.distrust();
    if (this.#isClosed) return;
    this.#retry ??= this.#options.clock.setTimeout(() => {
      this.#retry = undefined;
      this.#start(() => this.#tryAgain());
    }, RETRY_MS);
    this.#retry.unref();
  }

  /**
   * Writes what is still to be written, with one last try where the disk had failed. Takes nothing afterwards. Never rejects.
   *
   * @param isFilled whether events wait on disk: a directory that was deleted since the last write keeps nothing, so it is looked at.
   */
  async close(isFilled: boolean): Promise<void> {
    this.#isClosed = true;
    if (this.#retry !== undefined) this.#options.clock.clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#turns.rest();
    if (this.writes.isDurable && isFilled) this.#start(() => this.#revive().catch((error: unknown) => this.fail(error)));
    await this.#turns.rest();
    if (!this.writes.isDurable && this.writes.isSheltering) this.#start(() => this.#tryAgain());
    await this.#turns.rest();
  }

  /** The disk was waited for as long as could be: nothing is begun any more. @returns Events that may or may not be on disk. */
  abandon(): ReadonlySet<Entry> {
    this.isAbandoned = true;
    if (this.#turns.isBusy) this.writes.stall();
    return this.writes.underWay;
  }

  get #hasWork(): boolean {
    return this.writes.hasWork && !this.isAbandoned;
  }

  #kick(): void {
    if (this.#hasWork && !this.#turns.isBusy) this.#start(() => this.#writeAll());
  }

  /** Where the disk is waited for no longer, nothing more is asked of it. */
  #start(work: () => Promise<void>): void {
    this.#turns.start(async () => {
      if (!this.isAbandoned) await work();
      this.writes.answered(false);
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#hasWork) await this.#writeSome();
    this.writes.tellIfBack();
  }

  #writeSome(): Promise<boolean> {
    this.#watch.begin();
    return this.writes.writeSome();
  }

  async #tryAgain(): Promise<void> {
    try {
      await this.#revive();
    } catch (error) {
      this.fail(error);
      return;
    }
    await this.#resume();
  }

  #revive(): Promise<void> {
    this.#watch.begin(REVIVAL_PATIENCE_MS);
    return this.#options.revive();
  }

  /** The directory is fit: what waits in memory goes there. */
  async #resume(): Promise<void> {
    if (this.isAbandoned) return;
    try {
      await this.#options.segments.open();
    } catch (error) {
      // Emptied meanwhile: whether the disk works, the next append will show.
      if (!(error instanceof Cleared)) {
        this.fail(error);
        return;
      }
    }
    this.writes.answered(false);
    // A full disk still has room for an empty file: only what it took shows that it works.
    if (this.isAbandoned || (this.writes.isSheltering && !(await this.#writeSome()))) return;
    this.writes.trust(true);
    await this.#writeAll();
  }
}
