import type { Answer, Command, CommandContext } from './command.js';
import { disable } from './disable.js';
import { enable } from './enable.js';
import { events } from './events.js';
import { CliFailure, EXIT } from './failure.js';
import { commandHelpLines, helpLines } from './help.js';
import { paintFor, widthOf, writeTo } from './io.js';
import type { CliIo } from './io.js';
import { parseCommandLine } from './command-line.js';
import { toProgram } from './program.js';
import type { Program, TelemetryCliOptions } from './program.js';
import { preview } from './preview.js';
import type { Service } from './service.js';
import { status } from './status.js';
import { versionLine } from './version.js';

/** A program's `telemetry` command. */
export interface TelemetryCli {
  /**
   * Runs one command. It sends nothing, ends no process, and never rejects.
   *
   * @param args What stands after `acme telemetry`: `process.argv.slice(3)` there.
   * @returns The exit code: 0 done, 1 failure, 2 usage. Set `process.exitCode` to it.
   */
  run(args: readonly string[], io?: CliIo): Promise<number>;
}

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['status', status],
  ['disable', disable],
  ['enable', enable],
  ['preview', preview],
  ['events', events],
]);

/**
 * The `telemetry` command of a product, for its people: status, disable, enable, preview, events, with the product's own events,
 * endpoint and switches. Hand it what `createTelemetry` is handed.
 *
 * @throws TypeError naming option and value, for a wrong or unknown option.
 */
export function createTelemetryCli(options: TelemetryCliOptions): TelemetryCli {
  return createTelemetryCliWith(options, new Map());
}

/** The same, with commands that run until they are told to end. @internal */
export function createTelemetryCliWith(options: TelemetryCliOptions, services: ReadonlyMap<string, Service>): TelemetryCli {
  const program = toProgram(options);
  return {
    async run(args, io = {}) {
      const { stdout = process.stdout, stderr = process.stderr } = io;
      const [name = '', ...rest] = args;
      const service = services.get(name);
      const answer = service === undefined ? await answerTo(program, services, args, { ...io, stdout }) : await served(program, service, rest, io);
      let { exitCode } = answer;
      const lines = [...answer.problems];
      const why = await writeTo(stdout, answer.output);
      if (why !== undefined) {
        lines.push(`standard output cannot be written to (${why})`);
        exitCode = EXIT.failure;
      }
      await writeTo(stderr, lines.map((line) => `${program.command}: ${line}\n`).join(''));
      return exitCode;
    },
  };
}

/** What is to be written where. */
interface Result {
  readonly output: string;
  readonly problems: readonly string[];
  readonly exitCode: number;
}

async function served(program: Program, service: Service, args: readonly string[], io: CliIo): Promise<Result> {
  try {
    return { output: '', problems: [], exitCode: await service.run(args, io, program.command) };
  } catch (error) {
    return failed(error);
  }
}

async function answerTo(program: Program, services: ReadonlyMap<string, Service>, args: readonly string[], io: CliIo): Promise<Result> {
  try {
    const { stdout = process.stdout, env = process.env, platform = process.platform } = io;
    const paint = paintFor(io.isTTY ?? stdout.isTTY === true, env);
    const { name, command, wants, isJson, isSample, rest } = parseCommandLine(args, COMMANDS, program.command);
    if (wants === 'version') return ok([versionLine(program)]);
    if (command === undefined) return ok(helpLines(program, COMMANDS, services, paint));
    if (wants === 'help') return ok(commandHelpLines(program, name, command, paint));
    const context: CommandContext = { program, env, platform, stdin: () => io.stdin ?? process.stdin, paint, width: widthOf(stdout), isJson, isSample, args: rest };
    return toResult(await command.run(context), isJson);
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): Result {
  if (error instanceof CliFailure) return { output: '', problems: [error.message], exitCode: error.exitCode };
  // Nobody's mistake but ours: still one line, since a stack trace helps no one who asked for the status.
  const kind = error instanceof Error ? error.name : 'an unknown error';
  return { output: '', problems: [`failed unexpectedly (${kind}); please report it`], exitCode: EXIT.failure };
}

function ok(lines: readonly string[]): Result {
  return { output: textOf(lines), problems: [], exitCode: EXIT.ok };
}

function toResult({ lines, json, problems = [], exitCode = EXIT.ok }: Answer, isJson: boolean): Result {
  return { output: isJson ? `${JSON.stringify(json, undefined, 2)}\n` : textOf(lines), problems, exitCode };
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
