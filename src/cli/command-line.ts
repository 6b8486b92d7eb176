import { parseArgs } from 'node:util';
import { shorten } from '../settings/rules.js';
import type { Command } from './command.js';
import { CliFailure, EXIT } from './failure.js';

/** What somebody typed, understood. */
export interface CommandLine {
  /** The command's name; empty where none was given. */
  readonly name: string;
  readonly command: Command | undefined;
  readonly wants: 'help' | 'version' | 'run';
  readonly isJson: boolean;
  readonly isSample: boolean;
  /** What stands after the name. */
  readonly rest: readonly string[];
}

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  sample: { type: 'boolean' },
} as const;

const NAMES: ReadonlySet<string> = new Set(Object.keys(OPTIONS));

/** @throws CliFailure for an unknown command, option or argument, with the name of what was not understood. */
export function parseCommandLine(args: readonly string[], commands: ReadonlyMap<string, Command>, program: string): CommandLine {
  // Not strict: node's own messages for what it refuses differ from version to version.
  const { tokens } = parseArgs({ args: [...args], options: OPTIONS, strict: false, allowPositionals: true, tokens: true });
  const positionals: string[] = [];
  const given = new Set<string>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (!NAMES.has(token.name)) throw usage(`unknown option ${shorten(token.rawName)}`, program);
    if (token.value !== undefined) throw usage(`option ${token.rawName} takes no value`, program);
    given.add(token.name);
  }
  const [name = '', ...rest] = positionals;
  const wants = given.has('help') ? 'help' : given.has('version') ? 'version' : 'run';
  const command = commands.get(name);
  if (command === undefined && name !== '') throw usage(`unknown command ${shorten(name)}`, program);
  if (given.has('sample') && command?.takesSample !== true) throw usage(`option --sample belongs to preview`, program);
  const tooMany = command === undefined ? undefined : rest[command.maxArgs];
  if (tooMany !== undefined && wants === 'run') throw usage(`${name} does not take ${shorten(tooMany)}`, `${program} ${name}`);
  return { name, command, wants, isJson: given.has('json'), isSample: given.has('sample'), rest };
}

/** @returns What to throw where somebody typed what is not understood: the next step stands in it. */
export function usage(message: string, program: string): CliFailure {
  return new CliFailure(`${message}; see \`${program} --help\``, EXIT.usage);
}
