import { existsSync } from 'node:fs';
import { shorten } from '../settings/rules.js';
import type { CommandContext } from './command.js';
import type { Inquiry } from './inquiry.js';
import { ruleWords, toChange, verdict } from './rule-words.js';

const LABEL_WIDTH = 16;

/** The first line: what is the case. */
export function heading({ enabled }: Inquiry, { program, paint }: CommandContext, state: string): string {
  return `Telemetry of ${program.product.name} ${(enabled ? paint.good : paint.bad)(paint.strong(state))}.`;
}

/** The rules, the endpoint, and what would have to change. */
export function inquiryLines(inquiry: Inquiry, context: CommandContext): string[] {
  const { decidedBy, others, enabled } = inquiry;
  const ways = toChange(inquiry, context.program);
  return [
    labelled('decided by', ruleWords(decidedBy)),
    ...others.map((rule, index) => labelled(index === 0 ? 'others say' : '', `${verdict(rule).padEnd(7)} ${ruleWords(rule)}`)),
    ...ways.map((way, index) => labelled(index === 0 ? (enabled ? 'to stop it' : 'to turn it on') : '', way)),
    labelled('endpoint', endpointWords(inquiry, context)),
  ];
}

/** Debug mode, where somebody asks for it. */
export function debugWords({ debug }: Inquiry): string[] {
  if (debug === undefined) return [];
  const where = debug.path === undefined ? 'to standard error' : `to the end of ${shorten(debug.path)}`;
  return [labelled('debug mode', `${debug.variable} has requests written ${where}, and nothing is sent`)];
}

/** The files that are looked at. */
export function places({ configFile, policyFiles }: Inquiry): string[] {
  return [
    labelled('config file', configFile === undefined ? 'none: the environment names no home' : withPresence(configFile)),
    ...policyFiles.map((path, index) => labelled(index === 0 ? 'policy file' : '', withPresence(path))),
  ];
}

/** The stable shape of `--json`, as the README documents it. */
export function inquiryJson(inquiry: Inquiry, { program }: CommandContext) {
  const { enabled, decidedBy, others, endpoint, debug, configFile, policyFiles, problems } = inquiry;
  return {
    product: program.product.name,
    version: program.product.version ?? null,
    enabled,
    decidedBy,
    others,
    toChange: toChange(inquiry, program),
    endpoint: { url: endpoint.url ?? null, setBy: endpoint.setBy, isVariableIgnored: endpoint.isVariableIgnored },
    debug: debug === undefined ? null : { variable: debug.variable, file: debug.path ?? null },
    configFile: configFile ?? null,
    policyFiles,
    problems,
  };
}

/** A line with its label in a column of its own. */
export function labelled(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`;
}

function endpointWords({ endpoint }: Inquiry, { program }: CommandContext): string {
  const { url, setBy, isVariableIgnored } = endpoint;
  const variable = `${program.product.name.toUpperCase()}_TELEMETRY_ENDPOINT`;
  if (url === undefined) return 'not known here: the program delivers in a way of its own';
  if (setBy === 'environment') return `${url}, set by ${variable} (the program says ${program.endpoint})`;
  return isVariableIgnored ? `${url}, set by the program (${variable} is no usable URL and is ignored)` : `${url}, set by the program`;
}

function withPresence(path: string): string {
  return existsSync(path) ? path : `${path} (not there)`;
}
