import type { Timer } from '../../timing.js';
import type { Stored } from '../store.js';
import { diskTrouble } from './disk-trouble.js';
import { DiskWatch, REVIVAL_PATIENCE_MS } from './disk-watch.js';
import type { Entry } from './entry.js';
import { Cleared, mayPass } from './errors.js';
import type { SizedLine } from './shelter.js';
import { Turns } from './turns.js';
import { Writes } from './writes.js';
import type { WritesOptions } from './writes.js';

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
