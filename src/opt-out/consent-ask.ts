/*
 * Asks a person on a terminal. It is loaded late.
 */
import type { Environment } from '../base/platform-types.js';

/**
 * Where a person types: `process.stdin`, or any stream with these methods.
 *
 * @example
 * const input: ConsentInput = process.stdin;
 */
export interface ConsentInput {
  /** Only a terminal is asked. @default false */
  readonly isTTY?: boolean | undefined;
  /** Whether it is in raw mode. It is taken out of it for the question. @default false */
  readonly isRaw?: boolean | undefined;
  /** Changes the mode. It is called only if `isRaw`. @throws What it throws is caught. */
  setRawMode?: ((isRaw: boolean) => unknown) | undefined;
  /** Adds a listener. @throws What it throws is caught: then there is no answer. */
  on(event: string, listener: (chunk: unknown) => void): unknown;
  /** Removes a listener. @throws What it throws is caught. */
  off(event: string, listener: (chunk: unknown) => void): unknown;
  /** Stops reading, so that the terminal does not hold the process. @throws What it throws is caught. */
  pause(): unknown;
  /** Starts reading where the input was paused, as `readline` leaves it. @throws What it throws is caught: then there is no answer. */
  resume?: (() => unknown) | undefined;
}

/**
 * Where the question is written: `process.stdout`, `process.stderr`, or any object with `write()`.
 *
 * @example
 * const output: ConsentOutput = process.stderr;
 */
export interface ConsentOutput {
  /** Only a terminal is asked. @default false */
  readonly isTTY?: boolean | undefined;
  /** Writes a text. @throws What it throws is caught: then there is no answer. */
  write(text: string): unknown;
}

/** The variables by which build servers are known. `CI` is set by most. */
const CI_VARIABLES = ['CI', 'CONTINUOUS_INTEGRATION', 'BUILD_NUMBER', 'BUILD_ID', 'TF_BUILD', 'TEAMCITY_VERSION', 'JENKINS_URL'];

/** Whether a person may be asked here: on a terminal, and not on a build server, where nobody answers. */
export function mayAsk(input: ConsentInput, output: ConsentOutput, env: Environment): boolean {
  const isServer = CI_VARIABLES.some((name) => !['', '0', 'false', undefined].includes(env[name]?.toLowerCase()));
  return input.isTTY === true && output.isTTY === true && !isServer;
}

/** A question that the program may end. */
export interface OpenQuestion {
  isEnded: boolean;
  /** Called when the program ends it. */
  onEnd: () => void;
}

/** More than any answer. It ends the reading of a stream without lines. */
const MAX_ANSWER = 1024;

const ANSWERS: ReadonlyMap<string, boolean> = new Map([
  ['y', true],
  ['yes', true],
  ['n', false],
  ['no', false],
  ['', false],
]);

/** Ctrl-C, Ctrl-D and Ctrl-Z as characters: from a terminal that does not act on them, such as one behind a network. */
// oxlint-disable-next-line no-control-regex -- these are the characters
const LEAVES = /[\u0003\u0004\u001A]/;

const AGAIN = 'Please answer y (yes) or n (no). [y/N] ';

/**
 * Writes the question and reads a line; a second one if the first is neither a yes nor a no.
 *
 * @returns Whether it is a yes; undefined without an answer.
 */
export async function askYesOrNo(
  question: string,
  input: ConsentInput,
  output: ConsentOutput,
  open: OpenQuestion,
): Promise<boolean | undefined> {
  for (const text of [`${question} [y/N] `, AGAIN]) {
    const line = await ask(text, input, output, open);
    if (line === undefined) return undefined;
    const answer = ANSWERS.get(line.trim().toLowerCase());
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** @returns The line; undefined if the input ends before, or the person leaves. */
function ask(text: string, input: ConsentInput, output: ConsentOutput, open: OpenQuestion): Promise<string | undefined> {
  return new Promise((resolve) => {
    if (open.isEnded) {
      resolve(undefined);
      return;
    }
    const isRaw = input.isRaw === true;
    let typed = '';
    const onData = (chunk: unknown): void => {
      typed += String(chunk);
      const end = typed.search(/[\r\n]/);
      if (LEAVES.test(typed) || (end === -1 && typed.length > MAX_ANSWER)) leave();
      else if (end !== -1) answer(typed.slice(0, end));
    };
    const leave = (): void => {
      answer(undefined);
      try {
        // The cursor is still behind the question.
        output.write('\n');
      } catch {
        // The terminal is gone.
      }
    };
    const listeners = { data: onData, end: leave, close: leave, error: leave };
    const answer = (line: string | undefined): void => {
      open.onEnd = () => {};
      resolve(line);
      try {
        for (const { 0: event, 1: listener } of Object.entries(listeners)) input.off(event, listener);
        if (isRaw) input.setRawMode?.(true);
        // Without this the terminal holds the process.
        input.pause();
      } catch {
        // The terminal is gone.
      }
    };
    try {
      open.onEnd = leave;
      // In raw mode Ctrl-C is a character; otherwise the system sends SIGINT, as if no question were open.
      if (isRaw) input.setRawMode?.(false);
      for (const { 0: event, 1: listener } of Object.entries(listeners)) input.on(event, listener);
      input.resume?.();
      output.write(text);
    } catch {
      // The terminal is gone.
      answer(undefined);
    }
  });
}
