import type { Log } from '../../log.js';
import type { Clock, Timer } from '../../timing.js';
import type { Stored } from '../store.js';
import { AppendQueue } from './append-queue.js';
import { diskTrouble } from './disk-trouble.js';
import type { Entry } from './entry.js';
import { Cleared } from './errors.js';
import type { Segments } from './segments.js';
import { Shelter } from './shelter.js';
import type { SizedLine } from './shelter.js';

/** How a group commit is made. */
export interface GroupCommitOptions {
  segments: Segments;
  clock: Clock;
  log: Log;
  /** How many bytes one write takes, roughly. */
  batchBytes: number;
  /** Called for new events in the moment in which they are stored, on disk or in memory. */
  onStored: (entries: readonly Entry[]) => void;
  /** Makes the directory fit for another try. Rejects where it is not. */
  revive: () => Promise<void>;
}

/** How long a disk that failed is left alone. */
const RETRY_MS = 5000;

/**
 * Brings events to disk: all that come in while a write is under way share the next write and its one sync. While the disk fails,
 * events stay in memory; it is tried again every few seconds, and then takes them too.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #shelter = new Shelter();
  readonly #queue = new AppendQueue();
  #underWayBytes = 0;
  #running: Promise<void> | undefined;
  #retry: Timer | undefined;
  #isDurable = true;
  #isClosed = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Whether the next event goes to disk. */
  get isDurable(): boolean {
    return this.#isDurable;
  }

  /** The room that is promised to events that are not on disk. */
  get reservedBytes(): number {
    return this.#queue.bytes + this.#underWayBytes + this.#shelter.bytes;
  }

  /** Stores a new event. */
  add(line: SizedLine): Promise<Stored> {
    if (!this.#isDurable) {
      this.#keepInMemory([line]);
      return Promise.resolve('memory');
    }
    return new Promise((resolve) => {
      this.#queue.add({ ...line, resolve });
      this.#kick();
    });
  }

  /** Sees to an event that came back and has no place on disk. */
  shelter(entry: Entry): void {
    this.#shelter.add(entry);
    if (this.#isDurable) this.#kick();
  }

  /** An event that is in memory alone was taken. */
  unshelter(entry: Entry): void {
    this.#shelter.delete(entry);
  }

  /** The disk failed: whoever waits is told so, and it is left alone for a while. */
  fail(error: unknown): void {
    const { code, text } = diskTrouble(error);
    this.#options.log.warn(code, text);
    this.#isDurable = false;
    const appends = this.#queue.takeAll();
    this.#keepInMemory(appends);
    for (const { resolve } of appends) resolve('memory');
    if (this.#isClosed) return;
    this.#retry ??= this.#options.clock.setTimeout(() => {
      this.#retry = undefined;
      this.#start(() => this.#tryAgain());
    }, RETRY_MS);
    this.#retry.unref();
  }

  /** Forgets what is on its way. */
  clear(): void {
    this.#shelter.clear();
    for (const { resolve } of this.#queue.takeAll()) resolve('full');
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
    await this.#rest();
    if (this.#isDurable && isFilled) this.#start(() => this.#options.revive().catch((error: unknown) => this.fail(error)));
    await this.#rest();
    if (!this.#isDurable && this.#shelter.size > 0) this.#start(() => this.#tryAgain());
    await this.#rest();
  }

  /** Over once nothing runs. */
  async #rest(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  get #hasWork(): boolean {
    return this.#isDurable && (this.#queue.size > 0 || this.#shelter.size > 0);
  }

  #kick(): void {
    if (this.#running === undefined) this.#start(() => this.#writeAll());
  }

  /** Runs one thing after the other. */
  #start(work: () => Promise<void>): void {
    const running = (this.#running ?? Promise.resolve()).then(work).finally(() => {
      if (this.#running !== running) return;
      this.#running = undefined;
      // What came in after the last look, and before this.
      if (this.#hasWork) this.#kick();
    });
    this.#running = running;
  }

  async #writeAll(): Promise<void> {
    while (this.#hasWork) await this.#writeSome();
  }

  /** One write of what came first: events in memory, then those whose appends wait. @returns Whether the disk took it. */
  async #writeSome(): Promise<boolean> {
    const { segments, batchBytes, onStored } = this.#options;
    const sheltered = this.#shelter.takeSome(batchBytes);
    const waiting = sheltered.length > 0 ? [] : this.#queue.takeSome(batchBytes);
    const lines: readonly SizedLine[] = sheltered.length > 0 ? sheltered : waiting;
    this.#underWayBytes = lines.reduce((sum, { bytes }) => sum + bytes, 0);
    try {
      await segments.write(lines);
      this.#underWayBytes = 0;
      onStored(waiting.map(({ entry }) => entry));
      for (const { resolve } of waiting) resolve('disk');
      return true;
    } catch (error) {
      this.#underWayBytes = 0;
      const isCleared = error instanceof Cleared;
      if (!isCleared) {
        for (const { entry, bytes } of sheltered) if (entry.isWaiting) this.#shelter.add(entry, bytes);
        this.#keepInMemory(waiting);
        this.fail(error);
      }
      for (const { resolve } of waiting) resolve(isCleared ? 'full' : 'memory');
      return isCleared;
    }
  }

  #keepInMemory(lines: readonly SizedLine[]): void {
    for (const { entry, bytes } of lines) this.#shelter.add(entry, bytes);
    this.#options.onStored(lines.map(({ entry }) => entry));
  }

  async #tryAgain(): Promise<void> {
    const { revive, segments, log } = this.#options;
    try {
      await revive();
      await segments.open();
    } catch (error) {
      // Emptied meanwhile: whether the disk works, the next append will show.
      if (!(error instanceof Cleared)) {
        this.fail(error);
        return;
      }
    }
    // A full disk still has room for an empty file: only what it took shows that it works.
    if (this.#shelter.size > 0 && !(await this.#writeSome())) return;
    this.#isDurable = true;
    await this.#writeAll();
    if (this.#isDurable) log.warn('spool_back', 'the spool takes events again, and those that waited in memory are on disk');
  }
}
