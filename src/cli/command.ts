import type { ExitCode } from './failure.js';
import type { Paint } from './io.js';
import type { Program } from './program.js';

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
