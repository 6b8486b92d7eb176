// The exit codes of the command line, the failure that carries one, and the limits of the machine that end a command.

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

/** What to do about a limit of the machine, by the error code of the system. */
export const LIMITS: ReadonlyMap<string, string> = new Map([
  ['EMFILE', 'this process may not open more files: raise its limit (`ulimit -n`, or LimitNOFILE of systemd)'],
  ['ENFILE', 'the machine has too many open files: close programs, or raise its limit (`sysctl fs.file-max`)'],
  ['ENOMEM', 'the machine has no memory left'],
  ['ENOBUFS', 'the machine has no memory left for a socket'],
]);
