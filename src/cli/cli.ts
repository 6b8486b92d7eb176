import { createRequire } from 'node:module';
import { CliFailure, EXIT, parseCommandLine } from './command.js';
import type { Answer, Command, CommandContext, Service } from './command.js';
import { events } from './events.js';
import { preview } from './preview.js';
import { toProgram } from './program.js';
import type { Program, TelemetryCliOptions } from './program.js';
import { status } from './status.js';
import { disable, enable } from './switch.js';
import { paintFor, widthOf, writeTo } from './terminal.js';
import type { CliIo, Paint } from './terminal.js';

const OPTIONS = [
  ['--json', 'answer for machines: one JSON value on standard output'],
  ['--help', 'show this, or the help of a command'],
  ['--version', 'show the version'],
] as const;

const SAMPLE = ['--sample', 'show one event of each kind instead'] as const;

/** The end of every help. */
const EXIT_CODES = [
  '0  done; also where an opt-out keeps telemetry off, which is an answer and no failure',
  '1  failure: a file cannot be read, understood or written to',
  '2  usage: an unknown command, option or event',
];

/** What `--help` prints. */
export function helpLines(
  program: Program,
  commands: ReadonlyMap<string, Command>,
  services: ReadonlyMap<string, Service>,
  paint: Paint,
): string[] {
  const rows = [...commands, ...services].map(([name, { usage, summary }]) => [`${name} ${usage}`.trim(), summary] as const);
  return [
    `${paint.strong('Usage:')} ${program.command} COMMAND [options]`,
    '',
    `See what telemetry of ${program.product.name} would send, and decide whether it may. ${sends(services)}`,
    '',
    paint.strong('Commands:'),
    ...columns(rows),
    ...ending(OPTIONS, paint),
  ];
}

function sends(services: ReadonlyMap<string, Service>): string {
  return services.size === 0 ? 'None of this sends anything.' : `None of this sends anything but ${[...services.keys()].join(' and ')}.`;
}

/** What `COMMAND --help` prints. */
export function commandHelpLines(program: Program, name: string, command: Command, paint: Paint): string[] {
  return [
    `${paint.strong('Usage:')} ${[program.command, name, command.usage, '[options]'].filter((part) => part !== '').join(' ')}`,
    '',
    command.summary,
    '',
    ...command.help,
    ...ending(command.takesSample === true ? [SAMPLE, ...OPTIONS] : OPTIONS, paint),
  ];
}

function ending(options: readonly (readonly [string, string])[], paint: Paint): string[] {
  return ['', paint.strong('Options:'), ...columns(options), '', paint.strong('It ends with:'), ...EXIT_CODES.map((line) => `  ${line}`)];
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

/** What `--version` prints: the program's version where it is known, and this package's. */
export function versionLine({ product, command }: Program): string {
  const own = `cosmos-telemetry ${packageVersion()}`;
  return product.version === undefined ? own : `${command}: ${product.name} ${product.version}, ${own}`;
}

/** Asked of package.json when somebody asks, so that it stands in one place. */
function packageVersion(): string {
  try {
    const { version } = createRequire(import.meta.url)('cosmos-telemetry/package.json') as { version: string };
    return version;
  } catch {
    // A bundler has put it where no package.json is.
    return '(version unknown)';
  }
}

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
      const answer =
        service === undefined ? await answerTo(program, services, args, { ...io, stdout }) : await served(program, service, rest, io);
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
    const context: CommandContext = {
      program,
      env,
      platform,
      stdin: () => io.stdin ?? process.stdin,
      paint,
      width: widthOf(stdout),
      isJson,
      isSample,
      args: rest,
    };
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
