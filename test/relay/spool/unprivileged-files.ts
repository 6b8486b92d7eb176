import { constants, lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { nodeFiles } from '../../../src/relay/spool/files.js';
import type { SpoolFiles } from '../../../src/relay/spool/files.js';

const READ = 0o400;
const WRITE = 0o200;
const SEARCH = 0o100;

function modeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.mode;
}

/** Throws EACCES if the mode of a path denies something to its owner. */
function demand(path: string, rights: number): void {
  const mode = modeOf(path);
  if (mode !== undefined && (mode & rights) !== rights) throw Object.assign(new Error('denied'), { code: 'EACCES' });
}

/** Throws EACCES if the kernel would deny the open to the owner. */
function demandOpen(path: string, flags: number): void {
  demand(dirname(path), SEARCH);
  if (modeOf(path) === undefined) demand(dirname(path), (flags & constants.O_CREAT) === 0 ? SEARCH : WRITE | SEARCH);
  const access = flags & (constants.O_WRONLY | constants.O_RDWR);
  demand(path, access === 0 ? READ : access === constants.O_WRONLY ? WRITE : READ | WRITE);
}

/** Node's file system, where modes deny: the owner of all files is no root. The tests may run as root, for whom they do not. */
export const unprivilegedFiles: SpoolFiles = {
  ...nodeFiles,
  chmod: async (path, mode) => {
    demand(dirname(path), SEARCH);
    return nodeFiles.chmod(path, mode);
  },
  link: async (from, to) => {
    demand(dirname(to), WRITE | SEARCH);
    return nodeFiles.link(from, to);
  },
  lstat: async (path) => {
    demand(dirname(path), SEARCH);
    return nodeFiles.lstat(path);
  },
  mkdir: async (path, options) => {
    demand(dirname(path), WRITE | SEARCH);
    return nodeFiles.mkdir(path, options);
  },
  open: async (path, flags, mode) => {
    demandOpen(path, flags);
    return nodeFiles.open(path, flags, mode);
  },
  openSync: (path, flags, mode) => {
    demandOpen(path, flags);
    return nodeFiles.openSync(path, flags, mode);
  },
  readdir: async (path) => {
    demand(path, READ);
    return nodeFiles.readdir(path);
  },
  rename: async (from, to) => {
    demand(dirname(from), WRITE | SEARCH);
    demand(dirname(to), WRITE | SEARCH);
    return nodeFiles.rename(from, to);
  },
  unlink: async (path) => {
    demand(dirname(path), WRITE | SEARCH);
    return nodeFiles.unlink(path);
  },
};
