import type { Log } from '../log.js';
import { fileRule, readProblem, unusable } from './rules.js';
import type { Question, Rule, SettingsMachine } from './rules.js';
import { readTelemetryJson } from './telemetry-json.js';
import { configFilePath, policyFilePaths } from './telemetry-places.js';

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
