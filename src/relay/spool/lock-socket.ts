import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { errorCode, SpoolError } from './errors.js';

/** What every platform takes as the path of a socket: Linux has room for 108 bytes, macOS for 104, and a zero ends it. */
const MAX_PATH_BYTES = 100;

/** A server that answers nobody, and does not hold the process. */
export interface SilentServer {
  /** Never rejects. */
  close(): Promise<void>;
}

/** @throws (rejects) whatever listening on that path gives. */
export function listenAt(path: string): Promise<SilentServer> {
  return new Promise((resolve, reject) => {
    // Whoever connects only wants to know that we live.
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.destroy();
    });
    server.once('error', reject);
    // Exclusive: in a worker of `node:cluster` the primary would listen, and live on after us.
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve({ close: () => new Promise((closed) => void server.close(() => closed())) });
    });
    server.unref();
  });
}

/**
 * Listens on a socket in a directory, however long the path to that is. Closing it tries to remove the path that it listened on,
 * so the name must be one that nobody else uses.
 */
export async function listenIn(directory: string, name: string): Promise<SilentServer> {
  const { path, shortcut } = await shortPath(directory, name);
  try {
    return await listenAt(path);
  } finally {
    await shortcut?.close();
  }
}

/** Whether somebody listens on that socket. False where it is left over, or gone. */
export async function probe(directory: string, name: string): Promise<boolean> {
  const { path, shortcut } = await shortPath(directory, name);
  try {
    return await answers(path);
  } finally {
    await shortcut?.close();
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      // Anything else, such as a full queue or a lack of rights, comes from one that lives.
      resolve(!['ECONNREFUSED', 'ENOENT'].includes(errorCode(error)));
    });
  });
}

/** A path to the socket that fits. On Linux an open directory has a short name of its own. */
async function shortPath(directory: string, name: string): Promise<{ path: string; shortcut: FileHandle | undefined }> {
  const path = join(directory, name);
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path, shortcut: undefined };
  if (process.platform !== 'linux') {
    const longest = MAX_PATH_BYTES - Buffer.byteLength(name) - 1;
    throw new SpoolError('unusable', `The spool cannot use ${JSON.stringify(directory)}: its path may have ${longest} bytes here.`);
  }
  const shortcut = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { path: `/proc/self/fd/${shortcut.fd}/${name}`, shortcut };
}
