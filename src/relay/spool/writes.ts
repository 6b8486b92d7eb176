import type { Log } from '../../log.js';
import type { Clock } from '../../timing.js';
import type { Stored } from '../store.js';
import { AppendQueue } from './append-queue.js';
import type { WaitingAppend } from './append-queue.js';
import { HANGS } from './disk-trouble.js';
import type { Entry } from './entry.js';
import { Cleared } from './errors.js';
import type { MarkWriter } from './marks.js';
import type { Segments } from './segments.js';
import { Shelter } from './shelter.js';
import type { SizedLine } from './shelter.js';

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
