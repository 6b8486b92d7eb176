// The directory of a spool: created if it is missing, refused if other users can change it.

import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DIRECTORY_MODE, errorCode, READ, SpoolError } from './files.js';
import type { SpoolFiles } from './files.js';

/** A directory that passed the checks, with its identity: the same path can later be another directory. */
export interface SpoolDirectory {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/**
 * Creates the directory for its owner alone if it is missing, and checks that no other user can change it.
 *
 * @throws (rejects) SpoolError with the path and the reason.
 */
export async function prepareDirectory(path: string, files: SpoolFiles): Promise<SpoolDirectory> {
  // Removes a slash at the end: with it, lstat follows a symbolic link.
  const directory = resolve(path);
  const stats = await statOrCreate(directory, files);
  if (stats.isSymbolicLink()) throw unsafe(directory, 'is a symbolic link');
  if (!stats.isDirectory()) throw unsafe(directory, 'is not a directory');
  assertPrivate(directory, stats);
  return { path: directory, device: stats.dev, inode: stats.ino };
}

/** Whether the path is still the directory that was prepared. @throws (rejects) Errors of the file system. */
export async function isSameDirectory({ path, device, inode }: SpoolDirectory, files: SpoolFiles): Promise<boolean> {
  try {
    const { dev, ino } = await files.lstat(path);
    return dev === device && ino === inode;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Syncs the names in a directory: a power failure loses a new file whose name is not on disk.
 *
 * @throws (rejects) Errors of the file system.
 */
export async function syncDirectory(path: string, files: SpoolFiles): Promise<void> {
  // Windows cannot open a directory, and writes names through.
  if (process.platform === 'win32') return;
  const handle = await files.open(path, READ);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const WRITABLE_BY_OTHERS = 0o022;

/** @throws SpoolError if another user can change the content of the path. */
export function assertPrivate(path: string, stats: Stats): void {
  // Owner and mode have no meaning on Windows.
  if (process.platform === 'win32') return;
  if (!isOwn(stats)) throw unsafe(path, `belongs to user ${stats.uid}, and this process runs as user ${process.geteuid?.() ?? -1}`);
  if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw unsafe(path, `can be written by its group or by others (mode ${(stats.mode & 0o777).toString(8)})`);
  }
}

/** An error for a path that other users can change, or that the spool cannot have created. */
export function unsafe(path: string, reason: string): SpoolError {
  return new SpoolError('unsafe', `The spool cannot use ${JSON.stringify(path)}: it ${reason}.`);
}

/** An error for a path on which the file system refused an operation. A `SpoolError` is returned unchanged. */
export function unusable(path: string, verb: string, cause: unknown): SpoolError {
  if (cause instanceof SpoolError) return cause;
  return new SpoolError('unusable', `The spool cannot use ${JSON.stringify(path)}: it cannot be ${verb} (${errorCode(cause)}).`, { cause });
}

async function statOrCreate(directory: string, files: SpoolFiles): Promise<Stats> {
  try {
    return await files.lstat(directory);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw unusable(directory, 'inspected', error);
  }
  try {
    await createDirectory(directory, files);
    const created = await files.lstat(directory);
    // A umask can take permissions from the owner too. If another process created something else here, the checks refuse it.
    if (created.isDirectory() && isOwn(created)) await files.chmod(directory, DIRECTORY_MODE);
    await syncDirectory(dirname(directory), files).catch(() => undefined);
    return await files.lstat(directory);
  } catch (error) {
    throw unusable(directory, 'created', error);
  }
}

/** @throws (rejects) The real error of the file system: with `recursive`, Node reports ENOENT for a disk that is read-only or full. */
async function createDirectory(directory: string, files: SpoolFiles): Promise<void> {
  try {
    await files.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    let topmost = directory;
    while (dirname(topmost) !== topmost && (await isMissing(dirname(topmost), files))) topmost = dirname(topmost);
    await files.mkdir(topmost, { recursive: false, mode: DIRECTORY_MODE });
    await files.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  }
}

async function isMissing(path: string, files: SpoolFiles): Promise<boolean> {
  return files.lstat(path).then(
    () => false,
    (error: unknown) => errorCode(error) === 'ENOENT',
  );
}

function isOwn(stats: Stats): boolean {
  return process.platform === 'win32' || stats.uid === process.geteuid?.();
}
