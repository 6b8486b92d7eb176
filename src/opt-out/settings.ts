/*
 * Whether telemetry is on, and the rules behind the answer.
 */
import { COSMOS, NAME_PATTERN } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { given } from '../base/foreign-values.js';
import { readConfigFile } from '../base/machine.js';
import type { Environment } from '../base/platform-types.js';
import { isKnownOptOut, unknownOf } from './rule.js';
import type { Question, Rule, SettingsMachine } from './rule.js';
import { rulesOf, saysYes, SOURCES } from './sources.js';
import { CONFIG_FILE } from './telemetry-json.js';
import { optOutVariables, readVariable } from './variables.js';

export type { Rule, SettingsMachine } from './rule.js';

/**
 * Whether anything may be sent, and why. Deeply frozen.
 *
 * @example
 * const settings: Settings = resolveSettings({ product: 'acme', env: { DO_NOT_TRACK: '1' } });
 * console.log(settings.doNotTrack, settings.rules[0]?.name); // true DO_NOT_TRACK
 */
export interface Settings {
  /** False if the product's switch, a file, Airflow's configuration, an option or a missing consent says no, or a file is unknown. */
  enableTelemetry: boolean;
  /** True if `DO_NOT_TRACK` opts out. */
  doNotTrack: boolean;
  /** True if `SCARF_NO_ANALYTICS` opts out. */
  noAnalytics: boolean;
  /** Every setting that was found, in order of precedence. */
  rules: readonly Rule[];
}

/**
 * Options of `resolveSettings`.
 *
 * @example
 * const options: SettingsOptions = { product: 'acme', consent: 'opt-in' };
 * console.log(resolveSettings(options).enableTelemetry); // false
 */
export interface SettingsOptions {
  /** Whose telemetry, `^[a-z][a-z0-9_]{0,31}$`. @default 'cosmos' */
  product?: string | undefined;
  /** Environment with the opt-outs, the home directory and Airflow's paths. @default process.env */
  env?: Environment | undefined;
  /** With `'opt-in'` telemetry is off until the person's own configuration says yes. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /** `false` opts out. There is no `true`. @default undefined */
  enabled?: false | undefined;
}

/**
 * Finds out whether telemetry is on, and which rules decide. Any opt-out wins over any yes, and a setting that cannot be read or
 * understood counts as an opt-out. A file that cannot be read now may be readable later: see `unknown` of its rule.
 *
 * For every product: `DO_NOT_TRACK`, `SCARF_NO_ANALYTICS` and the product's own switch (`ACME_TELEMETRY`); then, if none of these
 * opts out, the machine's policy files and the person's config file. For product `cosmos`, as in Cosmos:
 * `AIRFLOW__COSMOS__ENABLE_TELEMETRY`, else `[cosmos] enable_telemetry` of airflow.cfg, which is read only if nothing else decided.
 *
 * @param options By default product `cosmos` in this process.
 * @throws TypeError for an unknown or wrong option. Never because of the environment or a file.
 * @example
 * const settings = resolveSettings({ product: 'acme', env: { ACME_TELEMETRY: 'off' } });
 * console.log(settings.enableTelemetry); // false
 */
export function resolveSettings(options?: SettingsOptions): Settings {
  return resolveSettingsWith(options, { readFile: readConfigFile, platform: undefined, log: undefined });
}

/**
 * Whether anything may be sent. Only complete settings without an opt-out give true. Never throws.
 *
 * @param settings By default `resolveSettings()`, for product `cosmos` in this process.
 * @example
 * const settings = resolveSettings({ product: 'acme', env: { ACME_TELEMETRY: 'off' } });
 * console.log(shouldEmit(settings)); // false
 */
export function shouldEmit(settings?: Settings): boolean {
  try {
    const checked = settings === undefined ? resolveSettings() : settings;
    const own = (name: keyof Settings): unknown => (Object.hasOwn(checked, name) ? checked[name] : undefined);
    return own('enableTelemetry') === true && own('doNotTrack') === false && own('noAnalytics') === false;
  } catch {
    return false;
  }
}

/**
 * The rules with the deciding one first: an opt-out if there is any, else a file that is unknown, else a yes, else the default. It never
 * throws for settings of `resolveSettings`.
 *
 * @param settings The result of `resolveSettings`.
 * @example
 * const { enabled, rules } = explainSettings(resolveSettings({ product: 'acme', env: { ACME_TELEMETRY: 'off' } }));
 * console.log(enabled, rules[0]?.name, rules[0]?.value); // false ACME_TELEMETRY off
 */
export function explainSettings(settings: Settings): { enabled: boolean; rules: readonly Rule[] } {
  const { rules } = settings;
  const deciding =
    rules.find(isKnownOptOut) ??
    rules.find((rule) => rule.optsOut) ??
    rules.find(saysYes) ??
    rules.find((rule) => rule.source.kind === 'default');
  const rest = rules.filter((rule) => rule !== deciding);
  return { enabled: shouldEmit(settings), rules: deciding === undefined ? rest : [deciding, ...rest] };
}

/** `resolveSettings` with the machine as a parameter. @internal */
export function resolveSettingsWith(options: SettingsOptions | undefined, machine: SettingsMachine): Settings {
  return settingsFor(toQuestion(options ?? {}), machine);
}

/** Asks all sources. @internal */
export function settingsFor(question: Question, machine: SettingsMachine): Settings {
  const rules = rulesOf(SOURCES, question, machine);
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

/** Whether it is not known if telemetry is off: a file that may opt out cannot be read, and no other rule opts out. @internal */
export function isUndecided({ rules }: Settings): boolean {
  return !rules.some(isKnownOptOut) && rules.some((rule) => unknownOf(rule) !== undefined);
}

/** Checks the options and fills in their defaults. @internal @throws TypeError for an unknown or wrong option. */
export function toQuestion(options: SettingsOptions): Question {
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.has(name)) throw new TypeError(`Expected \`options\` to have known keys only, got \`${name.slice(0, 64)}\`.`);
  }
  // A polluted Object.prototype could replace the product, or hide the environment behind an empty one.
  const product: unknown = given(options, 'product') ?? COSMOS;
  if (typeof product !== 'string' || !NAME_PATTERN.test(product)) {
    throw new TypeError(`Expected \`product\` to match ${NAME_PATTERN.source}, got ${describe(product)}.`);
  }
  const consent: unknown = given(options, 'consent') ?? 'opt-out';
  if (consent !== 'opt-out' && consent !== 'opt-in')
    throw new TypeError(`Expected \`consent\` to be "opt-out" or "opt-in", got ${describe(consent)}.`);
  const enabled: unknown = given(options, 'enabled');
  if (enabled !== undefined && enabled !== false)
    throw new TypeError(`Expected \`enabled\` to be false or left out, got ${describe(enabled)}.`);
  return { product, env: given(options, 'env') ?? process.env, variables: optOutVariables(product), consent, enabled: enabled !== false };
}

const OPTION_NAMES = new Set(['product', 'env', 'consent', 'enabled']);

/**
 * For `consent: 'opt-in'`: whether every yes of these settings has been removed. A yes that was changed to anything else is an
 * opt-out, too. A yes in airflow.cfg stays, since that file is read once.
 *
 * @param files The rules of the files as they are now; undefined if they were not read again.
 * @internal
 */
export function consentWithdrawn(settings: Settings, env: Environment, files?: readonly Rule[]): boolean {
  const isGone = ({ name, source }: Rule): boolean => {
    if (source.kind === 'env') return readVariable(env, name) === undefined;
    return name === CONFIG_FILE && files !== undefined && !files.some(saysYes);
  };
  const yes = settings.rules.filter(saysYes);
  return yes.length > 0 && yes.every(isGone);
}
