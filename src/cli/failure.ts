/** How a command ends, as its help says. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** One of the exit codes. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The end of a command, with one line for standard error that names the file or the option. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure' as const;
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = EXIT.failure) {
    super(message);
    this.exitCode = exitCode;
  }
}
