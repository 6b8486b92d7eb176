import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { chmod, link, lstat, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { errorCode } from '../../base/describe.js';

export { errorCode };

/** What the spool asks of an open file: a part of Node's `FileHandle`. */
export interface SpoolFile {
  chmod(mode: number): Promise<void>;
  close(): Promise<void>;
  datasync(): Promise<void>;
  readFile(): Promise<Buffer>;
  stat(): Promise<Stats>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
}

/** What the spool asks of the file system, so that tests can let any call of it fail. The four synchronous ones are of `node:fs`. */
export interface SpoolFiles {
  chmod(path: string, mode: number): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  lstat(path: string): Promise<Stats>;
  mkdir(path: string, options: { recursive: boolean; mode: number }): Promise<string | undefined>;
  open(path: string, flags: number, mode?: number): Promise<SpoolFile>;
  readdir(path: string): Promise<string[]>;
  unlink(path: string): Promise<void>;
  closeSync(fd: number): void;
  openSync(path: string, flags: number, mode?: number): number;
  unlinkSync(path: string): void;
  writeSync(fd: number, text: string, position: number, encoding: 'latin1'): number;
}

/** The machine's own file system. */
export const nodeFiles: SpoolFiles = {
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  unlink,
  closeSync,
  openSync,
  unlinkSync,
  writeSync,
};

/** A path of ours that has become a symbolic link is somebody else's file: it is never followed. Windows knows no such flag. */
const NO_FOLLOW = process.platform === 'win32' ? 0 : constants.O_NOFOLLOW;

/** Opening a named pipe would wait for its other end, and hold a thread for ever. */
const NO_WAIT = process.platform === 'win32' ? 0 : constants.O_NONBLOCK;

/** For reading what is there. */
export const READ = constants.O_RDONLY | NO_FOLLOW | NO_WAIT;
/** For a file that must not be there yet. */
export const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;
/** For writing into a file in place, there or not. */
export const OVERWRITE = constants.O_WRONLY | constants.O_CREAT | NO_FOLLOW;

/** What only the owner may read and write. */
export const FILE_MODE = 0o600;
/** What only the owner may enter. */
export const DIRECTORY_MODE = 0o700; /** Why a directory cannot be a spool. */
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

/** What may pass: a disk that is read-only, full, broken or away, a right that is missing, too many open files. */
const PASSING: ReadonlySet<string> = new Set([
  'EROFS',
  'EACCES',
  'EPERM',
  'EIO',
  'ENOSPC',
  'EDQUOT',
  'EMFILE',
  'ENFILE',
  'ESTALE',
  'ETIMEDOUT',
]);

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
