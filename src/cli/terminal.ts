import { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { readProblem } from '../base/describe.js';
import { trustedText } from '../opt-out/variables.js';

/** Somewhere to write text: a stream of node, or a test's own. */
export interface CliStream {
  write(text: string): unknown;
  /** Whether somebody looks at it: only then are there colours. */
  isTTY?: boolean | undefined;
  /** How many characters a line of the terminal has. */
  columns?: number | undefined;
}

/** What a command talks to. Whatever is left out is the process's own. */
export interface CliIo {
  stdout?: CliStream;
  stderr?: CliStream;
  /** Read by `preview -` alone. */
  stdin?: AsyncIterable<Uint8Array | string>;
  env?: NodeJS.ProcessEnv;
  /** Whose usual places for files are looked at. */
  platform?: NodeJS.Platform;
  /** Whether standard output is a terminal. @default stdout.isTTY */
  isTTY?: boolean;
}

/** Marks parts of a text for the eye; the text as it is where nobody looks. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

const WIDTH = 100;
const MIN_WIDTH = 60;

/** What happened is told to the callback of the write. */
function ignore(): void {}

/** Colours only on a terminal, and not where `NO_COLOR` (no-color.org) holds anything. */
export function paintFor(isTTY: boolean, env: NodeJS.ProcessEnv): Paint {
  const isColourful = isTTY && (trustedText(env, 'NO_COLOR') ?? '') === '' && trustedText(env, 'TERM') !== 'dumb';
  const style = (format: 'bold' | 'dim' | 'green' | 'yellow') => (text: string) =>
    isColourful ? styleText(format, text, { validateStream: false }) : text;
  return { strong: style('bold'), dim: style('dim'), good: style('green'), bad: style('yellow') };
}

/** How wide a text may be: the terminal's width within bounds, and a fixed one where there is none. */
export function widthOf(stream: CliStream): number {
  return stream.isTTY === true && stream.columns !== undefined ? Math.max(MIN_WIDTH, Math.min(stream.columns, WIDTH)) : WIDTH;
}

/**
 * Writes a text and waits until it is out. Never throws.
 *
 * @returns Why it could not be written: a code such as `ENOSPC`. A reader who has gone (`| head`) is no reason.
 */
export function writeTo(stream: CliStream, text: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const done = (error: unknown): void => {
      const why = error === undefined || error === null ? undefined : readProblem(error).why;
      resolve(why === 'EPIPE' ? undefined : why);
    };
    try {
      if (!(stream instanceof Writable)) {
        stream.write(text);
        done(undefined);
        return;
      }
      // Without a listener node would end the process with a stack trace; the event comes after the callback.
      stream.on('error', ignore);
      stream.write(text, (error) => {
        done(error);
        if (error === undefined || error === null) stream.off('error', ignore);
      });
    } catch (error) {
      done(error);
    }
  });
}

const GAP = 2;

/**
 * Rows in columns. The last column is wrapped to what is left of the width; a cell that is wider than its column has the line to
 * itself.
 *
 * @param widest How wide each column but the last may become, in characters.
 */
export function columns(rows: readonly (readonly string[])[], widest: readonly number[], width: number, indent: string): string[] {
  const widths = widest.map((limit, index) => Math.min(limit, Math.max(0, ...rows.map((row) => row[index]?.length ?? 0))));
  const left = widths.reduce((sum, each) => sum + each + GAP, indent.length);
  return rows.flatMap((row) => {
    const heads = row.slice(0, widths.length);
    const isWide = heads.some((cell, index) => cell.length > (widths[index] ?? 0));
    const head = indent + heads.map((cell, index) => cell.padEnd((widths[index] ?? 0) + GAP)).join('');
    const [first = '', ...rest] = wrap(row[widths.length] ?? '', width - left);
    const hanging = rest.map((line) => ' '.repeat(left) + line);
    return (isWide ? [head.trimEnd(), ' '.repeat(left) + first, ...hanging] : [head + first, ...hanging]).map((line) => line.trimEnd());
  });
}

/** Lines of at most this width; a word that is longer has a line to itself. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
