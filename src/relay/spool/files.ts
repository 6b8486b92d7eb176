// The file system as the spool uses it, so that a test can make any call fail; the open flags, the modes and the errors of the spool.

import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { chmod, link, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { errorCode } from '../../base/describe.js';

export { errorCode };

/** The part of Node's `FileHandle` that the spool uses. */
export interface SpoolFile {
  chmod(mode: number): Promise<void>;
  close(): Promise<void>;
  datasync(): Promise<void>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  readFile(): Promise<Buffer>;
  stat(): Promise<Stats>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
}

/** The part of the file system that the spool uses: `node:fs/promises`, and four synchronous calls of `node:fs`. */
export interface SpoolFiles {
  chmod(path: string, mode: number): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  lstat(path: string): Promise<Stats>;
  mkdir(path: string, options: { recursive: boolean; mode: number }): Promise<string | undefined>;
  open(path: string, flags: number, mode?: number): Promise<SpoolFile>;
  readdir(path: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  closeSync(fd: number): void;
  openSync(path: string, flags: number, mode?: number): number;
  unlinkSync(path: string): void;
  writeSync(fd: number, text: string, position: number, encoding: 'latin1'): number;
}

/** The file system of this machine. */
export const nodeFiles: SpoolFiles = {
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  unlink,
  closeSync,
  openSync,
  unlinkSync,
  writeSync,
};

/** Does not follow a symbolic link: it may point to a file of another owner. Windows has no such flag. */
const NO_FOLLOW = process.platform === 'win32' ? 0 : constants.O_NOFOLLOW;

/** Without it, opening a named pipe blocks until another process opens the other end: a thread, or with `openSync` the whole process. */
const NON_BLOCKING = process.platform === 'win32' ? 0 : constants.O_NONBLOCK;

/** Opens an existing file or directory for reading. */
export const READ = constants.O_RDONLY | NO_FOLLOW | NON_BLOCKING;
/** Creates a file; fails if the name exists. */
export const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;
/** Opens a file for writing in place; creates it if it is missing. */
export const OVERWRITE = constants.O_WRONLY | constants.O_CREAT | NO_FOLLOW | NON_BLOCKING;

/** Only the owner can read and write the file. */
export const FILE_MODE = 0o600;
/** Only the owner can list and enter the directory. */
export const DIRECTORY_MODE = 0o700;

/** The names of one kind of file in the spool, such as `events-000001.jsonl`. */
export interface NumberedFiles {
  nameOf(number: number): string;
  /** The number in a file name; undefined for a name of another kind. */
  numberOf(name: string): number | undefined;
}

/** Names of the form `<prefix>-000001.<extension>`, with 6 to 15 digits. */
export function numberedFiles(prefix: string, extension: string): NumberedFiles {
  const pattern = new RegExp(`^${prefix}-(\\d{6,15})\\.${extension}$`);
  return {
    nameOf: (number) => `${prefix}-${String(number).padStart(6, '0')}.${extension}`,
    numberOf: (name) => {
      const digits = pattern.exec(name)?.[1];
      return digits === undefined ? undefined : Number(digits);
    },
  };
}

/** Why a directory cannot be a spool. */
type SpoolErrorCode =
  /** Another process holds its lock. */
  | 'in_use'
  /** Other users can change it: a symbolic link, not a directory, another owner, or writable by group or others. */
  | 'unsafe'
  /** The file system refused an operation. */
  | 'unusable';

/** Thrown if the spool cannot be opened. The message names the path and the reason for the operator. */
export class SpoolError extends Error {
  override readonly name = 'SpoolError';
  readonly code: SpoolErrorCode;

  constructor(code: SpoolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Ends a write if the spool was cleared during the write: its events are deleted, and the disk works. */
export class ClearedError extends Error {}

/** An error with a code, as the operating system raises it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** The disk is read-only, full, broken or not mounted; a permission is missing; too many files are open. */
const TRANSIENT: ReadonlySet<string> = new Set([
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

/**
 * Whether the spool starts in memory and tries the directory again, since a platform or an operator may mend it. Not if another process
 * uses the directory: its events are delivered by that process.
 */
export function canOpenLater(error: unknown): boolean {
  return error instanceof SpoolError ? error.code !== 'in_use' : TRANSIENT.has(errorCode(error));
}
