import { parseArgs } from 'node:util';
import { shorten } from '../base/describe.js';
import type { Program } from './program.js';
import type { CliIo, Paint } from './terminal.js';

/** How a command ends, as its help says. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** One of the exit codes. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The end of a command, with one line for standard error that names the file or the option. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure' as const;
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = EXIT.failure) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What a command is given. */
export interface CommandContext {
  readonly program: Program;
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  /** Opened by who asks: `preview -` alone. */
  readonly stdin: () => AsyncIterable<Uint8Array | string>;
  readonly paint: Paint;
  /** How many characters a line may have. */
  readonly width: number;
  /** Whether the answer is for machines. */
  readonly isJson: boolean;
  /** Whether `--sample` was given. */
  readonly isSample: boolean;
  /** What stands after the command's name. */
  readonly args: readonly string[];
}

/** What a command says. */
export interface Answer {
  /** For standard output: lines for people, or a value for machines. */
  readonly lines: readonly string[];
  readonly json: unknown;
  /** For standard error, a line each. */
  readonly problems?: readonly string[];
  readonly exitCode?: ExitCode;
}

/** One command: it answers and writes nothing itself, so that there is one place that does. */
export interface Command {
  readonly summary: string;
  /** What its help says besides the summary, a line each. */
  readonly help: readonly string[];
  /** What may follow the name, as the help shows it. */
  readonly usage: string;
  /** How many arguments it takes at most. */
  readonly maxArgs: number;
  readonly takesSample?: boolean;
  /** @throws CliFailure */
  run(context: CommandContext): Promise<Answer> | Answer;
}

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

/** A command that runs until it is told to end, and writes for itself. */
export interface Service {
  readonly summary: string;
  /** What may follow the name, as the help shows it. */
  readonly usage: string;
  /** @returns The exit code. @throws CliFailure */
  run(args: readonly string[], io: CliIo, program: string): Promise<number>;
}
