// The exit codes of the command line, and the failure that carries one.

/** Exit codes. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** An exit code. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command. Its message is one line for standard error, and names the file or the option. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure' as const;
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = EXIT.failure) {
    super(message);
    this.exitCode = exitCode;
  }
}
