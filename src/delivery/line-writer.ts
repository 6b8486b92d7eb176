import type { Clock } from '../timing.js';

/** Files as descriptors, without blocking; each rejects as node:fs does. */
export interface DescriptorAccess {
  /** Opens a file to append to; it is made for its owner alone if it is not there, and never one that a link leads to. */
  open(path: string): Promise<number>;
  /** @returns How many bytes were written. */
  write(descriptor: number, bytes: Uint8Array): Promise<number>;
  close(descriptor: number): Promise<void>;
}

const STDERR = 2;
const OWNER_ALONE = 0o600;

/** A pipe that is full says EAGAIN: so long is waited for its reader, in all. */
const PAUSE_MS = 10;
const MAX_PAUSES = 100;

/**
 * Descriptors of the machine. Numbers, not FileHandles: one of these that is never closed would warn in the host's name. What
 * reads and writes files is asked for here, since a host that does not debug need not load it.
 */
function machineDescriptors(): DescriptorAccess {
  const fs = process.getBuiltinModule('node:fs');
  const { promisify } = process.getBuiltinModule('node:util');
  const [openLater, closeLater, statLater] = [promisify(fs.open), promisify(fs.close), promisify(fs.fstat)];
  // Absent on Windows, where there is nothing like the last two to guard against.
  const { O_APPEND, O_CREAT, O_WRONLY } = fs.constants;
  const flags = O_APPEND | O_CREAT | O_WRONLY | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0);
  return {
    open: async (path) => {
      const descriptor = await openLater(path, flags, OWNER_ALONE);
      const isFile = await statLater(descriptor).then((status) => status.isFile(), () => false);
      if (isFile) return descriptor;
      await closeLater(descriptor);
      throw Object.assign(new Error('no regular file'), { code: 'ENOTFILE' });
    },
    write: (descriptor, bytes) =>
      new Promise((resolve, reject) => {
        fs.write(descriptor, bytes, (error, written) => {
          if (error === null) resolve(written);
          else reject(error);
        });
      }),
    close: closeLater,
  };
}

/**
 * Writes lines to standard error or to the end of a file, in order and off the host's path. It goes by the descriptor and not
 * by `process.stderr`, which blocks the host while a pipe is full and throws into it when the pipe is closed.
 */
export class LineWriter {
  readonly #clock: Clock;
  readonly #access: DescriptorAccess;
  readonly #path: string | undefined;
  #descriptor: Promise<number> | undefined;
  #last: Promise<void> = Promise.resolve();

  /** @param path A file; standard error without one. Nothing is opened before the first line. */
  constructor(path: string | undefined, clock: Clock, access: DescriptorAccess = machineDescriptors()) {
    this.#path = path;
    this.#clock = clock;
    this.#access = access;
  }

  /** Resolves when the line is written; rejects as node:fs does. A file that could not be opened is not tried again. */
  write(line: string): Promise<void> {
    const written = this.#last.then(() => this.#write(Buffer.from(`${line}\n`)));
    this.#last = written.catch(() => undefined);
    return written;
  }

  /** Lets the file go once what was to be written is written. Never rejects. */
  async close(): Promise<void> {
    await this.#last;
    if (this.#path === undefined || this.#descriptor === undefined) return;
    await this.#descriptor.then((descriptor) => this.#access.close(descriptor)).catch(() => undefined);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#descriptor ??= this.#path === undefined ? Promise.resolve(STDERR) : this.#access.open(this.#path);
    const descriptor = await this.#descriptor;
    let pauses = 0;
    for (let rest = bytes; rest.length > 0; ) {
      try {
        rest = rest.subarray(await this.#access.write(descriptor, rest));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || pauses === MAX_PAUSES) throw error;
        pauses += 1;
        await this.#pause();
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimeout(resolve, PAUSE_MS).unref();
    });
  }
}
