/*
 * Modules that are loaded late, so that a host that sends nothing does not pay for them. They come from one file, by Node's own `require`:
 * that takes half the time of importing each of their files, remembers no failure (as `import()` does for as long as the process lives),
 * needs one descriptor and no thread of libuv's pool, and works although a test runner has torn down its world.
 */
import { bare } from '../base/foreign-values.js';

/** Reason of an event that waits because a module cannot be loaded: nothing was tried. */
export const LOAD_REASON = 'load_failed';

/** `late-modules.ts`, bundled by `scripts/bundle.mjs`. The other entry points, and chunks, lie one folder deeper than the main one. */
const FILES = ['./cosmos-telemetry-late.cjs', '../cosmos-telemetry-late.cjs'];

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

/** What the file exports. */
type LateModules = Readonly<Record<string, () => Promise<unknown>>>;

/** What tests replace. */
interface LateParts {
  requireFile?: () => LateModules | undefined;
}

/**
 * A function that loads a module, once for all its calls.
 *
 * @param name its name among the exports of `late-modules.ts`
 * @param load imports it, for a program that is bundled and has no such file beside it
 * @returns rejects with a {@link NotLoadedError} if it cannot be loaded now; the next call tries again
 */
export function late<T>(name: string, load: () => Promise<T>, parts: LateParts = {}): () => Promise<T> {
  const { requireFile = requireLateModules } = bare(parts);
  let loading: Promise<T> | undefined;
  let failures = 0;

  const loadOnce = async (): Promise<T> => {
    try {
      const fromFile = requireFile()?.[name];
      return fromFile === undefined ? await load() : ((await fromFile()) as T);
    } catch {
      failures += 1;
      throw new NotLoadedError(Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 10)));
    }
  };
  return () => {
    loading ??= loadOnce().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
}

let modules: LateModules | undefined;
let isMissing = false;

/**
 * @returns undefined if there is no such file
 * @throws as `require` does, if it cannot be read now
 */
function requireLateModules(): LateModules | undefined {
  const { url } = import.meta;
  // CommonJS has everything in one file.
  if (modules !== undefined || isMissing || url === undefined) return modules;
  const require = process.getBuiltinModule('node:module').createRequire(url);
  for (const file of FILES) {
    try {
      modules = require(file) as LateModules;
      return modules;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  isMissing = true;
  return undefined;
}
