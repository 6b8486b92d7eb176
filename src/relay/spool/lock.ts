// One process a directory: the lease on a spool's directory, the lock file behind it, and the Unix socket behind that.

import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join, resolve as resolvePath } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { guardAccepting } from '../accepting.js';
import type { Log } from '../../base/log.js';
import { assertOwn, isOwn, isSameDirectory, prepareDirectory, regainDirectory, unsafe, unusable } from './directory.js';
import type { OnTakenBack, SpoolDirectory } from './directory.js';
import { errorCode, FILE_MODE, SpoolError } from './files.js';
import type { SpoolFiles } from './files.js';

/** The lease on a directory: held until it is released, or until the directory or its lock is deleted. */
export class DirectoryLease {
  readonly files: SpoolFiles;
  /** The directory that it was given: `path` is this one, or its own subdirectory. */
  readonly given: string;
  readonly #onTakenBack: OnTakenBack;
  readonly #log: Pick<Log, 'warn'>;
  #directory: SpoolDirectory | undefined;
  #lock: DirectoryLock | undefined;

  constructor(path: string, files: SpoolFiles, onTakenBack: OnTakenBack, log: Pick<Log, 'warn'>) {
    this.given = resolvePath(path);
    this.files = files;
    this.#onTakenBack = onTakenBack;
    this.#log = log;
  }

  /** The directory that holds the events: the given one, or its own subdirectory, as the last `acquire()` found it. */
  get path(): string {
    return this.#directory?.path ?? this.given;
  }

  /** False before the first `acquire()`, after `release()`, and after an `acquire()` that found the lease lost and failed. */
  get isHeld(): boolean {
    return this.#lock !== undefined;
  }

  /**
   * Acquires the lease; reacquires it if the directory or its lock was deleted. A missing directory is created.
   *
   * @throws (rejects) SpoolError if the directory cannot be used, or another process holds it.
   */
  async acquire(): Promise<void> {
    if (
      this.#lock !== undefined &&
      this.#directory !== undefined &&
      (await isSameDirectory(this.#directory, this.files)) &&
      (await this.#lock.isHeld())
    )
      return;
    await this.release();
    this.#directory = await prepareDirectory(this.given, this.files, this.#onTakenBack);
    this.#lock = await lockDirectory(this.path, this.files, this.#log);
  }

  /** Takes back the rights that the directory has lost since it was acquired. Never rejects. */
  async regain(): Promise<void> {
    if (this.#directory !== undefined) await regainDirectory(this.given, this.#directory, this.files, this.#onTakenBack);
  }

  /** Never rejects. */
  async release(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.release();
  }
}

/** A lock that this process holds. */
export interface DirectoryLock {
  /** Whether its name still exists: once it is deleted, another process can acquire the directory. */
  isHeld(): Promise<boolean>;
  /** Never rejects. */
  release(): Promise<void>;
}

/** @throws (rejects) SpoolError: `in_use` if another process holds the lock, `unsafe` or `unusable` if no lock can be created. */
export async function lockDirectory(directory: string, files: SpoolFiles, log: Pick<Log, 'warn'>): Promise<DirectoryLock> {
  try {
    return process.platform === 'win32' ? await lockByPipe(directory) : await new LockContender(directory, files, log).win();
  } catch (error) {
    throw unusable(directory, 'locked', error);
  }
}

function inUse(directory: string): SpoolError {
  return new SpoolError('in_use', `The spool cannot use ${JSON.stringify(directory)}: it is used by another process.`);
}

/** Windows removes a named pipe when its owner ends. */
async function lockByPipe(directory: string): Promise<DirectoryLock> {
  const digest = createHash('sha256').update(directory.toLowerCase()).digest('hex');
  try {
    const socket = await listenOn(`\\\\.\\pipe\\cosmos-telemetry-spool-${digest}`);
    return { isHeld: () => Promise.resolve(true), release: () => socket.close() };
  } catch (error) {
    throw errorCode(error) === 'EADDRINUSE' || errorCode(error) === 'EACCES' ? inUse(directory) : error;
  }
}

const LOCK_NAME = /^lock\.(\d{1,15})$/;
const CANDIDATE_NAME = /^lock\.new-[0-9a-f-]+$/;

/** Random bytes in the name of a candidate. Two contenders with the same name would both fail once, and try again. */
const CANDIDATE_BYTES = 4;

/** How often the owner is probed before the directory counts as in use, and the pause between probes. */
const PROBES = 4;
const PROBE_PAUSE_MS = 30;

/** The number with the most digits that the name of a lock has. */
const MAX_NUMBER = 10 ** 15 - 1;

/** Limit of lost races, far above what can happen. */
const MAX_ROUNDS = 1000;

/**
 * A process that wants the lock. The lock is a listening Unix socket. The kernel closes it when its owner ends, even by SIGKILL, so a
 * connection succeeds only while the owner lives.
 *
 * A stale name is never deleted to make room: two processes that both see it as stale could delete each other's lock. Instead, names are
 * numbered: `lock.1`, `lock.2` and so on. A contender listens on a candidate, `lock.new-<random>`, and links it to the number after the
 * highest. A link is atomic, so one contender wins. Only the owner of a higher number deletes lower ones, and the highest name stays when
 * its owner ends, so the highest number never falls. A contender that links a number below the highest has read an old list: it withdraws.
 *
 * What has the name of a lock and is not a socket holds nothing: others put it there. It stays, and its number counts as used, so that the
 * highest number still never falls; the highest socket below it tells whether there is an owner.
 */
class LockContender {
  readonly #directory: string;
  readonly #files: SpoolFiles;
  readonly #log: Pick<Log, 'warn'>;

  constructor(directory: string, files: SpoolFiles, log: Pick<Log, 'warn'>) {
    this.#directory = directory;
    this.#files = files;
    this.#log = log;
  }

  async win(): Promise<DirectoryLock> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const names = await this.#files.readdir(this.#directory);
      if (await this.#hasOwner(names)) throw inUse(this.#directory);
      const number = highestNumber(names) + 1;
      if (number > MAX_NUMBER) throw unsafe(this.#directory, 'has a lock with a number that no spool gives');
      const lock = await this.#claim(number);
      if (lock !== undefined) return lock;
    }
    throw inUse(this.#directory);
  }

  /** Whether the highest socket has an owner. */
  async #hasOwner(names: readonly string[]): Promise<boolean> {
    const locks = names.filter((name) => numberOf(name) > 0).sort((left, right) => numberOf(right) - numberOf(left));
    for (const name of locks) {
      const isAlive = await this.#staysAlive(name);
      if (isAlive !== undefined) return isAlive;
      this.#log.warn('spool_lock', `${JSON.stringify(this.#path(name))} is not a socket, so it is no lock: it is ignored, and stays`);
    }
    return false;
  }

  /**
   * Probes the owner several times: a child process that a dead owner was starting has copies of its sockets until it calls exec.
   *
   * @returns Undefined for what is not a socket.
   */
  async #staysAlive(name: string): Promise<boolean | undefined> {
    for (let probe = 0; probe < PROBES; probe += 1) {
      if (probe > 0) await setTimeout(PROBE_PAUSE_MS);
      const isAlive = await this.#isAlive(name);
      if (isAlive !== true) return isAlive;
    }
    return true;
  }

  /**
   * Whether a process listens on the name. False for a deleted name: the next list shows a higher one.
   *
   * @returns Undefined for what is not a socket.
   */
  async #isAlive(name: string): Promise<boolean | undefined> {
    const path = this.#path(name);
    try {
      const stats = await this.#files.lstat(path);
      if (!stats.isSocket()) return undefined;
      // A connect needs the permission to write, which a platform may have taken from all files of the directory.
      if (isOwn(stats) && (stats.mode & FILE_MODE) !== FILE_MODE) await this.#files.chmod(path, FILE_MODE);
      return await canConnect(this.#directory, name).catch((error: unknown) => {
        // A relay that another user started may hold it.
        if (errorCode(error) === 'EACCES') assertOwn(path, stats);
        throw error;
      });
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** @returns Undefined if another contender won. */
  async #claim(number: number): Promise<DirectoryLock | undefined> {
    // Short, because a socket path has 104 bytes on macOS, of which a temporary folder takes half. Relays before 0.2 know the name, too.
    const candidate = `lock.new-${randomBytes(CANDIDATE_BYTES).toString('hex')}`;
    const name = `lock.${number}`;
    const socket = await listenIn(this.#directory, candidate);
    try {
      await this.#files.chmod(this.#path(candidate), FILE_MODE);
      const { ino } = await this.#files.lstat(this.#path(candidate));
      await this.#files.link(this.#path(candidate), this.#path(name));
      const names = await this.#files.readdir(this.#directory);
      if (highestNumber(names) > number) {
        await this.#files.unlink(this.#path(name));
        throw Object.assign(new Error('A higher number exists.'), { code: 'EEXIST' });
      }
      await this.#unlink(candidate);
      await this.#tidy(names, number);
      return { isHeld: () => this.#isOurs(name, ino), release: () => socket.close() };
    } catch (error) {
      await socket.close();
      await this.#unlink(candidate);
      // ENOENT: the winner deleted our candidate as stale, in the moment before it listened.
      if (errorCode(error) === 'EEXIST' || errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #isOurs(name: string, inode: number): Promise<boolean> {
    try {
      return (await this.#files.lstat(this.#path(name))).ino === inode;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Deletes the sockets of earlier owners and of killed contenders. One that cannot be deleted does no harm. */
  async #tidy(names: readonly string[], own: number): Promise<void> {
    for (const name of names) {
      const number = numberOf(name);
      const isStale = number > 0 ? number < own && this.#isSocket(name) : CANDIDATE_NAME.test(name) && this.#isDead(name);
      if (await isStale) await this.#unlink(name);
    }
  }

  #isSocket(name: string): Promise<boolean> {
    return this.#files.lstat(this.#path(name)).then(
      (stats) => stats.isSocket(),
      () => false,
    );
  }

  #isDead(name: string): Promise<boolean> {
    return this.#isAlive(name).then(
      (isAlive) => isAlive === false,
      () => false,
    );
  }

  #unlink(name: string): Promise<void> {
    return this.#files.unlink(this.#path(name)).catch(() => undefined);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

function numberOf(name: string): number {
  return Number(LOCK_NAME.exec(name)?.[1] ?? 0);
}

function highestNumber(names: readonly string[]): number {
  return names.reduce((highest, name) => Math.max(highest, numberOf(name)), 0);
}

/** A listening socket. It does not keep the process alive. */
interface LockSocket {
  /** Never rejects. */
  close(): Promise<void>;
}

/** Listens on a name in a directory. Node deletes the path when the socket closes, so no other process may use the name. */
async function listenIn(directory: string, name: string): Promise<LockSocket> {
  const { path, shortcut } = await socketPath(directory, name);
  try {
    return await listenOn(path);
  } finally {
    await shortcut?.close();
  }
}

/** @throws (rejects) Errors of `listen`. */
function listenOn(path: string): Promise<LockSocket> {
  return new Promise((resolve, reject) => {
    // A client only checks that this process lives.
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.destroy();
    });
    server.once('error', reject);
    // Exclusive: otherwise the primary of `node:cluster` listens for its workers, and outlives this one.
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      guardAccepting(server);
      resolve({ close: () => new Promise((closed) => void server.close(() => closed())) });
    });
    server.unref();
  });
}

/** Errors of a connect that come from a process that lives: its backlog is full, or it closed the connection at once. */
const ALIVE: ReadonlySet<string> = new Set(['EAGAIN', 'ECONNRESET', 'EPIPE']);

/**
 * Whether a process listens on the socket. False for a stale or a missing one.
 *
 * @throws (rejects) If the probe is not possible now, such as ENOMEM. The spool then tries again later.
 */
async function canConnect(directory: string, name: string): Promise<boolean> {
  const { path, shortcut } = await socketPath(directory, name);
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', (error) => {
        const code = errorCode(error);
        if (ALIVE.has(code)) resolve(true);
        else if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
        else reject(error);
      });
    });
  } finally {
    await shortcut?.close();
  }
}

/** The longest socket path that every platform accepts: Linux has 108 bytes, macOS 104, with a zero at the end. */
const MAX_PATH_BYTES = 100;

/** A path to the socket that is short enough. On Linux, `/proc/self/fd` gives a short path to any open directory. */
async function socketPath(directory: string, name: string): Promise<{ path: string; shortcut: FileHandle | undefined }> {
  const path = join(directory, name);
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path, shortcut: undefined };
  if (process.platform !== 'linux') {
    const longest = MAX_PATH_BYTES - Buffer.byteLength(name) - 1;
    throw new SpoolError('unusable', `The spool cannot use ${JSON.stringify(directory)}: its path may have ${longest} bytes here.`);
  }
  const shortcut = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { path: `/proc/self/fd/${shortcut.fd}/${name}`, shortcut };
}
