import { resolve } from 'node:path';
import { isSameDirectory, prepareDirectory } from './directory.js';
import type { SpoolDirectory } from './directory.js';
import type { SpoolFiles } from './files.js';
import { lockDirectory } from './lock.js';
import type { DirectoryLock } from './lock.js';

/** A directory that is ours for as long as we hold its lock. */
export class Tenure {
  readonly path: string;
  readonly files: SpoolFiles;
  #directory: SpoolDirectory | undefined;
  #lock: DirectoryLock | undefined;

  constructor(path: string, files: SpoolFiles) {
    this.path = resolve(path);
    this.files = files;
  }

  /** False until the directory is taken, and once it was found to be gone, or another's, and could not be taken again. */
  get isHeld(): boolean {
    return this.#lock !== undefined;
  }

  /**
   * Takes the directory, at first and again where it, or its lock, was deleted: it is made where it is missing. Whoever took it meanwhile
   * keeps it.
   *
   * @throws SpoolError where the directory is not fit, or another process has it.
   */
  async take(): Promise<void> {
    if (this.#lock !== undefined && this.#directory !== undefined && (await isSameDirectory(this.#directory, this.files)) && (await this.#lock.isHeld())) return;
    await this.end();
    this.#directory = await prepareDirectory(this.path, this.files);
    this.#lock = await lockDirectory(this.path, this.files);
  }

  /** Lets others have it. Never rejects. */
  async end(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.release();
  }
}
