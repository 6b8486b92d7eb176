import type { Stats } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { systemClock } from './clock.js';
import type { Clock } from './clock.js';

/** Files as descriptors, without blocking; each rejects as node:fs does. */
export interface DescriptorAccess {
  /** Opens a file to append to; it is made for its owner alone if it is not there, and never one that a link leads to. */
  open(path: string): Promise<number>;
  /** @returns How many bytes were written. */
  write(descriptor: number, bytes: Uint8Array): Promise<number>;
  close(descriptor: number): Promise<void>;
}
const OWNER_ALONE = 0o600;

/**
 * Descriptors of the machine. Numbers, not FileHandles: one of these that is never closed would warn in the host's name. What
 * reads and writes files is asked for here, since a host that does not debug need not load it.
 */
export function machineDescriptors(): DescriptorAccess {
  const fs = process.getBuiltinModule('node:fs');
  const { promisify } = process.getBuiltinModule('node:util');
  const [openLater, closeLater, statLater] = [promisify(fs.open), promisify(fs.close), promisify(fs.fstat)];
  // Absent on Windows, where there is nothing like the last two to guard against.
  const { O_APPEND, O_CREAT, O_WRONLY } = fs.constants;
  const appendFlags = O_APPEND | O_CREAT | O_WRONLY | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0);
  return {
    open: async (path) => {
      const descriptor = await openLater(path, appendFlags, OWNER_ALONE);
      const isFile = await statLater(descriptor).then(
        (status) => status.isFile(),
        () => false,
      );
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

/** What the machine says about itself. */
export interface MachineFacts {
  /** As `os.type()` gives it. */
  system: string;
  /** As `os.machine()` gives it. */
  machine: string;
  nodeVersion: string;
}

/** The facts of the machine at hand. */
export function machineFacts(): MachineFacts {
  const os = process.getBuiltinModule('node:os');
  return { system: os.type(), machine: os.machine(), nodeVersion: process.versions.node };
}

/** A configuration file beyond this is not read: Airflow's own, with every comment, has a tenth of it. */
const MAX_BYTES = 1 << 20;

const CHUNK_BYTES = 1 << 16;

/** Opening never waits for somebody at the other end of a pipe. */
function flags({ constants }: { constants: { O_RDONLY: number; O_NONBLOCK?: number } }): number {
  return constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
}

/**
 * Reads a configuration file of at most 1 MiB. It never waits for a pipe or a device, and a byte order mark stays.
 *
 * @throws as node:fs does; with code EFBIG when it is too large, ENOTFILE when it is no regular file, EILSEQ when not UTF-8.
 */
export function readConfigFile(path: string): string {
  // Asked for where it is used: a host that opted out in its environment reads no file and need not load what reads files.
  const fs = process.getBuiltinModule('node:fs');
  const descriptor = fs.openSync(path, flags(fs));
  try {
    assertFile(fs.fstatSync(descriptor));
    const content = new Content();
    while (content.add(fs.readSync(descriptor, content.chunk, 0, CHUNK_BYTES, null)));
    return content.text();
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The same without blocking: nothing of the host waits for the disk. */
export async function readConfigFileLater(path: string): Promise<string> {
  const fs = process.getBuiltinModule('node:fs');
  const file = await fs.promises.open(path, flags(fs));
  try {
    assertFile(await file.stat());
    const content = new Content();
    while (content.add((await file.read(content.chunk, 0, CHUNK_BYTES, null)).bytesRead));
    return content.text();
  } finally {
    await file.close();
  }
}

/** What has been read so far, within bounds. */
class Content {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  /** Where the next bytes go. */
  chunk = Buffer.alloc(CHUNK_BYTES);

  /** Keeps the bytes that were read into `chunk`. @returns Whether there may be more. */
  add(bytes: number): boolean {
    this.#chunks.push(this.chunk.subarray(0, bytes));
    this.#length += bytes;
    if (this.#length > MAX_BYTES) throw fileError('EFBIG');
    if (bytes > 0) this.chunk = Buffer.alloc(CHUNK_BYTES);
    return bytes > 0;
  }

  text(): string {
    const content = Buffer.concat(this.#chunks, this.#length);
    if (!process.getBuiltinModule('node:buffer').isUtf8(content)) throw fileError('EILSEQ');
    return content.toString('utf8');
  }
}

function assertFile(status: Stats): void {
  if (!status.isFile()) throw fileError(status.isDirectory() ? 'EISDIR' : 'ENOTFILE');
}

function fileError(code: string): Error {
  return Object.assign(new Error('the configuration file cannot be used'), { code });
}

/** Time, chance and the machine: everything that tests own and users do not choose. */
export interface MachineAccess {
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  /** Reads a whole configuration file as UTF-8; throws as `node:fs` does. */
  readFile: (path: string) => string;
  /** The same without blocking, to see an opt-out that appears in a file while the host runs. @default they are read once only */
  readFileLater?: (path: string) => Promise<string>;
  /** Whose usual places for files are looked at. @default process.platform */
  platform?: NodeJS.Platform;
  /** Finds the address of a host name. @default a cancellable resolver */
  lookup?: LookupFunction;
  facts: () => MachineFacts;
  /** Where debug mode writes. @default standard error and the disk */
  descriptors?: DescriptorAccess;
}

/** The machine at hand. */
export const thisMachine: MachineAccess = {
  clock: systemClock,
  random: Math.random,
  readFile: readConfigFile,
  readFileLater: readConfigFileLater,
  facts: machineFacts,
};
