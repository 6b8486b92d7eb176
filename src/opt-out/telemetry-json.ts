import { readProblem } from '../base/describe.js';
import type { Log } from '../base/log.js';
import { fileRule, unusable } from './rule.js';
import type { Question, Rule, SettingsMachine } from './rule.js';
import { honestVariable } from './variables.js';

/**
 * What a telemetry.json says.
 *
 * - `absent`: nothing. An object without `enabled` is a file that some later version, or nobody yet, has written to.
 * - `found`: yes or no, and the line on which `enabled` stands, from 1.
 * - `broken`: it is not what it must be, and may hold an opt-out. `reason` is a sentence without anything of the file in it.
 */
export type JsonEntry =
  | { kind: 'absent' }
  | { kind: 'found'; enabled: boolean; line: number }
  | { kind: 'broken'; reason: string; line?: number };

/** More than any such file has reason to hold. */
const MAX_BYTES = 1 << 16;

/** The key that decides; all others are ignored, since a later version may know them. */
const KEY = 'enabled';

/** A string, with the colon that makes it a key; or what opens and closes a level. The text is known to be JSON. */
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g;

/** Reads a telemetry.json: a JSON object such as `{"enabled": false}`, in UTF-8 with or without a byte order mark. Never throws. */
export function readTelemetryJson(text: string): JsonEntry {
  if (Buffer.byteLength(text) > MAX_BYTES) return { kind: 'broken', reason: 'more than 64 KiB' };
  const json = text.startsWith('\ufeff') ? text.slice(1) : text;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { kind: 'broken', reason: 'not JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { kind: 'broken', reason: 'not a JSON object' };
  if (!Object.hasOwn(value, KEY)) return { kind: 'absent' };
  const [line = 1, second] = linesOf(json);
  if (second !== undefined) return { kind: 'broken', reason: '"enabled" stands twice', line: second };
  const enabled: unknown = Reflect.get(value, KEY);
  if (typeof enabled !== 'boolean') return { kind: 'broken', reason: '"enabled" is neither true nor false', line };
  return { kind: 'found', enabled, line };
}

/** The lines on which the object itself has the key: a parser keeps the last of several, and the first may be the no. */
function linesOf(json: string): number[] {
  const lines: number[] = [];
  let depth = 0;
  for (const { 0: token, 1: text, 2: colon, index } of json.matchAll(TOKENS)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && colon !== undefined && text !== undefined && JSON.parse(text) === KEY) {
      lines.push(json.slice(0, index).split(/\r\n|\r|\n/).length);
    }
  }
  return lines;
}

const { posix, win32 } = process.getBuiltinModule('node:path');

/** The file's name, in a folder of the product's name: `acme/telemetry.json`. */
const FILE_NAME = 'telemetry.json';

/** Where machine-wide configuration stands whatever a person sets, so that no variable of theirs lifts a policy. */
const POLICY_FOLDER = '/etc/xdg';
const WINDOWS_POLICY_FOLDER = 'C:\\ProgramData';
const MAC_POLICY_FOLDER = '/Library/Application Support';

/**
 * The person's own config file: `$XDG_CONFIG_HOME/acme/telemetry.json` (default `~/.config`) on Linux and whatever is no other,
 * `~/Library/Application Support/acme/telemetry.json` on macOS, `%APPDATA%\acme\telemetry.json` on Windows. The file need not be there.
 *
 * A path that is not absolute is ignored, as the XDG Base Directory Specification says.
 *
 * @param product `^[a-z][a-z0-9_]{0,31}$`, as checked by the caller.
 * @returns undefined where the environment names neither a folder nor a home.
 */
export function configFilePath(
  product: string,
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  if (platform === 'win32') {
    const profile = folder(env, 'USERPROFILE', platform);
    const roaming = folder(env, 'APPDATA', platform) ?? (profile && win32.join(profile, 'AppData', 'Roaming'));
    return roaming && win32.join(roaming, product, FILE_NAME);
  }
  const home = folder(env, 'HOME', platform);
  const base =
    platform === 'darwin'
      ? home && posix.join(home, 'Library', 'Application Support')
      : (folder(env, 'XDG_CONFIG_HOME', platform) ?? (home && posix.join(home, '.config')));
  return base && posix.join(base, product, FILE_NAME);
}

/**
 * The places of the machine-wide policy file, in order; every one that exists counts: each folder of `$XDG_CONFIG_DIRS` and
 * always /etc/xdg on Linux and whatever is no other, `/Library/Application Support` on macOS, `%PROGRAMDATA%` and always
 * `C:\ProgramData` on Windows, each followed by `acme/telemetry.json`.
 *
 * The specification has `$XDG_CONFIG_DIRS` replace /etc/xdg. Here it adds to it, since a person could otherwise lift what whoever
 * runs the machine has decided.
 *
 * @param product `^[a-z][a-z0-9_]{0,31}$`, as checked by the caller.
 */
export function policyFilePaths(
  product: string,
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): readonly string[] {
  if (platform === 'darwin') return [posix.join(MAC_POLICY_FOLDER, product, FILE_NAME)];
  if (platform === 'win32') {
    const folders = [folder(env, 'PROGRAMDATA', platform) ?? WINDOWS_POLICY_FOLDER, WINDOWS_POLICY_FOLDER];
    return unique(folders.map((base) => win32.join(base, product, FILE_NAME)));
  }
  const listed = (honestVariable(env, 'XDG_CONFIG_DIRS') ?? '').split(':').filter((base) => posix.isAbsolute(base));
  return unique([...listed, POLICY_FOLDER].map((base) => posix.join(base, product, FILE_NAME)));
}

/** A folder that a variable names; on Windows in any case of letters, as a copy of its environment may have it. */
function folder(env: NodeJS.ProcessEnv, name: string, platform: NodeJS.Platform): string | undefined {
  const path = platform === 'win32' ? win32 : posix;
  let value = honestVariable(env, name);
  if (value === undefined && platform === 'win32') {
    const spelling = Object.keys(env).find((key) => key.toUpperCase() === name);
    value = spelling === undefined ? undefined : honestVariable(env, spelling);
  }
  return value !== undefined && path.isAbsolute(value) ? value : undefined;
}

function unique(paths: readonly string[]): readonly string[] {
  return [...new Set(paths)];
}

/** Name of the rule of the machine-wide policy file. */
export const POLICY_FILE = 'policy file';

/** Name of the rule of the person's own config file. */
export const CONFIG_FILE = 'config file';

/** A file that may be there; without a path where the environment cannot be read for it. */
interface Place {
  readonly name: typeof POLICY_FILE | typeof CONFIG_FILE;
  readonly path?: string;
}

/** Whose files, and on which platform. */
interface Whose extends Pick<Question, 'product' | 'env'> {
  readonly platform?: NodeJS.Platform | undefined;
}

/** The machine-wide policy. It can only opt out: whoever runs a machine does not consent for the people on it. */
export function policyFiles(question: Question, found: readonly Rule[], machine: SettingsMachine): Rule[] {
  return readAll(POLICY_FILE, question, found, machine);
}

/** The person's own yes or no. */
export function configFile(question: Question, found: readonly Rule[], machine: SettingsMachine): Rule[] {
  return readAll(CONFIG_FILE, question, found, machine);
}

/** What `policyFiles` and `configFile` found once, as it stands now, for a client that runs: read without blocking. Never rejects. */
export async function rereadTelemetryFiles(
  whose: Whose,
  readFile: (path: string) => Promise<string>,
  log: Log | undefined,
): Promise<Rule[]> {
  const rules: Rule[] = [];
  for (const place of [...placesOf(POLICY_FILE, whose), ...placesOf(CONFIG_FILE, whose)]) {
    try {
      rules.push(...toRules(place, await readFile(pathOf(place)), log));
    } catch (error) {
      rules.push(...toProblem(place, error, log));
    }
  }
  return rules;
}

function readAll(name: Place['name'], { product, env }: Question, found: readonly Rule[], machine: SettingsMachine): Rule[] {
  // Under an opt-out of the environment or the program, not even this trace is left: nothing is opened.
  if (found.some(({ optsOut, source }) => optsOut && source.kind !== 'file')) return [];
  const { platform, log } = machine;
  return placesOf(name, { product, env, platform }).flatMap((place) => {
    try {
      return toRules(place, machine.readFile(pathOf(place)), log);
    } catch (error) {
      return toProblem(place, error, log);
    }
  });
}

function placesOf(name: Place['name'], { product, env, platform }: Whose): readonly Place[] {
  try {
    const own = configFilePath(product, env, platform);
    const paths = name === POLICY_FILE ? policyFilePaths(product, env, platform) : own === undefined ? [] : [own];
    return paths.map((path) => ({ name, path }));
  } catch {
    return [{ name }];
  }
}

function pathOf({ path }: Place): string {
  if (path === undefined) throw new Error('the environment cannot be read');
  return path;
}

function toRules({ name, path = '' }: Place, text: string, log: Log | undefined): Rule[] {
  const entry = readTelemetryJson(text);
  if (entry.kind === 'absent') return [];
  if (entry.kind === 'broken') return [unusable(name, entry.reason, path, entry.line, log)];
  if (entry.enabled && name === POLICY_FILE) return [];
  return [fileRule(name, String(entry.enabled), !entry.enabled, path, entry.line)];
}

function toProblem({ name, path = 'telemetry.json' }: Place, error: unknown, log: Log | undefined): Rule[] {
  const { isMissing, why } = readProblem(error);
  return isMissing ? [] : [unusable(name, why, path, undefined, log)];
}
