/*
 * Asks a person on a terminal, once. It is loaded late.
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
  /** Adds a listener. @throws What it throws is caught: then there is no answer. */
  on(event: string, listener: (chunk: unknown) => void): unknown;
  /** Removes a listener. It must never throw. */
  off(event: string, listener: (chunk: unknown) => void): unknown;
  /** Stops reading, so that the terminal does not hold the process. It must never throw. */
  pause(): unknown;
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

/** More than any answer. It ends the reading of a stream without lines. */
const MAX_ANSWER = 1024;

const YES = new Set(['y', 'yes']);

/** Writes the question and reads one line. @returns Whether it is a yes; undefined if the input ends before. Never rejects. */
export function askYesOrNo(question: string, input: ConsentInput, output: ConsentOutput): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    let typed = '';
    const onData = (chunk: unknown): void => {
      typed += String(chunk);
      const end = typed.search(/[\r\n]/);
      if (end !== -1) answer(YES.has(typed.slice(0, end).trim().toLowerCase()));
      else if (typed.length > MAX_ANSWER) answer(false);
    };
    const onEnd = (): void => answer(undefined);
    const listeners = { data: onData, end: onEnd, close: onEnd, error: onEnd };
    const answer = (isYes: boolean | undefined): void => {
      for (const { 0: event, 1: listener } of Object.entries(listeners)) input.off(event, listener);
      // Without this the terminal holds the process.
      input.pause();
      resolve(isYes);
    };
    try {
      output.write(`${question} [y/N] `);
      for (const { 0: event, 1: listener } of Object.entries(listeners)) input.on(event, listener);
    } catch {
      // The terminal is gone.
      resolve(undefined);
    }
  });
}
