import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { placeName, readProblem } from '../base/describe.js';
import { readConfigFile } from '../base/machine.js';
import { CONFIG_FILE, configFilePath, readTelemetryJson } from '../opt-out/telemetry-json.js';
import { COSMOS } from '../opt-out/variables.js';
import { CliFailure, EXIT } from './command.js';
import type { Answer, Command, CommandContext } from './command.js';
import { heading, inquire, inquiryJson, inquiryLines, labelled } from './inquiry.js';

/** Its owner alone: what a person decided is nobody else's to read or change. */
const FILE_MODE = 0o600;

/** As the XDG Base Directory Specification has it for folders that are not there. */
const FOLDER_MODE = 0o700;

/**
 * Writes a person's yes or no into their config file; other keys stay. The file is whole at every instant: a new one is written
 * beside it and renamed onto it. A link in its place is followed, since people keep such files elsewhere, but not to where nothing is.
 *
 * @returns Whether it had to be written: false where it said so already.
 * @throws CliFailure naming the file, which is then as it was.
 */
export function writeSwitch(file: string, enabled: boolean): boolean {
  const target = targetOf(file);
  const text = read(target);
  if (text === undefined) {
    replace(target, { enabled });
    return true;
  }
  const entry = readTelemetryJson(text);
  if (entry.kind === 'broken') throw refusal(placeName(target, entry.line), `cannot be changed (${entry.reason}): mend or remove it`);
  if (entry.kind === 'found' && entry.enabled === enabled) return false;
  const known = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text) as Record<string, unknown>;
  replace(target, { ...known, enabled });
  return true;
}

/** The file itself, wherever a link in its place leads. */
function targetOf(file: string): string {
  try {
    if (!lstatSync(file).isSymbolicLink()) return file;
  } catch {
    // Not there, or not to be looked at: reading says which.
    return file;
  }
  try {
    return realpathSync(file);
  } catch {
    throw refusal(placeName(file, undefined), 'is a link that leads to no file: mend or remove it');
  }
}

function read(target: string): string | undefined {
  try {
    return readConfigFile(target);
  } catch (error) {
    const why = codeOf(error);
    if (why === 'ENOENT') return undefined;
    const name = placeName(target, undefined);
    if (why === 'EISDIR') throw refusal(name, 'is a folder where the config file belongs: remove it');
    if (why === 'ENOTDIR') throw refusal(placeName(path.dirname(target), undefined), 'lies in a file where a folder belongs');
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
    throw refusal(placeName(folder, undefined), `cannot be written to (${codeOf(error)})`);
  }
}

/** Step by step: where a system says of every new folder that it is not there, as in /proc, node's own recursion does not end. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: FOLDER_MODE });
  } catch (error) {
    const why = codeOf(error);
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
    // Renamed before its content is on the disk, it could be empty after a crash, which counts as an opt-out.
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function discard(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // It was never made, or its folder is not one.
  }
}

function codeOf(error: unknown): string {
  return readProblem(error).why;
}

function refusal(name: string, why: string): CliFailure {
  return new CliFailure(`${name} ${why}; nothing was changed`);
}

/** Whoever stops `cosmos` here may believe to have stopped Astronomer Cosmos, too. */
const NOT_PYTHON = ['', 'Astronomer Cosmos itself, in Python, does not know this file: to stop that too, set DO_NOT_TRACK=1.'];

/** Writes a yes or no, and says what holds now. Both commands are this one, so that each undoes the other. */
export function switchTo(enabled: boolean, context: CommandContext): Answer {
  const { program, env, platform } = context;
  const file = configFilePath(program.product.name, env, platform);
  if (file === undefined) {
    const variables = platform === 'win32' ? 'neither APPDATA nor USERPROFILE names' : 'neither XDG_CONFIG_HOME nor HOME names';
    throw new CliFailure(`there is no place for a config file: ${platform === 'darwin' ? 'HOME does not name' : variables} a folder`);
  }
  const written = writeSwitch(file, enabled);
  const inquiry = inquire(context);
  const isHeldBack = enabled && !inquiry.enabled;
  const state = isHeldBack ? 'stays off' : inquiry.enabled ? 'is on' : 'is off';
  const what = written ? `${file} says so now` : `${file} said so already`;
  return {
    lines: [
      heading(inquiry, context, state),
      '',
      labelled(CONFIG_FILE, isHeldBack ? `${file} says yes${written ? ' now' : ' already'}, but any no wins over it` : what),
      ...inquiryLines(inquiry, context),
      ...(enabled ? [] : ['', 'Programs that are running notice within about a minute.']),
      ...(program.product.name === COSMOS && !enabled ? NOT_PYTHON : []),
    ],
    json: { ...inquiryJson(inquiry, context), written },
    problems: inquiry.problems,
    exitCode: EXIT.ok,
  };
}

/** Writes a person's no. */
export const disable: Command = {
  summary: 'Stop telemetry for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: ['Writes {"enabled": false} into your config file; other keys in it stay. Sends nothing and needs no network.'],
  run: (context) => switchTo(false, context),
};

/** Writes a person's yes. */
export const enable: Command = {
  summary: 'Allow telemetry for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: [
    'Writes {"enabled": true} into your config file; other keys in it stay. Sends nothing and needs no network.',
    'Any no wins over it: where the environment, the policy of the machine or the program says no, telemetry',
    'stays off, and this says why. That is no failure: it ends with 0.',
  ],
  run: (context) => switchTo(true, context),
};
