import type { Command } from './command.js';
import type { Paint } from './io.js';
import type { Program } from './program.js';
import type { Service } from './service.js';

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
export function helpLines(program: Program, commands: ReadonlyMap<string, Command>, services: ReadonlyMap<string, Service>, paint: Paint): string[] {
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
