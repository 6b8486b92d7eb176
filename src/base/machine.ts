// Access to the machine: facts about it, configuration files, and the descriptors that debug mode writes to. Tests replace it.
import type { Stats } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { systemClock } from './clock.js';
import type { Clock } from './clock.js';
import { bare } from './foreign-values.js';
import type { Platform } from './platform-types.js';

/** Time, randomness, files and the network: inputs that tests replace and users do not choose. @internal */
export interface MachineAccess {
  clock: Clock;
  /** From 0 up to 1, 1 excluded. */
  random: () => number;
  /** Reads a whole configuration file as UTF-8. Throws as `node:fs` does. */
  readFile: (path: string) => string;
  /** The same without blocking, to notice an opt-out in a file while the host runs. @default files are read only once, at the start */
  readFileLater?: (path: string) => Promise<string>;
  /** The platform whose usual places of files apply. @default process.platform */
  platform?: Platform;
  /** Finds the address of a host name. @default a cancellable resolver */
  lookup?: LookupFunction;
  facts: () => MachineFacts;
  /** Where debug mode writes. @default standard error and files */
  descriptors?: FileDescriptors;
}

/**
 * What the machine says about itself.
 *
 * @example
 * const facts: MachineFacts = { system: 'Linux', machine: 'x86_64', nodeVersion: '22.15.0' };
 */
export interface MachineFacts {
  /** From `os.type()`. */
  system: string;
  /** From `os.machine()`. */
  machine: string;
  /** From `process.versions.node`. */
  nodeVersion: string;
}

/** Files by descriptor, without blocking. All methods reject as `node:fs` does. */
export interface FileDescriptors {
  /** Opens a file for appending. A missing file is created for its owner only. A symbolic link is not followed. */
  open(path: string): Promise<number>;
  /** @returns The number of bytes written. */
  write(descriptor: number, bytes: Uint8Array): Promise<number>;
  close(descriptor: number): Promise<void>;
}

/** The machine that the process runs on. @internal */
export const thisMachine: MachineAccess = bare<MachineAccess>({
  clock: systemClock,
  random: Math.random,
  readFile: readConfigFile,
  readFileLater: readConfigFileLater,
  facts: machineFacts,
});

/** The part of `node:os` that is used. */
interface OperatingSystem {
  type(): string;
  machine(): string;
}

/** What the machine says, or something else where it refuses: a sandbox may forbid the call behind any fact. */
export function optionalFact<T>(ask: () => T, otherwise: T): T {
  try {
    return ask();
  } catch {
    return otherwise;
  }
}

/** Facts about the machine that the process runs on. One that is refused is empty, and does not leave. */
export function machineFacts(os: () => OperatingSystem = () => process.getBuiltinModule('node:os')): MachineFacts {
  return {
    system: optionalFact(() => os().type(), ''),
    machine: optionalFact(() => os().machine(), ''),
    nodeVersion: process.versions.node,
  };
}

/** The largest configuration file that is read. Airflow's own file, with every comment, is a tenth of it. */
const MAX_BYTES = 1 << 20;

const CHUNK_BYTES = 1 << 16;

/**
 * Reads a configuration file of at most 1 MiB. It never waits for a pipe or a device. A byte order mark stays in the text.
 *
 * @throws as `node:fs` does. Further codes: EFBIG for a file that is too large, ENOTFILE for a file that is not regular, EILSEQ for a
 * text that is not UTF-8.
 */
export function readConfigFile(path: string): string {
  // Not a static import: a host that opts out in its environment reads no file and must not pay for loading node:fs.
  const fs = process.getBuiltinModule('node:fs');
  const descriptor = fs.openSync(path, readFlags(fs));
  try {
    assertFile(fs.fstatSync(descriptor));
    const content = new Content();
    while (content.add(fs.readSync(descriptor, content.chunk, 0, CHUNK_BYTES, null)));
    return content.text();
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The same without blocking the host. */
export async function readConfigFileLater(path: string): Promise<string> {
  const fs = process.getBuiltinModule('node:fs');
  const file = await fs.promises.open(path, readFlags(fs));
  try {
    assertFile(await file.stat());
    const content = new Content();
    while (content.add((await file.read(content.chunk, 0, CHUNK_BYTES, null)).bytesRead));
    return content.text();
  } finally {
    await file.close();
  }
}

/** With O_NONBLOCK, opening a pipe does not wait for its writer. Windows has no such flag. */
function readFlags({ constants }: { constants: { O_RDONLY: number; O_NONBLOCK?: number } }): number {
  return constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
}

/** The part of a file that has been read. */
class Content {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  /** Where to read the next bytes to. */
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

const OWNER_ONLY = 0o600;

/**
 * The descriptors of the machine. They are numbers and not FileHandles: Node prints a warning for a FileHandle that is not closed.
 * node:fs is loaded here, so that a host without debug mode does not load it.
 */
export function machineDescriptors(): FileDescriptors {
  const fs = process.getBuiltinModule('node:fs');
  const { promisify } = process.getBuiltinModule('node:util');
  const { 0: openLater, 1: closeLater, 2: statLater } = [promisify(fs.open), promisify(fs.close), promisify(fs.fstat)];
  // Windows has neither O_NOFOLLOW nor O_NONBLOCK, and no such links and pipes to guard against.
  const { O_APPEND, O_CREAT, O_WRONLY } = fs.constants;
  const appendFlags = O_APPEND | O_CREAT | O_WRONLY | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0);
  return {
    open: async (path) => {
      const descriptor = await openLater(path, appendFlags, OWNER_ONLY);
      const isFile = await statLater(descriptor).then(
        (status) => status.isFile(),
        () => false,
      );
      if (isFile) return descriptor;
      await closeLater(descriptor);
      throw Object.assign(new Error('not a regular file'), { code: 'ENOTFILE' });
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
