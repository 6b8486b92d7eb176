/*
 * Modules that are loaded late, so that a host that sends nothing does not pay for them. What cannot be loaded now is loaded later: Node
 * remembers a failed `import()` for as long as the process lives, and Node 20 each package.json that it could not read. So one moment
 * without file descriptors would cost every event of the process.
 */
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import { bare } from '../base/foreign-values.js';

/** Reason of an event that waits because a module cannot be loaded: nothing was tried. */
export const LOAD_REASON = 'load_failed';

/** The file that holds all modules that are loaded late: `spare.ts`, bundled by `scripts/bundle.mjs`. */
const SPARE_FILE = 'cosmos-telemetry-spare.cjs';

/** A module could not be loaded. */
export class NotLoadedError extends Error {
  override readonly name = 'NotLoadedError' as const;
  /** How long to wait before the next try, in milliseconds. */
  readonly waitMs: number;

  constructor(waitMs: number) {
    super('a module cannot be loaded now');
    this.waitMs = waitMs;
  }
}

/** How long to wait if this error is a {@link NotLoadedError}, of any copy of this file; otherwise undefined. */
export function loadWaitMs(error: unknown): number | undefined {
  const { name, waitMs } = Object(error) as Partial<NotLoadedError>;
  return name === 'NotLoadedError' && typeof waitMs === 'number' ? waitMs : undefined;
}

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;

/**
 * How long an `import()` may take: so many turns of the event loop of this length, since a host that is busy meanwhile says nothing about
 * the import. It reads files through the thread pool, which may be full of the host's own work.
 */
const TURNS = 10;
const TURN_MS = 50;

/** What tests replace. */
interface LateParts {
  clock?: Pick<Clock, 'setTimeout' | 'clearTimeout'>;
  requireSpare?: () => unknown;
}

/**
 * A function that loads a module, once for all its calls. What `import()` does not give is taken from the spare, by `require`: that
 * remembers no failure, needs a single descriptor, and does not wait for the thread pool.
 *
 * @param name its name among the exports of `spare.ts`
 * @param load imports it, with a name that bundlers can read
 * @returns rejects with a {@link NotLoadedError} if it cannot be loaded now; the next call tries again
 */
export function late<T>(name: string, load: () => Promise<T>, parts: LateParts = {}): () => Promise<T> {
  const { clock = systemClock, requireSpare = requireSpareFile } = bare(parts);
  let loading: Promise<T> | undefined;
  let importing: Promise<T> | undefined;
  let hasFailed = false;
  let failures = 0;

  const byImport = (): Promise<T> => {
    importing ??= load().catch((error: unknown) => {
      hasFailed = true;
      importing = undefined;
      throw error;
    });
    return importing;
  };
  const bySpare = (): T | undefined => {
    try {
      return (requireSpare() as Record<string, T>)[name];
    } catch {
      return undefined;
    }
  };
  const loadOnce = async (): Promise<T> => {
    // What `import()` could not load once, it can never load on Node.
    const loaded = (hasFailed ? undefined : await withinTurns(byImport(), clock)) ?? bySpare();
    if (loaded !== undefined) return loaded;
    // There is no spare beside the bundle of a host, whose own loader may try again.
    const again = hasFailed ? await withinTurns(byImport(), clock) : undefined;
    if (again !== undefined) return again;
    failures += 1;
    throw new NotLoadedError(Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 10)));
  };
  return () => {
    loading ??= loadOnce().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
}

/** @returns Undefined if the promise rejects, or is not fulfilled after the turns. */
function withinTurns<T>(promise: Promise<T>, clock: Pick<Clock, 'setTimeout' | 'clearTimeout'>): Promise<T | undefined> {
  return new Promise((resolve) => {
    let turns = 0;
    const wait = (): ReturnType<Clock['setTimeout']> => {
      const timer = clock.setTimeout(() => {
        turns += 1;
        if (turns >= TURNS) resolve(undefined);
        else next = wait();
      }, TURN_MS);
      timer.unref();
      return timer;
    };
    let next = wait();
    const settled = (value?: T): void => {
      clock.clearTimeout(next);
      resolve(value);
    };
    promise.then(settled, () => settled());
  });
}

let spare: unknown;

/** @throws as `require` does */
function requireSpareFile(): unknown {
  if (spare !== undefined) return spare;
  const { createRequire } = process.getBuiltinModule('node:module');
  const require = createRequire(import.meta.url);
  try {
    spare = require(`./${SPARE_FILE}`);
  } catch (error) {
    // The other entry points, and chunks, lie one folder deeper.
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    spare = require(`../${SPARE_FILE}`);
  }
  return spare;
}
