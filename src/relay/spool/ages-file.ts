// The file with the last stamp of a spool: it tells the next process how old the events are, also after another boot.

import { join } from 'node:path';
import { NO_BOOT } from './age.js';
import type { SavedAges, Shift, Stamp } from './age.js';
import { errorCode, FILE_MODE, OVERWRITE } from './files.js';
import type { SpoolFiles } from './files.js';
import { isBoot, isTime, parseStamp } from './record.js';

/** It holds no event. 0.1.0 ignores it. */
export const AGES_FILE = 'ages.json';

/** Writes and deletes the file, in microseconds: to the page cache, as marks are. Never throws: without it ages are less exact. */
export class AgesFile {
  readonly #directory: { readonly path: string };
  readonly #files: SpoolFiles;
  #exists = false;

  constructor(directory: { readonly path: string }, files: SpoolFiles) {
    this.#directory = directory;
    this.#files = files;
  }

  /** An earlier process left it. */
  found(): void {
    this.#exists = true;
  }

  /** `shifts`: those of earlier boots. */
  save(last: Stamp, shifts: ReadonlyMap<string, Shift>): void {
    try {
      const descriptor = this.#files.openSync(this.#path, OVERWRITE, FILE_MODE);
      try {
        this.#files.writeSync(descriptor, encodeAges({ last, earlier: shifts }), 0, 'latin1');
      } finally {
        this.#files.closeSync(descriptor);
      }
      // A umask can take permissions from the owner too.
      if (!this.#exists) void this.#files.chmod(this.#path, FILE_MODE).catch(() => undefined);
      this.#exists = true;
    } catch {
      // The next one is due in a minute.
    }
  }

  /** Deletes it: no event is left. */
  remove(): void {
    if (!this.#exists) return;
    try {
      this.#files.unlinkSync(this.#path);
      this.#exists = false;
    } catch (error) {
      // If it stays, it holds no event.
      this.#exists = errorCode(error) !== 'ENOENT';
    }
  }

  get #path(): string {
    return join(this.#directory.path, AGES_FILE);
  }
}

/** One line. It is written over a longer one, whose end may stay behind it. */
function encodeAges({ last, earlier }: SavedAges): string {
  const rows = [...earlier]
    .filter(([boot]) => boot !== last.boot)
    .map(([boot, { byMs, renewedAtMs }]) => (renewedAtMs === undefined ? [boot, byMs] : [boot, byMs, renewedAtMs]));
  return `${JSON.stringify({ boot: last.boot, up: last.upMs, at: last.atMs, earlier: rows })}\n`;
}

/** @returns Undefined for a text that is not from `save`, such as one that was torn by a power failure. */
export function parseAges(text: string): SavedAges | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.slice(0, text.indexOf('\n') + 1));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const last = parseStamp(value);
  const { earlier } = value as Record<string, unknown>;
  if (last === undefined || !Array.isArray(earlier)) return undefined;
  return { last, earlier: new Map(earlier.flatMap(parseRow)) };
}

function parseRow(row: unknown): [string, Shift][] {
  if (!Array.isArray(row)) return [];
  const [boot, byMs, renewedAtMs] = row as unknown[];
  if ((boot !== NO_BOOT && !isBoot(boot)) || !isTime(byMs)) return [];
  if (renewedAtMs !== undefined && !isTime(renewedAtMs)) return [];
  return [[boot, { byMs, renewedAtMs }]];
}
