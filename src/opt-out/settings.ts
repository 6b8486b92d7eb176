import { NAME_PATTERN } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { readConfigFile } from '../base/machine.js';
import type { Question, Rule, SettingsMachine } from './rule.js';
import { saysYes, SOURCES } from './sources.js';
import { CONFIG_FILE } from './telemetry-json.js';
import { COSMOS, isPolluted, readVariable } from './variables.js';

export type { Rule, SettingsMachine } from './rule.js';

/** The answer to "may anything be sent?", and why. Deeply frozen. */
export interface Settings {
  /** False when the product's switch, Airflow's configuration, an option or a missing consent says no. */
  enableTelemetry: boolean;
  /** True when `DO_NOT_TRACK` opts out. */
  doNotTrack: boolean;
  /** True when `SCARF_NO_ANALYTICS` opts out. */
  noAnalytics: boolean;
  /** Everything that was looked at and had something to say, in order of precedence. */
  rules: readonly Rule[];
}

/** Options of `resolveSettings`. */
export interface SettingsOptions {
  /** Whose telemetry, `^[a-z][a-z0-9_]{0,31}$`. @default 'cosmos' */
  product?: string | undefined;
  /** Where opt-outs, the home directory and Airflow's places are looked up. @default process.env */
  env?: NodeJS.ProcessEnv | undefined;
  /** With `'opt-in'` it stays off until the person's own configuration says yes. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /** `false` is one more opt-out. */
  enabled?: false | undefined;
}

const OPTION_NAMES = new Set(['product', 'env', 'consent', 'enabled']);

/**
 * Finds out whether telemetry is on, and the rule behind it. Any opt-out wins over any yes, and what cannot be read or
 * understood counts as an opt-out.
 *
 * Every product: `DO_NOT_TRACK`, `SCARF_NO_ANALYTICS`, its own switch (`ACME_TELEMETRY`); then, where these have not opted out, the
 * machine's policy file and the person's config file. Product `cosmos`, as in Cosmos: `AIRFLOW__COSMOS__ENABLE_TELEMETRY`, else
 * `[cosmos] enable_telemetry` of airflow.cfg, which is read only when nothing else has decided.
 *
 * @throws TypeError for an unknown or wrong option. Never because of the environment or the file.
 */
export function resolveSettings(options?: SettingsOptions): Settings {
  return resolveSettingsWith(options, { readFile: readConfigFile });
}

/** `resolveSettings` with the machine as a parameter, for tests and for a caller that logs. @internal */
export function resolveSettingsWith(options: SettingsOptions | undefined, machine: SettingsMachine): Settings {
  const question = toQuestion(options ?? {});
  const rules: Rule[] = [];
  for (const source of SOURCES) rules.push(...source(question, rules, machine));
  const optOuts = new Set(rules.filter((rule) => rule.optsOut).map((rule) => rule.name));
  const doNotTrack = optOuts.delete('DO_NOT_TRACK');
  const noAnalytics = optOuts.delete('SCARF_NO_ANALYTICS');
  const enableTelemetry = optOuts.size === 0;
  for (const rule of rules) {
    Object.freeze(rule.source);
    Object.freeze(rule);
  }
  return Object.freeze({ enableTelemetry, doNotTrack, noAnalytics, rules: Object.freeze(rules) });
}

/**
 * Whether anything may be sent. Anything but complete settings is a no, and it never throws.
 *
 * @param settings default: `resolveSettings()`, which reads this process's environment and airflow.cfg.
 */
export function shouldEmit(settings?: Settings): boolean {
  try {
    const given = settings === undefined ? resolveSettings() : settings;
    const own = (name: keyof Settings): unknown => (Object.hasOwn(given, name) ? given[name] : undefined);
    return own('enableTelemetry') === true && own('doNotTrack') === false && own('noAnalytics') === false;
  } catch {
    return false;
  }
}

/** The rules with the one that decided in front: an opt-out if there is any, else a yes, else the default. */
export function explainSettings(settings: Settings): { enabled: boolean; rules: readonly Rule[] } {
  const { rules } = settings;
  const deciding = rules.find((rule) => rule.optsOut) ?? rules.find(saysYes) ?? rules.find((rule) => rule.source.kind === 'default');
  const rest = rules.filter((rule) => rule !== deciding);
  return { enabled: shouldEmit(settings), rules: deciding === undefined ? rest : [deciding, ...rest] };
}

/**
 * For `consent: 'opt-in'`: whether every yes that these settings rest on is gone from where it stood. A yes that changed into
 * something else is an opt-out already; the one in airflow.cfg, which is read once, stays.
 *
 * @param files What the config files say now; left out where they have not been read again.
 * @internal
 */
export function consentWithdrawn(settings: Settings, env: NodeJS.ProcessEnv, files?: readonly Rule[]): boolean {
  const isGone = ({ name, source }: Rule): boolean => {
    if (source.kind === 'env') return readVariable(env, name) === undefined;
    return name === CONFIG_FILE && files !== undefined && !files.some(saysYes);
  };
  const yes = settings.rules.filter(saysYes);
  return yes.length > 0 && yes.every(isGone);
}

function toQuestion(options: SettingsOptions): Question {
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.has(name)) throw new TypeError(`Expected \`options\` to have known keys only, got \`${name.slice(0, 64)}\`.`);
  }
  // A polluted Object.prototype could put another product or an empty environment in the place of the real one.
  const given = <K extends keyof SettingsOptions>(name: K): SettingsOptions[K] => (isPolluted(options, name) ? undefined : options[name]);
  const product: unknown = given('product') ?? COSMOS;
  if (typeof product !== 'string' || !NAME_PATTERN.test(product)) {
    throw new TypeError(`Expected \`product\` to match ${NAME_PATTERN.source}, got ${describe(product)}.`);
  }
  const consent: unknown = given('consent') ?? 'opt-out';
  if (consent !== 'opt-out' && consent !== 'opt-in')
    throw new TypeError(`Expected \`consent\` to be "opt-out" or "opt-in", got ${describe(consent)}.`);
  const enabled: unknown = given('enabled');
  if (enabled !== undefined && enabled !== false)
    throw new TypeError(`Expected \`enabled\` to be false or left out, got ${describe(enabled)}.`);
  return { product, env: given('env') ?? process.env, consent, enabled: enabled !== false };
}
