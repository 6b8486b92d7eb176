/*
 * Modules that are loaded late, so that a host that sends nothing does not pay for them. They come from one file, which is read and run
 * here: that takes half the time of importing each of their files, remembers no failure (as `import()` does for as long as the process
 * lives), needs one descriptor and no thread of libuv's pool, and works although a test runner has torn down its world: Jest refuses
 * `import()` and `require` then, and ends with 1 although every test has passed.
 */
import { errorCode } from '../base/describe.js';
import { bare } from '../base/foreign-values.js';

/** Reason of an event that waits because a module cannot be loaded: nothing was tried. */
export const LOAD_REASON = 'load_failed';

/**
 * The SHA-256 of the file that belongs to this build, in hex: `scripts/bundle.mjs` writes it here. No other file is run: a program that was
 * bundled may lie beside any file of that name.
 */
declare const LATE_SHA256: string | undefined;

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

/**
 * What a moment may bring. Node remembers a failed `import()`, so it is not tried then. After any other failure the file is not there for
 * this process: the program was bundled, or may not read it.
 */
const TRANSIENT: ReadonlySet<string> = new Set(['EAGAIN', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE', 'ETIMEDOUT']);

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;

/** What the file exports. */
type LateModules = Readonly<Record<string, () => Promise<unknown>>>;

/** What tests replace. */
interface LateParts {
  readFile?: () => LateModules | undefined;
}

/**
 * A function that loads a module, once for all its calls.
 *
 * @param name its name among the exports of `late-modules.ts`
 * @param load imports it, for a program that is bundled and has no such file beside it
 * @returns rejects with a {@link NotLoadedError} if it cannot be loaded now; the next call tries again
 */
export function late<T>(name: string, load: () => Promise<T>, parts: LateParts = {}): () => Promise<T> {
  const { readFile = readLateModules } = bare(parts);
  let loading: Promise<T> | undefined;
  let failures = 0;

  const loadOnce = async (): Promise<T> => {
    try {
      const fromFile = readFile()?.[name];
      return fromFile === undefined ? await load() : ((await fromFile()) as T);
    } catch {
      // Run anew: a part of it may have thrown half-way, because of a polluted prototype, and would stay as it is.
      modules = undefined;
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
 * @returns undefined if the file of this build is not there
 * @throws as `readFileSync` does, if it cannot be read for a moment
 */
function readLateModules(): LateModules | undefined {
  // CommonJS has no URL, and has everything in one file.
  const { url } = import.meta as { url?: string };
  if (modules !== undefined || isMissing) return modules;
  const isPackaged = typeof LATE_SHA256 === 'string' && url?.startsWith('file:') === true;
  for (const file of isPackaged ? FILES : []) {
    modules = runFile(new URL(file, url));
    if (modules !== undefined) return modules;
  }
  isMissing = true;
  return undefined;
}

/** Runs the file of this build. @returns undefined if there is none, or another one */
function runFile(url: URL): LateModules | undefined {
  const path = process.getBuiltinModule('node:url').fileURLToPath(url.href);
  let code: string;
  try {
    code = process.getBuiltinModule('node:fs').readFileSync(path, 'utf8');
  } catch (error) {
    if (TRANSIENT.has(errorCode(error))) throw error;
    return undefined;
  }
  const { createHash } = process.getBuiltinModule('node:crypto');
  if (createHash('sha256').update(code).digest('hex') !== LATE_SHA256) return undefined;
  const module: { exports: unknown } = { exports: {} };
  const run = process.getBuiltinModule('node:vm').compileFunction(code, ['module'], { filename: path }) as (of: typeof module) => void;
  run(module);
  return module.exports as LateModules;
}
