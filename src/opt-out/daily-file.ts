/*
 * Keeps the date of an event that is sent once a day, in the config folder of the product. It is loaded late, and needs nothing of the
 * library.
 */

/** What the folder says: the first of the day, or another one came before; `unkept` if the date cannot be kept. */
export type DayClaim = 'first' | 'later' | 'unkept';

/** Only the owner may read what is kept. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/**
 * Claims a day for an event. The file is created exclusively: of several processes one has the day. Its name is all that it holds.
 *
 * @param folder The folder of the product, which may be missing.
 * @param date `2026-01-31`
 * @returns Never rejects.
 */
export async function claimDay(folder: string, type: string, date: string): Promise<DayClaim> {
  const { promises: fs } = process.getBuiltinModule('node:fs');
  const path = process.getBuiltinModule('node:path');
  const kept = path.join(folder, 'daily');
  const own = `${type}.${date}`;
  try {
    // One by one: Node's `recursive` does not end if the system says ENOENT for every new folder, as in /proc.
    for (const each of [path.dirname(folder), folder, kept]) await makeFolder(each);
    await (await fs.open(path.join(kept, own), 'wx', FILE_MODE)).close();
  } catch (error) {
    return codeOf(error) === 'EEXIST' ? 'later' : 'unkept';
  }
  try {
    // A later date is of a clock that was wrong: whoever removed it could send twice on one day.
    const past = (await fs.readdir(kept)).filter((name) => name.startsWith(`${type}.`) && name < own);
    for (const name of past) await fs.unlink(path.join(kept, name));
  } catch {
    // Another process has removed it, or will.
  }
  return 'first';

  async function makeFolder(each: string): Promise<void> {
    try {
      // Not an object of options: Node would read what a polluted `Object.prototype` holds.
      await fs.mkdir(each, FOLDER_MODE);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
}

function codeOf(error: unknown): unknown {
  return Object(error).code;
}
