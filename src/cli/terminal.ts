/*
 * Standard input and output of the command: colours, width, columns, and writing without an exception.
 */
import { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { errorCode } from '../base/describe.js';
import type { Environment, Platform } from '../base/platform-types.js';
import { trustedText } from '../opt-out/variables.js';

/**
 * A stream for text: one of Node's, or any object with `write()`.
 *
 * @example
 * const text: string[] = [];
 * const stream: CliStream = { write: (part) => text.push(part), isTTY: false };
 */
export interface CliStream {
  /** Writes a text. @throws What it throws is caught: if standard output cannot be written, the exit code is 1. */
  write(text: string): unknown;
  /** Whether it is a terminal. Only a terminal gets colours. @default false */
  isTTY?: boolean | undefined;
  /** The width of the terminal in characters. @default 100 */
  columns?: number | undefined;
}

/**
 * The input and output of a command. What is left out is that of this process.
 *
 * @example
 * const io: CliIo = { stdout: process.stderr, env: { HOME: '/home/ada', DO_NOT_TRACK: '1' }, platform: 'linux' };
 */
export interface CliIo {
  /** Where the result is written. @default process.stdout */
  stdout?: CliStream | undefined;
  /** Where problems are written, a line each. @default process.stderr */
  stderr?: CliStream | undefined;
  /** Read by `preview -` only. */
  stdin?: AsyncIterable<Uint8Array | string> | undefined;
  /** The variables with the opt-outs and the paths of files. @default process.env */
  env?: Environment | undefined;
  /** The platform whose usual places for files apply. @default process.platform */
  platform?: Platform | undefined;
  /** Whether standard output is a terminal. @default stdout.isTTY */
  isTTY?: boolean | undefined;
}

/** Adds colours to text on a terminal; elsewhere it returns the text unchanged. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

/** The most characters in a line. */
export const TEXT_WIDTH = 100;
const MIN_WIDTH = 60;

/** Colours are for terminals, and off if `NO_COLOR` (no-color.org) is not empty. */
export function paintFor(isTTY: boolean, env: Environment): Paint {
  const isColourful = isTTY && (trustedText(env, 'NO_COLOR') ?? '') === '' && trustedText(env, 'TERM') !== 'dumb';
  const style = (format: 'bold' | 'dim' | 'green' | 'yellow') => (text: string) =>
    isColourful ? styleText(format, text, { validateStream: false }) : text;
  return { strong: style('bold'), dim: style('dim'), good: style('green'), bad: style('yellow') };
}

/** How wide a text may be: as wide as the terminal, from 60 to 100 characters; 100 without a terminal. */
export function widthOf(stream: CliStream): number {
  return stream.isTTY === true && stream.columns !== undefined ? Math.max(MIN_WIDTH, Math.min(stream.columns, TEXT_WIDTH)) : TEXT_WIDTH;
}

/**
 * Writes a text and waits until it is written. Never throws.
 *
 * @returns Why it could not be written: a code such as `ENOSPC`. `EPIPE` is no error: the reader has ended, as in `| head`.
 */
export async function writeTo(stream: CliStream, text: string): Promise<string | undefined> {
  const code = await tryToWrite(stream, text);
  return code === READER_ENDED ? undefined : code;
}

/** The code of a stream whose reader has ended, as in `| head`. */
export const READER_ENDED = 'EPIPE';

/** The same, for what goes on writing: it has to know that the reader has ended. */
export function tryToWrite(stream: CliStream, text: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const done = (error: unknown): void => {
      resolve(error === undefined || error === null ? undefined : errorCode(error));
    };
    try {
      if (!(stream instanceof Writable)) {
        stream.write(text);
        done(undefined);
        return;
      }
      // Without a listener Node ends the process with a stack trace. The event comes after the callback, which handles the error.
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

function ignore(): void {}

const GAP = 2;

/**
 * Lays out rows in columns. The last column is wrapped to the rest of the width. A cell that is wider than its column has a line of
 * its own.
 *
 * @param widest The largest width of each column but the last, in characters.
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

/** Lines of at most this width. A longer word has its own line. */
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
