// The directory of a spool: created if it is missing, and safe from other users. A platform such as Kubernetes changes owners and modes of
// directories that it hands out, so the spool takes back the permissions of what it owns, or uses its own subdirectory.

import type { Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DIRECTORY_MODE, errorCode, FILE_MODE, READ, SpoolError } from './files.js';
import type { SpoolFile, SpoolFiles } from './files.js';

/** A directory that passed the checks, with its identity: the same path can later be another directory. */
export interface SpoolDirectory {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/** Why permissions were taken back. */
type TakenBackBecause = 'other users could write' | 'this user could not use';

/** Told of each path whose permissions were taken back, with the mode that it had, such as `2770`. */
export type OnTakenBack = (path: string, mode: string, why: TakenBackBecause) => void;

/** The name of the subdirectory that is used where the directory itself is shared with other users. */
export const OWN_SUBDIRECTORY = 'cosmos-relay';

/**
 * Finds the directory that holds the events. It belongs to this user, and no other user can change it:
 *
 * - the directory itself, created for its owner alone if it is missing;
 * - the directory itself after its permissions were taken back, if this user owns it and an earlier spool is in it: a platform opened it to
 *   a group meanwhile, as the fsGroup pass of Kubernetes does;
 * - else its subdirectory `cosmos-relay`: the root of an emptyDir or of a volume belongs to root, or can be written by all.
 *
 * A directory of this user that lacks rights of its owner (mode 0500, 0000 or 0070) gets them back.
 *
 * @throws (rejects) SpoolError with the path and the reason.
 */
export async function prepareDirectory(path: string, files: SpoolFiles, onTakenBack: OnTakenBack): Promise<SpoolDirectory> {
  // Removes a slash at the end: with it, lstat follows a symbolic link.
  const directory = resolve(path);
  const stats = await regain(directory, await statOrCreate(directory, files), files, onTakenBack);
  const subdirectory = join(directory, OWN_SUBDIRECTORY);
  const holds = (each: string): Promise<boolean> => holdsSpool(each, files, onTakenBack);
  // A directory that became private leaves the events of an earlier spool in the subdirectory.
  const isUsed = isOwn(stats) && ((await holds(directory)) || (isPrivate(stats) && !(await holds(subdirectory))));
  if (isUsed) return secureDirectory(directory, stats, files, onTakenBack);
  return secureDirectory(subdirectory, await statOrCreate(subdirectory, files), files, onTakenBack);
}

/**
 * Takes back the rights that a directory in use has lost. It never rejects: what is still wrong shows when the directory is used.
 *
 * @param given The directory that `prepareDirectory` was given.
 */
export async function regainDirectory(
  given: string,
  { path, device, inode }: SpoolDirectory,
  files: SpoolFiles,
  onTakenBack: OnTakenBack,
): Promise<void> {
  try {
    if (given !== path) await regainRights(given, files, onTakenBack);
    const stats = await files.lstat(path);
    if (stats.dev === device && stats.ino === inode) await secureDirectory(path, stats, files, onTakenBack);
  } catch {
    // It is gone, or on a disk that fails.
  }
}

/** Takes back the rights that a directory of this user has lost. @throws (rejects) Errors of the file system. */
export async function regainRights(path: string, files: SpoolFiles, onTakenBack: OnTakenBack): Promise<void> {
  await regain(path, await files.lstat(path), files, onTakenBack);
}

/** Takes back the rights that a file of this user has lost. It never rejects: what is still wrong shows when the file is used. */
export async function regainFile(path: string, files: SpoolFiles, onTakenBack: OnTakenBack): Promise<void> {
  try {
    const stats = await files.lstat(path);
    if (!stats.isFile() || !isOwn(stats) || hasRights(stats, FILE_MODE)) return;
    await files.chmod(path, FILE_MODE);
    onTakenBack(path, octal(stats.mode), 'this user could not use');
  } catch {
    // As above.
  }
}

/**
 * Makes sure that no other user can change an open file, and that this user can. The permissions of a file of this user are taken back.
 *
 * @throws (rejects) SpoolError for a file of another user.
 */
export async function secureFile(path: string, file: SpoolFile, stats: Stats, onTakenBack: OnTakenBack): Promise<void> {
  const isShared = !isPrivate(stats);
  if (!isShared && hasRights(stats, FILE_MODE)) return;
  assertOwn(path, stats);
  await file.chmod(FILE_MODE);
  onTakenBack(path, octal(stats.mode), isShared ? 'other users could write' : 'this user could not use');
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

/** Whether only this user can change the content. Modes have no meaning on Windows either. */
function isPrivate(stats: Stats): boolean {
  return process.platform === 'win32' || (isOwn(stats) && (stats.mode & WRITABLE_BY_OTHERS) === 0);
}

/** Whether the owner has all the rights of a mode. */
function hasRights(stats: Stats, mode: number): boolean {
  return process.platform === 'win32' || (stats.mode & mode) === mode;
}

/**
 * Gives this user the rights back to a directory of its own. Others keep theirs to one that they can write: they may share it on purpose.
 * If that fails, the next use of the directory does, and tells why.
 *
 * @returns Its stats now.
 */
async function regain(path: string, stats: Stats, files: SpoolFiles, onTakenBack: OnTakenBack): Promise<Stats> {
  if (!stats.isDirectory() || !isOwn(stats) || hasRights(stats, DIRECTORY_MODE)) return stats;
  const before = octal(stats.mode);
  const mode = isPrivate(stats) ? DIRECTORY_MODE : (stats.mode & 0o7777) | DIRECTORY_MODE;
  const isBack = await files.chmod(path, mode).then(
    () => true,
    () => false,
  );
  if (!isBack) return stats;
  onTakenBack(path, before, 'this user could not use');
  return Object.assign(stats, { mode: (stats.mode & ~0o7777) | mode });
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8);
}

/** @throws SpoolError for what belongs to another user. */
export function assertOwn(path: string, stats: Stats): void {
  if (!isOwn(stats)) throw unsafe(path, otherOwner(stats));
}

function otherOwner({ uid }: Stats): string {
  return `belongs to user ${uid}, and this process runs as user ${process.geteuid?.() ?? -1}`;
}

/**
 * Why a path is not a file that a spool of this user wrote: others could write into the directory meanwhile.
 *
 * @returns Undefined for a file of this user, and for a missing one.
 * @throws (rejects) Errors of the file system.
 */
export async function whyForeign(path: string, files: SpoolFiles): Promise<string | undefined> {
  try {
    const stats = await files.lstat(path);
    if (stats.isSymbolicLink()) return 'is a symbolic link';
    if (!stats.isFile()) return 'is not a file';
    return isOwn(stats) ? undefined : otherOwner(stats);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes sure that this user alone can change a directory. @throws (rejects) SpoolError for a directory of another user. */
async function secureDirectory(path: string, stats: Stats, files: SpoolFiles, onTakenBack: OnTakenBack): Promise<SpoolDirectory> {
  if (!isPrivate(stats)) {
    assertOwn(path, stats);
    try {
      await files.chmod(path, DIRECTORY_MODE);
    } catch (error) {
      throw unusable(path, 'made private', error);
    }
    onTakenBack(path, octal(stats.mode), 'other users could write');
  } else await regain(path, stats, files, onTakenBack);
  return { path, device: stats.dev, inode: stats.ino };
}

/** The files that a spool always leaves. */
const SPOOL_FILES = /^(?:events-\d+\.jsonl|lock\.\d+)$/;

/** Whether a spool of this user is in the directory; false if it is missing. Only such a directory is changed: others may share it. */
async function holdsSpool(directory: string, files: SpoolFiles, onTakenBack: OnTakenBack): Promise<boolean> {
  try {
    await regainRights(directory, files, onTakenBack);
    const names = (await files.readdir(directory)).filter((name) => SPOOL_FILES.test(name));
    for (const name of names) if (isOwn(await files.lstat(join(directory, name)))) return true;
    return false;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return false;
    throw unusable(directory, 'read', error);
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
  const stats = await lstatOrCreate(directory, files);
  if (stats.isSymbolicLink()) throw unsafe(directory, 'is a symbolic link');
  if (!stats.isDirectory()) throw unsafe(directory, 'is not a directory');
  return stats;
}

async function lstatOrCreate(directory: string, files: SpoolFiles): Promise<Stats> {
  try {
    return await files.lstat(directory);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw unusable(directory, 'inspected', error);
  }
  try {
    await createDirectory(directory, files);
    const created = await files.lstat(directory);
    // If another process created it meanwhile. If that is something else, the checks refuse it.
    if (created.isDirectory() && isOwn(created)) await files.chmod(directory, DIRECTORY_MODE);
    await syncDirectory(dirname(directory), files).catch(() => undefined);
    return await files.lstat(directory);
  } catch (error) {
    throw unusable(directory, 'created', error);
  }
}

/**
 * Creates the directory and its missing parents step by step. With `recursive`, Node reports ENOENT for a disk that is read-only or full,
 * and never returns where a parent that exists answers ENOENT, as folders of /proc do (seen on Node 20 to 26).
 *
 * @throws (rejects) Errors of the file system.
 */
async function createDirectory(directory: string, files: SpoolFiles): Promise<void> {
  const missing = [directory];
  for (let parent = dirname(directory); parent !== dirname(parent) && (await isMissing(parent, files)); parent = dirname(parent)) {
    missing.unshift(parent);
  }
  for (const path of missing) {
    try {
      await files.mkdir(path, { recursive: false, mode: DIRECTORY_MODE });
      // A umask can take permissions from the owner too: nothing could be created in it then.
      await files.chmod(path, DIRECTORY_MODE);
    } catch (error) {
      // Another process created it meanwhile.
      if (errorCode(error) !== 'EEXIST') throw error;
    }
  }
}

async function isMissing(path: string, files: SpoolFiles): Promise<boolean> {
  return files.lstat(path).then(
    () => false,
    (error: unknown) => errorCode(error) === 'ENOENT',
  );
}

/** Whether it belongs to this user. Owners have no meaning on Windows. */
export function isOwn(stats: Stats): boolean {
  return process.platform === 'win32' || stats.uid === process.geteuid?.();
}
