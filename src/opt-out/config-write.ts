/*
 * Writes a person's yes or no into the config file. It is loaded late, and what it shares with the library comes in as a parameter.
 */
import type { errorCode, placeName } from '../base/describe.js';
import type { readConfigFile } from '../base/machine.js';
import type { Platform } from '../base/platform-types.js';
import type { readTelemetryJson } from './telemetry-json.js';

/** The functions of the library that it uses. */
export interface ConfigTools {
  readonly errorCode: typeof errorCode;
  readonly placeName: typeof placeName;
  readonly readConfigFile: typeof readConfigFile;
  readonly readTelemetryJson: typeof readTelemetryJson;
}

/** The config file could not be written. The message names the file and the reason, and may be shown. */
export class ConfigWriteError extends Error {
  override readonly name = 'ConfigWriteError' as const;
}

/** Why there is no config file, where the environment has no folder for it. */
export function noPlaceWords(platform: Platform): string {
  const variables = platform === 'win32' ? 'neither APPDATA nor USERPROFILE names' : 'neither XDG_CONFIG_HOME nor HOME names';
  return `there is no place for a config file: ${platform === 'darwin' ? 'HOME does not name' : variables} a folder`;
}

/** Only the owner may read or change the decision. */
const FILE_MODE = 0o600;

/** The mode that the XDG Base Directory Specification asks for in new folders. */
const FOLDER_MODE = 0o700;

/**
 * Writes the person's yes or no into the config file and keeps its other keys. The write is atomic: a new file is written beside the
 * old one and renamed over it. A symbolic link is followed, since people keep such files elsewhere; a dangling one is refused.
 *
 * @returns Whether it was written: false if the file already said so.
 * @throws ConfigWriteError that names the file; nothing was changed then.
 */
export function writeConsent(file: string, enabled: boolean, tools: ConfigTools): boolean {
  const { placeName, readTelemetryJson } = tools;
  const target = targetOf(file, tools);
  const text = read(target, tools);
  if (text === undefined) {
    replace(target, { enabled }, tools);
    return true;
  }
  const entry = readTelemetryJson(text);
  if (entry.kind === 'broken') throw refusal(placeName(target, entry.line), `cannot be changed (${entry.reason}): fix or remove it`);
  if (entry.kind === 'found' && entry.enabled === enabled) return false;
  const known = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text) as Record<string, unknown>;
  replace(target, { ...known, enabled }, tools);
  return true;
}

/** The file itself, or the target of a symbolic link. */
function targetOf(file: string, { placeName }: ConfigTools): string {
  const { lstatSync, realpathSync } = process.getBuiltinModule('node:fs');
  try {
    if (!lstatSync(file).isSymbolicLink()) return file;
  } catch {
    // Missing or not accessible: reading it tells which.
    return file;
  }
  try {
    return realpathSync(file);
  } catch {
    throw refusal(placeName(file, undefined), 'is a symbolic link to no file: fix or remove it');
  }
}

function read(target: string, { errorCode, placeName, readConfigFile }: ConfigTools): string | undefined {
  const path = process.getBuiltinModule('node:path');
  try {
    return readConfigFile(target);
  } catch (error) {
    const why = errorCode(error);
    if (why === 'ENOENT') return undefined;
    const name = placeName(target, undefined);
    if (why === 'EISDIR') throw refusal(name, 'is a folder and not a file: remove it');
    if (why === 'ENOTDIR') throw refusal(placeName(path.dirname(target), undefined), 'cannot be a folder: a part of its path is a file');
    throw refusal(name, `cannot be read (${why})`);
  }
}

function replace(target: string, content: object, { errorCode, placeName }: ConfigTools): void {
  const { renameSync } = process.getBuiltinModule('node:fs');
  const { randomUUID } = process.getBuiltinModule('node:crypto');
  const path = process.getBuiltinModule('node:path');
  const folder = path.dirname(target);
  const beside = path.join(folder, `.${path.basename(target)}.${randomUUID()}.tmp`);
  try {
    makeFolder(folder, errorCode);
    write(beside, `${JSON.stringify(content, undefined, 2)}\n`);
    renameSync(beside, target);
  } catch (error) {
    discard(beside);
    throw refusal(placeName(folder, undefined), `cannot be written to (${errorCode(error)})`);
  }
}

/** Recursion by hand: Node's `recursive` does not end if the system says ENOENT for every new folder, as in /proc. */
function makeFolder(folder: string, errorCode: ConfigTools['errorCode']): void {
  const { mkdirSync } = process.getBuiltinModule('node:fs');
  try {
    // Not an object of options: Node would read what a polluted `Object.prototype` holds.
    mkdirSync(folder, FOLDER_MODE);
  } catch (error) {
    const why = errorCode(error);
    if (why === 'EEXIST') return;
    const parent = process.getBuiltinModule('node:path').dirname(folder);
    if (why !== 'ENOENT' || parent === folder) throw error;
    makeFolder(parent, errorCode);
    mkdirSync(folder, FOLDER_MODE);
  }
}

function write(file: string, text: string): void {
  const { closeSync, fsyncSync, openSync, writeFileSync } = process.getBuiltinModule('node:fs');
  const descriptor = openSync(file, 'wx', FILE_MODE);
  try {
    writeFileSync(descriptor, text);
    // Without this the renamed file could be empty after a crash, which counts as an opt-out.
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function discard(file: string): void {
  try {
    process.getBuiltinModule('node:fs').rmSync(file, { force: true });
  } catch {
    // The file was never created, or its folder is not a folder.
  }
}

function refusal(name: string, why: string): ConfigWriteError {
  return new ConfigWriteError(`${name} ${why}; nothing was changed`);
}
