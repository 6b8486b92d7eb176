import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join, resolve as resolvePath } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isSameDirectory, prepareDirectory, unsafe, unusable } from './directory.js';
import type { SpoolDirectory } from './directory.js';
import { errorCode, FILE_MODE, SpoolError } from './files.js';
import type { SpoolFiles } from './files.js';

/** What every platform takes as the path of a socket: Linux has room for 108 bytes, macOS for 104, and a zero ends it. */
const MAX_PATH_BYTES = 100;

/** A server that answers nobody, and does not hold the process. */
export interface SilentServer {
  /** Never rejects. */
  close(): Promise<void>;
}

/** @throws (rejects) whatever listening on that path gives. */
export function listenAt(path: string): Promise<SilentServer> {
  return new Promise((resolve, reject) => {
    // Whoever connects only wants to know that we live.
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.destroy();
    });
    server.once('error', reject);
    // Exclusive: in a worker of `node:cluster` the primary would listen, and live on after us.
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve({ close: () => new Promise((closed) => void server.close(() => closed())) });
    });
    server.unref();
  });
}

/**
 * Listens on a socket in a directory, however long the path to that is. Closing it tries to remove the path that it listened on,
 * so the name must be one that nobody else uses.
 */
export async function listenIn(directory: string, name: string): Promise<SilentServer> {
  const { path, shortcut } = await shortPath(directory, name);
  try {
    return await listenAt(path);
  } finally {
    await shortcut?.close();
  }
}

/** Whether somebody listens on that socket. False where it is left over, or gone. */
export async function probe(directory: string, name: string): Promise<boolean> {
  const { path, shortcut } = await shortPath(directory, name);
  try {
    return await answers(path);
  } finally {
    await shortcut?.close();
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      // Anything else, such as a full queue or a lack of rights, comes from one that lives.
      resolve(!['ECONNREFUSED', 'ENOENT'].includes(errorCode(error)));
    });
  });
}

/** A path to the socket that fits. On Linux an open directory has a short name of its own. */
async function shortPath(directory: string, name: string): Promise<{ path: string; shortcut: FileHandle | undefined }> {
  const path = join(directory, name);
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path, shortcut: undefined };
  if (process.platform !== 'linux') {
    const longest = MAX_PATH_BYTES - Buffer.byteLength(name) - 1;
    throw new SpoolError('unusable', `The spool cannot use ${JSON.stringify(directory)}: its path may have ${longest} bytes here.`);
  }
  const shortcut = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { path: `/proc/self/fd/${shortcut.fd}/${name}`, shortcut };
}

/**
 * One process a directory. The lock is a listening socket, since the kernel closes it with its owner, however that ends: whoever
 * can connect knows that somebody lives there. A stale name is never taken away to make room, since two who saw it stale could
 * then take each other's: names are numbered, and the next owner links its socket, listening already, to the number after the
 * highest. That is atomic, so one wins. Only the owner of a higher number removes lower ones, and the highest name stays behind
 * when its owner leaves, so the highest number never sinks; who linked a number below it has read an old list, and withdraws.
 */
export interface DirectoryLock {
  /** Whether the name is still there: whoever deletes it lets another process in. */
  isHeld(): Promise<boolean>;
  /** Never rejects. */
  release(): Promise<void>;
}

const NAME = /^lock\.(\d{1,15})$/;
const CANDIDATE = /^lock\.new-[0-9a-f-]+$/;

/** How often, and with what pause between, an owner is asked whether it lives. */
const PROBES = 4;
const PROBE_PAUSE_MS = 30;

/** More rounds than processes could possibly win in a row while we read one list. */
const MAX_ROUNDS = 1000;

/** @throws SpoolError `in_use` where another process has the directory, `unusable` where no lock can be made there. */
export async function lockDirectory(directory: string, files: SpoolFiles): Promise<DirectoryLock> {
  try {
    return process.platform === 'win32' ? await lockByPipe(directory) : await new Contender(directory, files).win();
  } catch (error) {
    throw unusable(directory, 'locked', error);
  }
}

function inUse(directory: string): SpoolError {
  return new SpoolError('in_use', `The spool cannot use ${JSON.stringify(directory)}: it is used by another process.`);
}

/** A named pipe goes with its owner, name and all. */
async function lockByPipe(directory: string): Promise<DirectoryLock> {
  const digest = createHash('sha256').update(directory.toLowerCase()).digest('hex');
  try {
    const server = await listenAt(`\\\\.\\pipe\\cosmos-telemetry-spool-${digest}`);
    return { isHeld: () => Promise.resolve(true), release: () => server.close() };
  } catch (error) {
    throw errorCode(error) === 'EADDRINUSE' || errorCode(error) === 'EACCES' ? inUse(directory) : error;
  }
}

class Contender {
  readonly #directory: string;
  readonly #files: SpoolFiles;

  constructor(directory: string, files: SpoolFiles) {
    this.#directory = directory;
    this.#files = files;
  }

  async win(): Promise<DirectoryLock> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const highest = highestNumber(await this.#files.readdir(this.#directory));
      if (highest > 0 && (await this.#staysAlive(`lock.${highest}`))) throw inUse(this.#directory);
      const lock = await this.#claim(highest + 1);
      if (lock !== undefined) return lock;
    }
    throw inUse(this.#directory);
  }

  /**
   * Asked more than once: a process that is just being started by the owner that left holds copies of its sockets for a moment,
   * until it becomes another program.
   */
  async #staysAlive(name: string): Promise<boolean> {
    for (let time = 0; time < PROBES; time += 1) {
      if (time > 0) await setTimeout(PROBE_PAUSE_MS);
      if (!(await this.#isAlive(name))) return false;
    }
    return true;
  }

  /** Whether somebody answers there. A name that has gone since counts as nobody's: the next list will show a higher one. */
  async #isAlive(name: string): Promise<boolean> {
    const path = this.#path(name);
    try {
      if (!(await this.#files.lstat(path)).isSocket()) throw unsafe(path, 'is not a socket');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    }
    return probe(this.#directory, name);
  }

  async #claim(number: number): Promise<DirectoryLock | undefined> {
    const candidate = `lock.new-${randomUUID()}`;
    const name = `lock.${number}`;
    const socket = await listenIn(this.#directory, candidate);
    try {
      await this.#files.chmod(this.#path(candidate), FILE_MODE);
      const { ino } = await this.#files.lstat(this.#path(candidate));
      await this.#files.link(this.#path(candidate), this.#path(name));
      const names = await this.#files.readdir(this.#directory);
      if (highestNumber(names) > number) {
        await this.#files.unlink(this.#path(name));
        throw Object.assign(new Error('A higher number was there.'), { code: 'EEXIST' });
      }
      await this.#unlink(candidate);
      await this.#tidy(names, number);
      return { isHeld: () => this.#holds(name, ino), release: () => socket.close() };
    } catch (error) {
      await socket.close();
      await this.#unlink(candidate);
      // ENOENT: the winner took our candidate for one that was left behind, in the moment before it listened.
      if (errorCode(error) === 'EEXIST' || errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #holds(name: string, inode: number): Promise<boolean> {
    try {
      return (await this.#files.lstat(this.#path(name))).ino === inode;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Removes what earlier owners and killed contenders left. What cannot be removed harms nobody. */
  async #tidy(names: readonly string[], own: number): Promise<void> {
    for (const name of names) {
      const number = numberOf(name);
      if (number > 0 && number < own) await this.#unlink(name);
      else if (CANDIDATE.test(name) && !(await this.#isAlive(name).catch(() => true))) await this.#unlink(name);
    }
  }

  #unlink(name: string): Promise<void> {
    return this.#files.unlink(this.#path(name)).catch(() => undefined);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

function numberOf(name: string): number {
  return Number(NAME.exec(name)?.[1] ?? 0);
}

function highestNumber(names: readonly string[]): number {
  return names.reduce((highest, name) => Math.max(highest, numberOf(name)), 0);
}

/** A directory that is ours for as long as we hold its lock. */
export class Tenure {
  readonly path: string;
  readonly files: SpoolFiles;
  #directory: SpoolDirectory | undefined;
  #lock: DirectoryLock | undefined;

  constructor(path: string, files: SpoolFiles) {
    this.path = resolvePath(path);
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
    if (
      this.#lock !== undefined &&
      this.#directory !== undefined &&
      (await isSameDirectory(this.#directory, this.files)) &&
      (await this.#lock.isHeld())
    )
      return;
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
