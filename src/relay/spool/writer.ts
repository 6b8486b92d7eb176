// The group commit of the spool: it writes events to disk, and keeps them in memory while the disk fails or hangs.

import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { Stored } from '../../delivery/relay-store.js';
import { DiskWatchdog, diskTrouble, HANGING, OPENING_LIMIT_MS } from './disk-health.js';
import { canOpenLater, ClearedError, SpoolError } from './files.js';
import type { MarkWriter } from './marks.js';
import type { EventRecord, RecordLine } from './record.js';
import type { Segments } from './segments.js';
import { AppendQueue, MemoryFallback } from './waiting-lines.js';
import type { WaitingAppend } from './waiting-lines.js';

/** Dependencies of the writer. */
interface GroupCommitOptions {
  segments: Segments;
  marks: MarkWriter;
  clock: Clock;
  log: Log;
  /** Size of one write, in bytes: a batch ends with the line that reaches it. */
  batchBytes: number;
  /** Called with new events in the step in which they are stored, on disk or in memory, and before their appends are answered. */
  onStored: (records: readonly EventRecord[]) => void;
  /** Called with events from memory that are on disk now. */
  onWritten: (records: readonly EventRecord[]) => void;
  /** Whether `open()` rejects for any directory that does not work at the start. */
  isRequired: boolean;
  /** Prepares the directory, at the start and before each retry. Rejects if it cannot be used. */
  prepare: () => Promise<void>;
}

/** A write that has not returned. */
interface WriteInFlight {
  readonly lines: readonly RecordLine[];
  /** The appends that it answers. */
  readonly appends: WaitingAppend[];
  readonly bytes: number;
}

/** Wait before a failed disk is tried again. */
const RETRY_MS = 5000;

/**
 * Writes events to disk. Appends that arrive while a write is in flight share the next write and its one sync.
 *
 * While the disk fails, events stay in memory; a retry every five seconds writes them. While the disk hangs, they stay in memory until it
 * responds, and nothing is asked of it synchronously: that would block the process.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #queue = new AppendQueue();
  readonly #fallback = new MemoryFallback();
  readonly #steps: SerialQueue;
  readonly #watchdog: DiskWatchdog;
  #inFlight: WriteInFlight | undefined;
  #isDurable = false;
  /** Set while the disk hangs. */
  #hang: { wasDurable: boolean } | undefined;
  #onHang: (() => void) | undefined;
  /** Whether the log must still say that the disk works again. */
  #isRecovering = false;
  #retry: Timer | undefined;
  #isClosed = false;
  #isAbandoned = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#steps = new SerialQueue(() => {
      this.#watchdog.stop();
      // An append may have arrived after the last write looked for more.
      this.#startWriting();
    });
    this.#watchdog = new DiskWatchdog({
      clock: options.clock,
      waitingSinceMs: () => (this.#inFlight?.appends.at(0) ?? this.#queue.first)?.sinceMs,
      onOverdue: () => {
        this.#onDiskHangs();
        this.#onHang?.();
      },
    });
  }

  /** Whether the next event goes to disk. */
  get isDurable(): boolean {
    return this.#isDurable;
  }

  /** Whether the disk was given up: nothing more is started. */
  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Room reserved for events that are not on disk, in bytes. */
  get reservedBytes(): number {
    return this.#queue.bytes + (this.#inFlight?.bytes ?? 0) + this.#fallback.bytes;
  }

  /**
   * Prepares the directory. Resolves once it can be used, or once memory is used instead.
   *
   * @throws (rejects) The error of `prepare`, if a retry cannot succeed.
   */
  async open(): Promise<void> {
    let refusal: { error: unknown } | undefined;
    const hang = new Promise<void>((resolve) => (this.#onHang = resolve));
    this.#run(async () => {
      try {
        await this.#prepare();
      } catch (error) {
        if (!this.#options.isRequired && (this.#isHanging || canOpenLater(error))) this.fail(error);
        else refusal = { error };
        return;
      }
      if (this.#isHanging) await this.#resume();
      else this.#isDurable = true;
    });
    await Promise.race([this.#steps.idle(), hang]);
    if (refusal === undefined && this.#options.isRequired && !this.#isDurable)
      throw new SpoolError('unusable', 'The spool cannot be opened: its disk does not respond.');
    if (refusal !== undefined) throw refusal.error;
  }

  /** Stores a new event. Never rejects. */
  append(line: RecordLine): Promise<Stored> {
    if (!this.#isDurable) {
      this.#storeInMemory([line]);
      return Promise.resolve('memory');
    }
    const stored = new Promise<Stored>((resolve) => {
      this.#queue.add({ ...line, sinceMs: this.#options.clock.now(), resolve });
    });
    this.#startWriting();
    return stored;
  }

  /** Writes an event that waits and has no place on disk. */
  rewrite(record: EventRecord): void {
    this.#fallback.add(record);
    this.#startWriting();
  }

  /** The event was taken or expired: it is not written. */
  withdraw(record: EventRecord): void {
    this.#fallback.delete(record);
  }

  /** Forgets all events that are not on disk. */
  clear(): void {
    this.#fallback.clear();
    for (const { resolve } of this.#queue.takeAll()) resolve('full');
  }

  /** The disk failed: appends are answered from memory, and the disk is tried again later. */
  fail(error: unknown): void {
    const { code, text } = diskTrouble(error);
    this.#options.log.warn(code, text);
    if (this.#hang !== undefined) this.#hang.wasDurable = false;
    this.#turnToMemory();
    if (this.#isClosed) return;
    this.#retry ??= this.#options.clock.setTimeout(() => {
      this.#retry = undefined;
      this.#run(() => this.#tryAgain());
    }, RETRY_MS);
    this.#retry.unref();
  }

  /**
   * Writes what is not on disk, with a last try if the disk had failed. Nothing may be appended afterwards. Never rejects.
   *
   * @param hasPending whether events wait: only then the directory is checked, because a deleted one keeps nothing.
   */
  async close(hasPending: boolean): Promise<void> {
    this.#isClosed = true;
    if (this.#retry !== undefined) this.#options.clock.clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#steps.idle();
    if (this.#isDurable && hasPending) this.#run(() => this.#prepare().catch((error: unknown) => this.fail(error)));
    await this.#steps.idle();
    if (!this.#isDurable && this.#fallback.size > 0) this.#run(() => this.#tryAgain());
    await this.#steps.idle();
  }

  /** Gives the disk up: nothing more is started. @returns The events of the write in flight: they may or may not be on disk. */
  abandon(): ReadonlySet<EventRecord> {
    this.#isAbandoned = true;
    if (this.#steps.isBusy) this.#onDiskHangs();
    return new Set(this.#inFlight?.lines.map(({ record }) => record));
  }

  get #isHanging(): boolean {
    return this.#hang !== undefined;
  }

  get #hasWork(): boolean {
    return this.#isDurable && !this.#isAbandoned && (this.#queue.size > 0 || this.#fallback.size > 0);
  }

  #run(step: () => Promise<void>): void {
    this.#steps.add(async () => {
      if (!this.#isAbandoned) await step();
      this.#onDiskResponds(false);
    });
  }

  #startWriting(): void {
    if (this.#hasWork && !this.#steps.isBusy) this.#run(() => this.#writeAll());
  }

  async #writeAll(): Promise<void> {
    while (this.#hasWork) await this.#writeBatch();
    if (!this.#isRecovering || !this.#isDurable) return;
    this.#isRecovering = false;
    this.#options.log.warn('spool_back', 'the disk of the spool works again, and the events from memory are on disk');
  }

  /** One write: first the events in memory, then the appends. @returns Whether the disk works. */
  async #writeBatch(): Promise<boolean> {
    const { segments, batchBytes, onStored, onWritten } = this.#options;
    this.#watchdog.start();
    const fromMemory = this.#fallback.takeBatch(batchBytes);
    const appends = fromMemory.length > 0 ? [] : this.#queue.takeBatch(batchBytes);
    const lines: readonly RecordLine[] = fromMemory.length > 0 ? fromMemory : [...appends];
    this.#inFlight = { lines, appends, bytes: lines.reduce((sum, { bytes }) => sum + bytes, 0) };
    try {
      await segments.write(lines);
    } catch (error) {
      this.#inFlight = undefined;
      return this.#onWriteFailed(error, lines, appends);
    }
    this.#inFlight = undefined;
    // An event that was taken and put back before it had its place is in memory too.
    for (const { record } of lines) if (record.segment !== undefined) this.#fallback.delete(record);
    onWritten(fromMemory.map(({ record }) => record));
    onStored(appends.map(({ record }) => record));
    for (const { resolve } of appends) resolve('disk');
    this.#onDiskResponds(true);
    return true;
  }

  #onWriteFailed(error: unknown, lines: readonly RecordLine[], appends: readonly WaitingAppend[]): boolean {
    const isCleared = error instanceof ClearedError;
    if (!isCleared) {
      for (const { record, bytes } of lines) if (record.isWaiting) this.#fallback.add(record, bytes);
      this.#storeInMemory(appends);
      this.fail(error);
    }
    for (const { resolve } of appends) resolve(isCleared ? 'full' : 'memory');
    this.#onDiskResponds(isCleared);
    return isCleared;
  }

  #prepare(): Promise<void> {
    this.#watchdog.start(OPENING_LIMIT_MS);
    return this.#options.prepare();
  }

  async #tryAgain(): Promise<void> {
    try {
      await this.#prepare();
    } catch (error) {
      this.fail(error);
      return;
    }
    await this.#resume();
  }

  /** The directory is prepared: writes the events from memory. */
  async #resume(): Promise<void> {
    if (this.#isAbandoned) return;
    try {
      await this.#options.segments.open();
    } catch (error) {
      // If the spool was cleared meanwhile, the next append shows whether the disk works.
      if (!(error instanceof ClearedError)) {
        this.fail(error);
        return;
      }
    }
    this.#onDiskResponds(false);
    // A full disk has room for an empty file: only a successful write shows that the disk works.
    if (this.#isAbandoned || (this.#fallback.size > 0 && !(await this.#writeBatch()))) return;
    this.#trustDisk();
    await this.#writeAll();
  }

  #onDiskHangs(): void {
    const { log, marks, onStored } = this.#options;
    if (this.#hang !== undefined) return;
    log.warn(HANGING.code, HANGING.text);
    this.#hang = { wasDurable: this.#isDurable };
    marks.buffer();
    // Events of the write in flight keep their places on disk: a second line would be a second event.
    const late = this.#inFlight?.appends.splice(0) ?? [];
    onStored(late.map(({ record }) => record));
    for (const { resolve } of late) resolve('memory');
    this.#turnToMemory();
  }

  /** `isWritten`: whether the response shows that the disk works. */
  #onDiskResponds(isWritten: boolean): void {
    const hang = this.#hang;
    if (hang === undefined) return;
    this.#hang = undefined;
    try {
      this.#options.marks.flush();
    } catch (error) {
      this.fail(error);
      return;
    }
    if (isWritten && hang.wasDurable) this.#trustDisk();
  }

  #trustDisk(): void {
    this.#isDurable = true;
    this.#isRecovering = true;
  }

  #turnToMemory(): void {
    this.#isDurable = false;
    const appends = this.#queue.takeAll();
    this.#storeInMemory(appends);
    for (const { resolve } of appends) resolve('memory');
  }

  #storeInMemory(lines: readonly RecordLine[]): void {
    for (const { record, bytes } of lines) this.#fallback.add(record, bytes);
    this.#options.onStored(lines.map(({ record }) => record));
  }
}

/** Runs asynchronous steps one at a time, in order. */
class SerialQueue {
  readonly #onIdle: () => void;
  #last: Promise<void> | undefined;

  /** `onIdle`: called each time the queue becomes empty. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  get isBusy(): boolean {
    return this.#last !== undefined;
  }

  /** Adds a step. It must never reject. */
  add(step: () => Promise<void>): void {
    const last = (this.#last ?? Promise.resolve()).then(step).finally(() => {
      if (this.#last !== last) return;
      this.#last = undefined;
      this.#onIdle();
    });
    this.#last = last;
  }

  /** Resolves once the queue is empty. */
  async idle(): Promise<void> {
    while (this.#last !== undefined) await this.#last;
  }
}
