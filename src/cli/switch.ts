/*
 * The commands `disable` and `enable`: they write the person's config file.
 */
import { COSMOS } from '../base/constants.js';
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode, placeName } from '../base/describe.js';
import { readConfigFile } from '../base/machine.js';
import { CONFIG_FILE, configFilePath, readTelemetryJson } from '../opt-out/telemetry-json.js';
import { CliFailure, EXIT } from './exit-codes.js';
import type { Command, CommandContext, CommandResult } from './command.js';
import { heading, inquire, inquiryJson, inquiryLines, labelled, STATE_WORDS } from './inquiry.js';

/** Writes the person's no. */
export const disable: Command = {
  summary: 'Turn telemetry off for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: ['Writes {"enabled": false} into your config file and keeps its other keys. Needs no network.'],
  run: (context) => switchTo(false, context),
};

/** Writes the person's yes. */
export const enable: Command = {
  summary: 'Turn telemetry on for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: [
    'Writes {"enabled": true} into your config file and keeps its other keys. Needs no network.',
    'If the environment, the policy of the machine or the program opts out, telemetry stays off, and the',
    'output says why. The exit code is 0 then, too.',
  ],
  run: (context) => switchTo(true, context),
};

/** For product `cosmos`: a user may expect this command to stop Astronomer Cosmos, too. */
const NOT_PYTHON = ['', 'Astronomer Cosmos for Python does not read this file. To stop it too, set DO_NOT_TRACK=1.'];

/** Writes a yes or a no, and shows the settings as they are then. Both commands use it, so each undoes the other. */
function switchTo(enabled: boolean, context: CommandContext): CommandResult {
  const { program, env, platform } = context;
  const file = configFilePath(program.product.name, env, platform);
  if (file === undefined) {
    const variables = platform === 'win32' ? 'neither APPDATA nor USERPROFILE names' : 'neither XDG_CONFIG_HOME nor HOME names';
    throw new CliFailure(`there is no place for a config file: ${platform === 'darwin' ? 'HOME does not name' : variables} a folder`);
  }
  const written = writeSwitch(file, enabled);
  const inquiry = inquire(context);
  const isOverruled = enabled && !inquiry.enabled;
  const state = isOverruled && inquiry.state === 'off' ? 'stays off' : STATE_WORDS[inquiry.state];
  const said = `${file} ${written ? 'now says' : 'already said'} ${enabled ? 'yes' : 'no'}`;
  return {
    lines: [
      heading(inquiry, context, state),
      '',
      labelled(CONFIG_FILE, isOverruled && inquiry.state === 'off' ? `${said}, but any no wins over it` : said),
      ...inquiryLines(inquiry, context),
      ...(enabled ? [] : ['', 'Running programs notice within about a minute.']),
      ...(program.product.name === COSMOS && !enabled ? NOT_PYTHON : []),
    ],
    json: { ...inquiryJson(inquiry, context), written },
    problems: inquiry.problems,
    exitCode: EXIT.ok,
  };
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
 * @throws CliFailure that names the file; nothing was changed then.
 */
export function writeSwitch(file: string, enabled: boolean): boolean {
  const target = targetOf(file);
  const text = read(target);
  if (text === undefined) {
    replace(target, { enabled });
    return true;
  }
  const entry = readTelemetryJson(text);
  if (entry.kind === 'broken') throw refusal(placeName(target, entry.line), `cannot be changed (${entry.reason}): fix or remove it`);
  if (entry.kind === 'found' && entry.enabled === enabled) return false;
  const known = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text) as Record<string, unknown>;
  replace(target, { ...known, enabled });
  return true;
}

/** The file itself, or the target of a symbolic link. */
function targetOf(file: string): string {
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

function read(target: string): string | undefined {
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

function replace(target: string, content: object): void {
  const folder = path.dirname(target);
  const beside = path.join(folder, `.${path.basename(target)}.${randomUUID()}.tmp`);
  try {
    makeFolder(folder);
    write(beside, `${JSON.stringify(content, undefined, 2)}\n`);
    renameSync(beside, target);
  } catch (error) {
    discard(beside);
    throw refusal(placeName(folder, undefined), `cannot be written to (${errorCode(error)})`);
  }
}

/** Recursion by hand: Node's `recursive` does not end if the system says ENOENT for every new folder, as in /proc. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: FOLDER_MODE });
  } catch (error) {
    const why = errorCode(error);
    if (why === 'EEXIST') return;
    const parent = path.dirname(folder);
    if (why !== 'ENOENT' || parent === folder) throw error;
    makeFolder(parent);
    mkdirSync(folder, { mode: FOLDER_MODE });
  }
}

function write(file: string, text: string): void {
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
    rmSync(file, { force: true });
  } catch {
    // The file was never created, or its folder is not a folder.
  }
}

function refusal(name: string, why: string): CliFailure {
  return new CliFailure(`${name} ${why}; nothing was changed`);
}
