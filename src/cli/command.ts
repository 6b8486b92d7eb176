/*
 * What a command is: what it gets and returns, how it fails, and how its command line is parsed.
 */
import { parseArgs } from 'node:util';
import { shorten } from '../base/describe.js';
import type { Environment, Platform } from '../base/platform-types.js';
import { CliFailure, EXIT } from './exit-codes.js';
import type { ExitCode } from './exit-codes.js';
import type { Program } from './program.js';
import type { CliIo, Paint } from './terminal.js';

/** What a command gets. */
export interface CommandContext {
  readonly program: Program;
  readonly env: Environment;
  readonly platform: Platform;
  /** Opens standard input. Only `preview -` does. */
  readonly stdin: () => AsyncIterable<Uint8Array | string>;
  readonly paint: Paint;
  /** The most characters in a line. */
  readonly width: number;
  /** Whether `--json` was given. */
  readonly isJson: boolean;
  /** Whether `--sample` was given. */
  readonly isSample: boolean;
  /** The arguments after the command's name. */
  readonly args: readonly string[];
}

/** What a command returns. */
export interface CommandResult {
  /** For standard output. */
  readonly lines: readonly string[];
  /** For standard output with `--json`, instead of the lines. */
  readonly json: unknown;
  /** For standard error, a line each. */
  readonly problems?: readonly string[];
  /** @default 0 */
  readonly exitCode?: ExitCode;
}

/** One command. It returns its output and writes nothing itself. */
export interface Command {
  readonly summary: string;
  /** The text of its help after the summary, a line each. */
  readonly help: readonly string[];
  /** The arguments, as the help shows them. @example '[EVENT]' */
  readonly usage: string;
  /** The most arguments that it takes. */
  readonly maxArgs: number;
  /** Whether it has the option `--sample`. @default false */
  readonly takesSample?: boolean;
  /** @throws CliFailure */
  run(context: CommandContext): Promise<CommandResult> | CommandResult;
}

/** A command that runs until a signal ends it, and writes its own output. */
export interface Service {
  readonly summary: string;
  /** The arguments, as the help shows them. @example '[EVENT]' */
  readonly usage: string;
  /** @returns The exit code. @throws CliFailure */
  run(args: readonly string[], io: CliIo, program: string): Promise<number>;
}

/** A parsed command line. */
interface CommandLine {
  /** The command's name; empty if there is none. */
  readonly name: string;
  readonly command: Command | undefined;
  readonly wants: 'help' | 'version' | 'run';
  readonly isJson: boolean;
  readonly isSample: boolean;
  /** The arguments after the name. */
  readonly rest: readonly string[];
}

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  sample: { type: 'boolean' },
} as const;

const NAMES: ReadonlySet<string> = new Set(Object.keys(OPTIONS));

/** @throws CliFailure that names an unknown command, option or argument. */
export function parseCommandLine(args: readonly string[], commands: ReadonlyMap<string, Command>, program: string): CommandLine {
  // Not strict: the error messages of parseArgs differ between versions of Node.
  const { tokens } = parseArgs({ args: [...args], options: OPTIONS, strict: false, allowPositionals: true, tokens: true });
  const positionals: string[] = [];
  const given = new Set<string>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (!NAMES.has(token.name)) throw usageError(`unknown option ${shorten(token.rawName)}`, program);
    if (token.value !== undefined) throw usageError(`option ${token.rawName} takes no value`, program);
    given.add(token.name);
  }
  const [name = '', ...rest] = positionals;
  const wants = given.has('help') ? 'help' : given.has('version') ? 'version' : 'run';
  const command = commands.get(name);
  if (command === undefined && name !== '') throw usageError(`unknown command ${shorten(name)}`, program);
  if (given.has('sample') && command?.takesSample !== true) throw usageError('option --sample is for preview only', program);
  const tooMany = command === undefined ? undefined : rest[command.maxArgs];
  if (tooMany !== undefined && wants === 'run') throw usageError(`${name} does not take ${shorten(tooMany)}`, `${program} ${name}`);
  return { name, command, wants, isJson: given.has('json'), isSample: given.has('sample'), rest };
}

/** The failure for a wrong command line. Its message ends with the command for help. */
export function usageError(message: string, program: string): CliFailure {
  return new CliFailure(`${message}; see \`${program} --help\``, EXIT.usage);
}
