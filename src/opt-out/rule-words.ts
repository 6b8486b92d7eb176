/*
 * A rule in words, for people: the command and the status of a relay show it.
 */
import { placeName } from '../base/describe.js';
import { unknownOf } from './rule.js';
import type { Rule } from './rule.js';
import { CONFIG_FILE, POLICY_FILE } from './telemetry-json.js';

/** A rule and where it is set. */
export function ruleWords(rule: Rule): string {
  const { name, value, source } = rule;
  const unknown = unknownOf(rule);
  switch (source.kind) {
    case 'env':
      return `${name}=${value} in the environment`;
    case 'file':
      return `${fileWords(name, value, unknown)}, ${placeName(source.path ?? '', source.line)}`;
    case 'option':
      return `${name}: ${value}, in the program`;
    case 'default':
      return 'the default: on, unless a rule opts out';
    default:
      return name;
  }
}

function fileWords(name: string, value: string, unknown: Rule['unknown']): string {
  if (unknown === 'unreadable') return `${name} cannot be read (${value})`;
  if (unknown === 'malformed') return `${name} cannot be used (${value}), a no if it stays so for a minute`;
  const isUnusable = (name === CONFIG_FILE || name === POLICY_FILE) && value !== 'true' && value !== 'false';
  return isUnusable ? `${name} cannot be used (${value})` : `${name} = ${value}`;
}
