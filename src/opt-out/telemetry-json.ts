/*
 * The files telemetry.json: where the platform keeps the policy file and the person's config file, what they say, and the two
 * sources made of them.
 */
import { given } from '../base/foreign-values.js';
import type { Environment, Platform } from '../base/platform-types.js';
import { errorRules, fileRule, malformed, unusable } from './rule.js';
import type { Question, Rule, Source, Warnings } from './rule.js';
import { trustedText } from './variables.js';

const { posix, win32 } = process.getBuiltinModule('node:path');

/** Name of the rule of the machine-wide policy file. */
export const POLICY_FILE = 'policy file';

/** Name of the rule of the person's own config file. */
export const CONFIG_FILE = 'config file';

type FileName = typeof POLICY_FILE | typeof CONFIG_FILE;

/** The machine-wide policy. It can only opt out: an administrator cannot consent for the users of a machine. */
export const policyFiles: Source = source(POLICY_FILE);

/** The person's own yes or no. */
export const configFile: Source = source(CONFIG_FILE);

/** The file is in a folder of the product's name: `acme/telemetry.json`. */
const FILE_NAME = 'telemetry.json';

/** The fixed folders of machine-wide configuration. No variable of a person replaces them, so none lifts a policy. */
const POLICY_FOLDER = '/etc/xdg';
const WINDOWS_POLICY_FOLDER = 'C:\\ProgramData';
const MAC_POLICY_FOLDER = '/Library/Application Support';

/**
 * Path of the person's own config file: `$XDG_CONFIG_HOME/acme/telemetry.json` (default `~/.config`) on Linux and all platforms not
 * named here, `~/Library/Application Support/acme/telemetry.json` on macOS, `%APPDATA%\acme\telemetry.json` on Windows. The file may
 * be missing.
 *
 * A variable whose path is not absolute is ignored, as the XDG Base Directory Specification says.
 *
 * @param product `^[a-z][a-z0-9_]{0,31}$`; it is not checked here.
 * @param env By default `process.env`.
 * @param platform By default `process.platform`.
 * @returns undefined if the environment has neither a configuration folder nor a home.
 * @throws What reading `env` throws, which a plain object never does.
 * @example
 * console.log(configFilePath('acme', { HOME: '/home/ada' }, 'linux')); // /home/ada/.config/acme/telemetry.json
 */
export function configFilePath(product: string, env: Environment = process.env, platform: Platform = process.platform): string | undefined {
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
 * Paths of the machine-wide policy files, in order; every file that exists counts. The folders are those of `$XDG_CONFIG_DIRS` and
 * always /etc/xdg on Linux and all platforms not named here, `/Library/Application Support` on macOS, `%PROGRAMDATA%` and always
 * `C:\ProgramData` on Windows, each followed by `acme/telemetry.json`.
 *
 * In the XDG specification `$XDG_CONFIG_DIRS` replaces /etc/xdg. Here it adds to it, so that a person cannot lift the policy of the
 * machine.
 *
 * @param product `^[a-z][a-z0-9_]{0,31}$`; it is not checked here.
 * @param env By default `process.env`.
 * @param platform By default `process.platform`.
 * @throws What reading `env` throws, which a plain object never does.
 * @example
 * console.log(policyFilePaths('acme', {}, 'linux').join()); // /etc/xdg/acme/telemetry.json
 */
export function policyFilePaths(product: string, env: Environment = process.env, platform: Platform = process.platform): readonly string[] {
  if (platform === 'darwin') return [posix.join(MAC_POLICY_FOLDER, product, FILE_NAME)];
  if (platform === 'win32') {
    const folders = [folder(env, 'PROGRAMDATA', platform) ?? WINDOWS_POLICY_FOLDER, WINDOWS_POLICY_FOLDER];
    return unique(folders.map((base) => win32.join(base, product, FILE_NAME)));
  }
  const listed = (trustedText(env, 'XDG_CONFIG_DIRS') ?? '').split(':').filter((base) => posix.isAbsolute(base));
  return unique([...listed, POLICY_FOLDER].map((base) => posix.join(base, product, FILE_NAME)));
}

/** An absolute folder from a variable. On Windows the name matches in any case, since a copy of its environment may change the case. */
function folder(env: Environment, name: string, platform: Platform): string | undefined {
  const path = platform === 'win32' ? win32 : posix;
  let value = trustedText(env, name);
  if (value === undefined && platform === 'win32') {
    const spelling = Object.keys(env).find((key) => key.toUpperCase() === name);
    value = spelling === undefined ? undefined : trustedText(env, spelling);
  }
  return value !== undefined && path.isAbsolute(value) ? value : undefined;
}

function unique(paths: readonly string[]): readonly string[] {
  return [...new Set(paths)];
}

/**
 * What a telemetry.json says.
 *
 * - `absent`: nothing, since the object has no `enabled`.
 * - `found`: yes or no, and the line of `enabled`, from 1.
 * - `broken`: not a valid telemetry.json; it may contain an opt-out. `reason` contains no text of the file. `isWhole`: it is complete JSON,
 *   so it is not half written.
 */
type JsonEntry =
  | { kind: 'absent' }
  | { kind: 'found'; enabled: boolean; line: number }
  | { kind: 'broken'; reason: string; isWhole: boolean; line?: number };

/** A valid file is far smaller. */
const MAX_BYTES = 1 << 16;

/** The key that decides. All others are ignored: a later version may use them. */
const KEY = 'enabled';

/** Matches a string, with its colon if it is a key, and the brackets of a level. It is applied to valid JSON only. */
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g;

/** Reads a telemetry.json: a JSON object such as `{"enabled": false}`, with or without a byte order mark. Never throws. */
export function readTelemetryJson(text: string): JsonEntry {
  if (Buffer.byteLength(text) > MAX_BYTES) return { kind: 'broken', reason: 'more than 64 KiB', isWhole: false };
  const json = text.startsWith('\ufeff') ? text.slice(1) : text;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { kind: 'broken', reason: 'not JSON', isWhole: false };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { kind: 'broken', reason: 'not a JSON object', isWhole: true };
  if (!Object.hasOwn(value, KEY)) return { kind: 'absent' };
  const { 0: line = 1, 1: second } = linesOf(json);
  if (second !== undefined) return { kind: 'broken', reason: 'duplicate "enabled"', isWhole: true, line: second };
  const enabled: unknown = Reflect.get(value, KEY);
  if (typeof enabled !== 'boolean') return { kind: 'broken', reason: '"enabled" is neither true nor false', isWhole: true, line };
  return { kind: 'found', enabled, line };
}

/** The lines on which the top-level object has the key. A JSON parser keeps the last of several, and the first may be the no. */
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

function source(name: FileName): Source {
  return {
    rereads: 'always',
    rules: (question, found, { readFile, platform, log }) => {
      // If the environment or the program opts out, no file is opened: not even that trace remains.
      if (found.some(({ optsOut, source: { kind } }) => optsOut && kind !== 'file')) return [];
      const paths = pathsOf(name, question, platform);
      if (paths === undefined) return [unusable({ name, path: FILE_NAME }, 'cannot be read', log)];
      return paths.flatMap((path) => {
        try {
          return textRules({ name, path }, readFile(path), question, log);
        } catch (error) {
          return errorRules({ name, path }, error, question, log);
        }
      });
    },
  };
}

/** Undefined if the environment cannot be read. It is read for both kinds of file, so that neither is opened then. */
function pathsOf(name: FileName, { product, env }: Question, platform: Platform | undefined): readonly string[] | undefined {
  try {
    const own = configFilePath(product, env, platform);
    if (name === POLICY_FILE) return policyFilePaths(product, env, platform);
    return own === undefined ? [] : [own];
  } catch {
    return undefined;
  }
}

function textRules(file: { name: FileName; path: string }, text: string, question: Question, log: Warnings | undefined): Rule[] {
  const { name, path } = file;
  const entry = readTelemetryJson(text);
  if (entry.kind === 'absent') return [];
  if (entry.kind === 'broken') {
    const { reason, isWhole } = entry;
    const line = given(entry, 'line');
    return [isWhole ? unusable({ ...file, line }, reason, log) : malformed(file, reason, question, log)];
  }
  if (entry.enabled && name === POLICY_FILE) return [];
  return [fileRule(name, String(entry.enabled), !entry.enabled, path, entry.line)];
}
