
import { honestVariable } from './opt-outs.js';

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
