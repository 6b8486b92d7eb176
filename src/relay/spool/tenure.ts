import { isSameDirectory, prepareDirectory } from './directory.js';
import type { SpoolDirectory } from './directory.js';
import type { SpoolFiles } from './files.js';
import { lockDirectory } from './lock.js';
import type { DirectoryLock } from './lock.js';

/** A directory that is ours for as long as we hold its lock. */
export class Tenure {
  readonly path: string;
  readonly files: SpoolFiles;
  #directory: SpoolDirectory;
  #lock: DirectoryLock | undefined;

  private constructor(files: SpoolFiles, directory: SpoolDirectory, lock: DirectoryLock) {
    this.path = directory.path;
    this.files = files;
    this.#directory = directory;
    this.#lock = lock;
  }

  /** @throws SpoolError where the directory is not fit, or another process has it. */
  static async begin(path: string, files: SpoolFiles): Promise<Tenure> {
    const directory = await prepareDirectory(path, files);
    return new Tenure(files, directory, await lockDirectory(directory.path, files));
  }

  /** False once the directory was found to be gone, or another's, and could not be taken again. */
  get isHeld(): boolean {
    return this.#lock !== undefined;
  }

  /**
   * Takes the directory again where it, or its lock, was deleted: it is made anew, since that is what a start would do. Whoever took
   * it meanwhile keeps it.
   *
   * @throws SpoolError as `begin` does.
   */
  async renew(): Promise<void> {
    if (this.#lock !== undefined && (await isSameDirectory(this.#directory, this.files)) && (await this.#lock.isHeld())) return;
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
