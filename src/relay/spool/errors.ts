/** Why a directory cannot be a spool. */
export type SpoolErrorCode =
  /** Another process has it. */
  | 'in_use'
  /** Not ours alone: a symbolic link, no directory, a foreign owner, writable by others. */
  | 'unsafe'
  /** The file system said no. */
  | 'unusable';

/** A spool that could not be opened. The message names the path and the reason; the operator is to mend it. */
export class SpoolError extends Error {
  override readonly name = 'SpoolError';
  readonly code: SpoolErrorCode;

  constructor(code: SpoolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The code of an error of the operating system, `unknown` where it has none. */
export function errorCode(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,31}$/.test(code) ? code : 'unknown';
}

/** What may pass: a disk that is read-only, full, broken or away, a right that is missing, too many open files. */
const PASSING: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM', 'EIO', 'ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ESTALE', 'ETIMEDOUT']);

/** The code of the system's error behind one of ours. */
function causeCode(error: unknown): string {
  return errorCode(error instanceof SpoolError ? error.cause : error);
}

/** Whether a directory may be fit later, with nothing changed in what was asked for. */
export function mayPass(error: unknown): boolean {
  return (!(error instanceof SpoolError) || error.code === 'unusable') && PASSING.has(causeCode(error));
}

/** An error as the operating system would raise it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** What a write ends with when the spool was emptied meanwhile: its events are forgotten. */
export class Cleared extends Error {}
