import type { Stats } from 'node:fs';

import { expandVariables, isPolluted, readVariable } from './opt-outs.js';

/** A configuration file beyond this is not read: Airflow's own, with every comment, has a tenth of it. */
const MAX_BYTES = 1 << 20;

const CHUNK_BYTES = 1 << 16;

/** Opening never waits for somebody at the other end of a pipe. */
function flags({ constants }: { constants: { O_RDONLY: number; O_NONBLOCK?: number } }): number {
  return constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
}

/** Airflow's home where `AIRFLOW_HOME` is not set. */
const DEFAULT_HOME = '~/airflow';

/**
 * Where a configuration file is. `unknown` is a place somebody named that cannot be worked out from the environment (`~name`,
 * or `~` without a home): a file may stand there, and an opt-out in it. `none`: nobody named a place and there is no home.
 */
export type ConfigPlace = { kind: 'path' | 'unknown'; path: string } | { kind: 'none' };

/** Where Airflow looks for airflow.cfg: `$AIRFLOW_CONFIG`, else `$AIRFLOW_HOME/airflow.cfg`, else `~/airflow/airflow.cfg`. */
export function airflowCfgPlace(env: NodeJS.ProcessEnv): ConfigPlace {
  const config = named(env, 'AIRFLOW_CONFIG');
  if (config !== undefined && config !== '') return expandPlace(config, env);
  const home = named(env, 'AIRFLOW_HOME');
  if (home === undefined && expandVariables(DEFAULT_HOME, env) === DEFAULT_HOME) return { kind: 'none' };
  const folder = expandPlace(home ?? DEFAULT_HOME, env);
  // Joined as Python joins: an empty AIRFLOW_HOME is the working directory, and `..` is left to the file system.
  const slash = folder.path === '' || folder.path.endsWith('/') ? '' : '/';
  return { kind: folder.kind, path: `${folder.path}${slash}airflow.cfg` };
}

/**
 * Reads a configuration file of at most 1 MiB. It never waits for a pipe or a device, and a byte order mark stays.
 *
 * @throws as node:fs does; with code EFBIG when it is too large, ENOTFILE when it is no regular file, EILSEQ when not UTF-8.
 */
export function readConfigFile(path: string): string {
  // Asked for where it is used: a host that opted out in its environment reads no file and need not load what reads files.
  const fs = process.getBuiltinModule('node:fs');
  const descriptor = fs.openSync(path, flags(fs));
  try {
    assertFile(fs.fstatSync(descriptor));
    const content = new Content();
    while (content.add(fs.readSync(descriptor, content.chunk, 0, CHUNK_BYTES, null)));
    return content.text();
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The same without blocking: nothing of the host waits for the disk. */
export async function readConfigFileLater(path: string): Promise<string> {
  const fs = process.getBuiltinModule('node:fs');
  const file = await fs.promises.open(path, flags(fs));
  try {
    assertFile(await file.stat());
    const content = new Content();
    while (content.add((await file.read(content.chunk, 0, CHUNK_BYTES, null)).bytesRead));
    return content.text();
  } finally {
    await file.close();
  }
}

/** What has been read so far, within bounds. */
class Content {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  /** Where the next bytes go. */
  chunk = Buffer.alloc(CHUNK_BYTES);

  /** Keeps the bytes that were read into `chunk`. @returns Whether there may be more. */
  add(bytes: number): boolean {
    this.#chunks.push(this.chunk.subarray(0, bytes));
    this.#length += bytes;
    if (this.#length > MAX_BYTES) throw fileError('EFBIG');
    if (bytes > 0) this.chunk = Buffer.alloc(CHUNK_BYTES);
    return bytes > 0;
  }

  text(): string {
    const content = Buffer.concat(this.#chunks, this.#length);
    if (!process.getBuiltinModule('node:buffer').isUtf8(content)) throw fileError('EILSEQ');
    return content.toString('utf8');
  }
}

function assertFile(status: Stats): void {
  if (!status.isFile()) throw fileError(status.isDirectory() ? 'EISDIR' : 'ENOTFILE');
}

function fileError(code: string): Error {
  return Object.assign(new Error('the configuration file cannot be used'), { code });
}

function named(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return isPolluted(env, name) ? undefined : readVariable(env, name);
}

function expandPlace(text: string, env: NodeJS.ProcessEnv): { kind: 'path' | 'unknown'; path: string } {
  const path = expandVariables(text, env);
  return path === undefined || path.startsWith('~') ? { kind: 'unknown', path: text } : { kind: 'path', path };
}
