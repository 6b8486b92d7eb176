/*
 * The `telemetry` command as a whole: it finds the command, runs it, and writes what it returns; help and version are here.
 */
import { errorCode } from '../base/describe.js';
import { packageVersion } from '../base/package-version.js';
import { parseCommandLine } from './command.js';
import { CliFailure, EXIT, LIMITS } from './exit-codes.js';
import type { Command, CommandContext, CommandResult, Service } from './command.js';
import { events } from './events.js';
import { notice } from './notice.js';
import { preview } from './preview.js';
import { toProgram } from './program.js';
import type { Program, TelemetryCliOptions } from './program.js';
import { status } from './status.js';
import { disable, enable } from './switch.js';
import { columns, paintFor, TEXT_WIDTH, widthOf, writeTo } from './terminal.js';
import type { CliIo, Paint } from './terminal.js';

/**
 * A program's `telemetry` command.
 *
 * @example
 * const cli: TelemetryCli = createTelemetryCli({ product: { name: 'acme', version: '1.2.0' } });
 * const output: string[] = [];
 * console.log(await cli.run(['status'], { stdout: { write: (text) => output.push(text) } })); // 0
 */
export interface TelemetryCli {
  /**
   * Runs one command. It sends nothing, does not end the process, and never rejects.
   *
   * @param args The arguments after `acme telemetry`, such as `process.argv.slice(3)`.
   * @param io By default that of this process.
   * @returns The exit code: 0 success, 1 failure, 2 usage error. Set `process.exitCode` to it.
   */
  run(args: readonly string[], io?: CliIo): Promise<number>;
}

const HELP = 'help';

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['status', status],
  ['disable', disable],
  ['enable', enable],
  ['preview', preview],
  ['events', events],
  ['notice', notice],
]);

/**
 * The `telemetry` command of a product: status, disable, enable, preview, events and notice, with the product's own events, endpoint and
 * switches. Give it the options that `createTelemetry` gets.
 *
 * @param options The description of the product, as `createTelemetry` gets it.
 * @throws TypeError naming option and value, for a wrong or unknown option.
 * @example
 * const cli = createTelemetryCli({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * process.exitCode = await cli.run(['disable'], { stdout: { write: () => undefined } });
 * console.log(resolveSettings({ product: 'acme' }).enableTelemetry); // false
 */
export function createTelemetryCli(options: TelemetryCliOptions): TelemetryCli {
  return createTelemetryCliWith(options, new Map());
}

/** The same, with services: commands that run until a signal ends them. @internal */
export function createTelemetryCliWith(options: TelemetryCliOptions, services: ReadonlyMap<string, Service>): TelemetryCli {
  const program = toProgram(options);
  return {
    async run(given, io = {}) {
      const args = withoutHelpCommand(given);
      const { stdout = process.stdout, stderr = process.stderr } = io;
      const [name = '', ...rest] = args;
      const service = services.get(name);
      const result =
        service === undefined ? await runCommand(program, services, args, { ...io, stdout }) : await runService(program, service, rest, io);
      let { exitCode } = result;
      const lines = [...result.problems];
      const why = await writeTo(stdout, result.output);
      if (why !== undefined) {
        lines.push(`cannot write to standard output (${why})`);
        exitCode = EXIT.failure;
      }
      await writeTo(stderr, lines.map((line) => `${program.command}: ${line}\n`).join(''));
      return exitCode;
    },
  };
}

/** `help` and `help COMMAND` are the same as `--help` and `COMMAND --help`. */
function withoutHelpCommand(args: readonly string[]): readonly string[] {
  return args[0] === HELP ? [...args.slice(1), `--${HELP}`] : args;
}

/** What the process writes, and its exit code. */
interface ProcessResult {
  /** For standard output. */
  readonly output: string;
  /** For standard error, a line each. */
  readonly problems: readonly string[];
  readonly exitCode: number;
}

async function runService(program: Program, service: Service, args: readonly string[], io: CliIo): Promise<ProcessResult> {
  try {
    return { output: '', problems: [], exitCode: await service.run(args, io, program.command) };
  } catch (error) {
    return failed(error);
  }
}

async function runCommand(
  program: Program,
  services: ReadonlyMap<string, Service>,
  args: readonly string[],
  io: CliIo,
): Promise<ProcessResult> {
  try {
    const { stdout = process.stdout, env = process.env, platform = process.platform } = io;
    const paint = paintFor(io.isTTY ?? stdout.isTTY === true, env);
    const { name, command, wants, isJson, isSample, rest } = parseCommandLine(args, COMMANDS, program.command);
    if (wants === 'version') return ok([versionLine(program)]);
    if (command === undefined) return ok(helpLines(program, services, paint));
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
    return toProcessResult(await command.run(context), isJson);
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): ProcessResult {
  if (error instanceof CliFailure) return { output: '', problems: [error.message], exitCode: error.exitCode };
  // Each command loads its own files: a limit of the machine can end that.
  const limit = LIMITS.get(errorCode(error));
  if (limit !== undefined) return { output: '', problems: [limit], exitCode: EXIT.failure };
  // A bug of ours: still one line, since a stack trace does not help the user.
  const kind = error instanceof Error ? error.name : 'an unknown error';
  return { output: '', problems: [`failed unexpectedly (${kind}); please report it`], exitCode: EXIT.failure };
}

function ok(lines: readonly string[]): ProcessResult {
  return { output: textOf(lines), problems: [], exitCode: EXIT.ok };
}

function toProcessResult({ lines, json, problems = [], exitCode = EXIT.ok }: CommandResult, isJson: boolean): ProcessResult {
  return { output: isJson ? `${JSON.stringify(json, undefined, 2)}\n` : textOf(lines), problems, exitCode };
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** What `--version` prints: the program's version if it is known, and the package's. */
function versionLine({ product, command }: Program): string {
  const own = `cosmos-telemetry ${packageVersion()}`;
  return product.version === undefined ? own : `${command}: ${product.name} ${product.version}, ${own}`;
}

const OPTIONS = [
  ['--json', 'print one JSON value instead of text'],
  ['--help', 'show this help, or the help of a command'],
  ['--version', 'show the version'],
] as const;

const SAMPLE = ['--sample', 'show one sample event of each kind'] as const;

/** The end of every help. */
const EXIT_CODES = [
  '0  success, also if telemetry is off',
  '1  failure: a file cannot be read, parsed or written',
  '2  usage error: unknown command, option or event',
];

/** What `--help` prints. */
function helpLines({ command, product }: Program, services: ReadonlyMap<string, Service>, paint: Paint): string[] {
  const rows = [...COMMANDS, ...services].map(([name, { usage, summary }]) => [`${name} ${usage}`.trim(), summary] as const);
  const helpRow = [`${HELP} [COMMAND]`, 'Show this help, or the help of a command.'] as const;
  const sending = services.size === 0 ? 'No command sends events.' : `Only ${[...services.keys()].join(' and ')} sends events.`;
  return [
    `${paint.strong('Usage:')} ${command} COMMAND [options]`,
    '',
    `Show what telemetry of ${product.name} would send, and turn it on or off. ${sending}`,
    '',
    paint.strong('Commands:'),
    ...helpColumns([...rows, helpRow]),
    ...helpEnd(OPTIONS, paint),
  ];
}

/** What `COMMAND --help` prints. */
function commandHelpLines(program: Program, name: string, command: Command, paint: Paint): string[] {
  return [
    `${paint.strong('Usage:')} ${[program.command, name, command.usage, '[options]'].filter((part) => part !== '').join(' ')}`,
    '',
    command.summary,
    '',
    ...command.help,
    ...helpEnd(command.takesSample === true ? [SAMPLE, ...OPTIONS] : OPTIONS, paint),
  ];
}

function helpEnd(options: readonly (readonly [string, string])[], paint: Paint): string[] {
  const codes = EXIT_CODES.map((line) => `  ${line}`);
  return ['', paint.strong('Options:'), ...helpColumns(options), '', paint.strong('Exit codes:'), ...codes];
}

function helpColumns(rows: readonly (readonly [string, string])[]): string[] {
  return columns(rows, [TEXT_WIDTH], TEXT_WIDTH, '  ');
}
