/*
 * What the commands that run until a signal have in common.
 */
import { readFile } from 'node:fs/promises';
import { errorCode, placeName } from '../base/describe.js';
import { CliFailure } from './exit-codes.js';

/** The signals that end a service. */
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Waits for the first signal. A second one then ends the process at once, since no handler is left. */
export function endOf(target: NodeJS.Process): { readonly signalled: Promise<void>; forget: () => void } {
  let resolveSignalled: (() => void) | undefined;
  const signalled = new Promise<void>((resolve) => {
    resolveSignalled = resolve;
  });
  const forget = (): void => {
    for (const signal of SIGNALS) target.off(signal, onSignal);
  };
  function onSignal(): void {
    forget();
    resolveSignalled?.();
  }
  for (const signal of SIGNALS) target.on(signal, onSignal);
  return { signalled, forget };
}

/** Reads the file of `--prefix-file`. @throws (rejects) CliFailure that names the file. */
export async function readPrefix(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new CliFailure(`${placeName(file, undefined)} cannot be read (${errorCode(error)})`);
  }
}
