import type { Rule } from '../settings.js';
import { AIRFLOW_VARIABLE, TRACKING_VARIABLES } from '../settings/opt-outs.js';
import { placeName } from '../settings/rules.js';
import { CONFIG_FILE, POLICY_FILE } from '../settings/telemetry-files.js';
import type { Inquiry } from './inquiry.js';
import type { Program } from './program.js';

/** A rule and where it stands, as half a sentence. */
export function ruleWords({ name, value, source }: Rule): string {
  switch (source.kind) {
    case 'env':
      return `${name}=${value} in the environment`;
    case 'file':
      return `${fileWords(name, value)}, ${placeName(source.path ?? '', source.line)}`;
    case 'option':
      return `${name}: ${value}, in the program`;
    case 'default':
      return 'the default: on, where nobody says no';
    default:
      return name;
  }
}

/** What a rule says, in a word. */
export function verdict({ optsOut, name }: Rule): 'no' | 'yes' | 'nothing' {
  if (optsOut) return 'no';
  // The variables that exist to opt out cannot say yes, nor can a program.
  return TRACKING_VARIABLES.some((other) => other === name) || name === 'consent' ? 'nothing' : 'yes';
}

/** What would have to change to switch it the other way, a sentence each: all of them to switch it on, any of them to switch it off. */
export function toChange({ enabled, decidedBy, others }: Inquiry, { product, command }: Program): string[] {
  if (!enabled) return [...new Set([decidedBy, ...others].filter((rule) => rule.optsOut).map((rule) => remedy(rule, product.name, command)))];
  const own = `${product.name.toUpperCase()}_TELEMETRY`;
  return [`run \`${command} disable\``, `or set ${own}=0 in the environment`, 'or set DO_NOT_TRACK=1, for everything that honours it'];
}

function fileWords(name: string, value: string): string {
  const isUnusable = (name === CONFIG_FILE || name === POLICY_FILE) && value !== 'true' && value !== 'false';
  return isUnusable ? `${name} cannot be used (${value})` : `${name} = ${value}`;
}

function remedy({ name, value, source }: Rule, product: string, command: string): string {
  const place = placeName(source.path ?? '', source.line);
  if (source.kind === 'option') {
    if (name === 'consent') return `run \`${command} enable\`, or set ${product.toUpperCase()}_TELEMETRY=1: the program waits for a yes of yours`;
    return 'nothing you can do: the program itself switches it off';
  }
  if (source.kind === 'env') {
    if (value === 'cannot be read') return `mend the environment: ${name} cannot be read`;
    if (name === AIRFLOW_VARIABLE) return `unset ${name}, or set it to true`;
    return TRACKING_VARIABLES.some((other) => other === name) ? `unset ${name}, or set it to 0` : `unset ${name}, or set it to 1`;
  }
  if (name === POLICY_FILE) return `ask whoever runs this machine: ${place} decides for everybody on it`;
  if (name !== CONFIG_FILE) return `set enable_telemetry = True in ${place}`;
  return value === 'false' ? `run \`${command} enable\`` : `mend or remove ${place}`;
}
