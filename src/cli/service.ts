import type { CliIo } from './io.js';

/** A command that runs until it is told to end, and writes for itself. */
export interface Service {
  readonly summary: string;
  /** What may follow the name, as the help shows it. */
  readonly usage: string;
  /** @returns The exit code. @throws CliFailure */
  run(args: readonly string[], io: CliIo, program: string): Promise<number>;
}
