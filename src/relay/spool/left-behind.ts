// Events at the other place. A spool uses its directory or the subdirectory of that, and the owner or the mode of the directory decides
// which. When they change between two starts, the events of the earlier spool are at the place that is not used now.

import { join } from 'node:path';
import type { Log } from '../../base/log.js';
import { AGES_FILE } from './ages-file.js';
import { isOwn, OWN_SUBDIRECTORY, regainRights, syncDirectory, unsafe, whyForeign } from './directory.js';
import type { OnTakenBack } from './directory.js';
import { errorCode, SpoolError } from './files.js';
import type { SpoolFiles } from './files.js';
import { lockDirectory } from './lock.js';
import { deleteOrphans, numbersIn, Segment } from './segment.js';

/** What the two functions need. */
export interface PlacesOptions {
  /** The directory that the spool was given. */
  readonly given: string;
  readonly files: SpoolFiles;
  readonly onTakenBack: OnTakenBack;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * Moves the events that an earlier spool of this user left at the other place into the directory in use, whose lease is held. What cannot
 * be moved stays, and the log says so. It never rejects.
 *
 * The other place may belong to another user, so only files of this user with a single name are moved: no other user can create one. A
 * file with a second name may be any file of this user.
 */
export async function takeLeftBehind(path: string, options: PlacesOptions): Promise<void> {
  const { given, files, onTakenBack, log } = options;
  const other = path === given ? join(given, OWN_SUBDIRECTORY) : given;
  let moved = 0;
  try {
    if (!(await isDirectory(other, files))) return;
    await regainRights(other, files, onTakenBack);
    if ((await ownSegments(other, files)).length === 0) return;
    // Another relay of this user may have been started before the change: its lease is on the other place, and so are its events.
    const lock = await lockDirectory(other, files, log);
    try {
      const segments = await ownSegments(other, files);
      const { orphans, next } = numbersIn(await files.readdir(path));
      // An earlier move was cut short: its marks are here, and its events are not.
      await deleteOrphans(path, orphans, files);
      for (const from of segments) {
        await move(from, new Segment(path, next + moved), files);
        moved += 1;
      }
      await moveAges(other, path, files);
    } finally {
      await lock.release();
    }
    await syncDirectory(path, files);
    await syncDirectory(other, files);
  } catch (error) {
    const reason = error instanceof SpoolError ? error.message : `It cannot be moved (${errorCode(error)}).`;
    await tell(other, reason, options);
  }
  if (moved === 0) return;
  const places = `in ${JSON.stringify(other)} were moved to ${JSON.stringify(path)}`;
  log.warn('spool_moved', `files of events that an earlier spool left ${places}: ${moved}`);
}

/** Says what lies in a directory of another user while no directory can be used. It never rejects. */
export async function tellLeftBehind(options: PlacesOptions): Promise<void> {
  const { given, files } = options;
  for (const place of [given, join(given, OWN_SUBDIRECTORY)]) {
    const stats = await files.lstat(place).catch(() => undefined);
    if (stats !== undefined && !isOwn(stats))
      await tell(
        place,
        `The directory belongs to user ${stats.uid}. Once this user owns it again, or may write to it, they are delivered`,
        options,
      );
  }
}

async function tell(place: string, reason: string, { files, log }: PlacesOptions): Promise<void> {
  const segments = (await isDirectory(place, files).catch(() => false)) ? await ownSegments(place, files).catch(() => []) : [];
  if (segments.length === 0) return;
  const where = `files of events that an earlier spool left in ${JSON.stringify(place)}`;
  log.warn('spool_left_behind', `${where} are not delivered, and stay there: ${segments.length}. ${reason}`);
}

async function isDirectory(path: string, files: SpoolFiles): Promise<boolean> {
  try {
    return (await files.lstat(path)).isDirectory();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The segments in a directory whose events are a file of this user, in order. @throws (rejects) Errors of the file system. */
async function ownSegments(directory: string, files: SpoolFiles): Promise<Segment[]> {
  const segments = numbersIn(await files.readdir(directory)).events.map((number) => new Segment(directory, number));
  const own: Segment[] = [];
  for (const segment of segments) if ((await whyForeign(segment.eventsPath, files)) === undefined) own.push(segment);
  return own;
}

/**
 * The step that moves a segment is one rename: of its events. Their marks have both names by then, so a process that is killed at any
 * moment leaves the events at one place, with their marks.
 */
async function move(from: Segment, to: Segment, files: SpoolFiles): Promise<void> {
  await isMovable(from.eventsPath, files);
  if (await isMovable(from.marksPath, files)) await files.link(from.marksPath, to.marksPath);
  await files.rename(from.eventsPath, to.eventsPath);
  await files.unlink(from.marksPath).catch(() => undefined);
}

/** Without the file, the ages are less exact. The one in use is not replaced. */
async function moveAges(from: string, to: string, files: SpoolFiles): Promise<void> {
  const path = join(from, AGES_FILE);
  if ((await files.readdir(to)).includes(AGES_FILE) || !(await isMovable(path, files))) return;
  await files.rename(path, join(to, AGES_FILE));
}

/** Whether a file of this user has the name. @throws (rejects) SpoolError for one with a second name. Errors of the file system. */
async function isMovable(path: string, files: SpoolFiles): Promise<boolean> {
  if ((await whyForeign(path, files)) !== undefined) return false;
  try {
    if ((await files.lstat(path)).nlink > 1) throw unsafe(path, 'has a second name');
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
