import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DIRECTORY_MODE, errorCode, READ, SpoolError } from './files.js';
import type { SpoolFiles } from './files.js';

const WRITABLE_BY_OTHERS = 0o022;

/** A directory that was found fit to hold events, and its identity: the same path may be another directory later. */
export interface SpoolDirectory {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/**
 * Makes the directory where it is missing, for its owner alone, and looks whether it is ours alone.
 *
 * @throws SpoolError saying what is wrong with it.
 */
export async function prepareDirectory(path: string, files: SpoolFiles): Promise<SpoolDirectory> {
  // Without the slash at its end a link is seen as a link.
  const directory = resolve(path);
  const found = await statOrMake(directory, files);
  if (found.isSymbolicLink()) throw unsafe(directory, 'is a symbolic link');
  if (!found.isDirectory()) throw unsafe(directory, 'is not a directory');
  refuseUnsafe(directory, found);
  return { path: directory, device: found.dev, inode: found.ino };
}

async function statOrMake(directory: string, files: SpoolFiles): Promise<Stats> {
  try {
    return await files.lstat(directory);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw unusable(directory, 'looked at', error);
  }
  try {
    await makeDirectory(directory, files);
    const made = await files.lstat(directory);
    // A umask may have taken rights from the owner too. What another process made meanwhile is judged as it is.
    if (made.isDirectory() && isOwn(made)) await files.chmod(directory, DIRECTORY_MODE);
    await syncDirectory(dirname(directory), files).catch(() => undefined);
    return await files.lstat(directory);
  } catch (error) {
    throw unusable(directory, 'made', error);
  }
}

/** @throws What the file system says. Asked to make its parents, too, Node says ENOENT where a disk is read-only or full. */
async function makeDirectory(directory: string, files: SpoolFiles): Promise<void> {
  try {
    await files.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    let first = directory;
    while (dirname(first) !== first && (await isMissing(dirname(first), files))) first = dirname(first);
    await files.mkdir(first, { recursive: false, mode: DIRECTORY_MODE });
    await files.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  }
}

async function isMissing(path: string, files: SpoolFiles): Promise<boolean> {
  return files.lstat(path).then(
    () => false,
    (error: unknown) => errorCode(error) === 'ENOENT',
  );
}

/** @throws SpoolError where somebody else could change what the path holds. */
export function refuseUnsafe(path: string, stats: Stats): void {
  // Owner and mode say nothing on Windows.
  if (process.platform === 'win32') return;
  if (!isOwn(stats)) throw unsafe(path, `belongs to user ${stats.uid}, and this process runs as user ${process.geteuid?.() ?? -1}`);
  if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw unsafe(path, `can be written by its group or by others (mode ${(stats.mode & 0o777).toString(8)})`);
  }
}

function isOwn(stats: Stats): boolean {
  return process.platform === 'win32' || stats.uid === process.geteuid?.();
}

/** A file of ours that is none we could have made. */
export function unsafe(path: string, reason: string): SpoolError {
  return new SpoolError('unsafe', `The spool cannot use ${JSON.stringify(path)}: it ${reason}.`);
}

/** Something that the file system would not do, with its code. */
export function unusable(path: string, verb: string, cause: unknown): SpoolError {
  if (cause instanceof SpoolError) return cause;
  return new SpoolError('unusable', `The spool cannot use ${JSON.stringify(path)}: it cannot be ${verb} (${errorCode(cause)}).`, { cause });
}

/** Whether the path is still the directory that was opened. */
export async function isSameDirectory({ path, device, inode }: SpoolDirectory, files: SpoolFiles): Promise<boolean> {
  try {
    const { dev, ino } = await files.lstat(path);
    return dev === device && ino === inode;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Makes names durable: the data of a new file is worth nothing after a power cut that its name did not survive. */
export async function syncDirectory(path: string, files: SpoolFiles): Promise<void> {
  // Windows gives no handle on a directory, and writes names through.
  if (process.platform === 'win32') return;
  const handle = await files.open(path, READ);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
