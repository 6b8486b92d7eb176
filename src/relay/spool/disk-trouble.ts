import { errorCode, SpoolError } from './errors.js';

/** What the operator is told of a disk that fails, without a word of the file system's own. */
export interface DiskTrouble {
  /** The code of the log line. */
  readonly code: string;
  readonly text: string;
}

const KEPT = 'events are kept in memory until it takes them again';

/** A disk that neither takes nor refuses. */
export const HANGS: DiskTrouble = { code: 'spool_hangs', text: `the disk of the spool does not answer; ${KEPT}` };

/** Sorts an error of the file system by what there is to mend. */
export function diskTrouble(error: unknown): DiskTrouble {
  if (error instanceof SpoolError) return { code: 'spool_refused', text: `${error.message} Meanwhile ${KEPT}` };
  const code = errorCode(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return { code: 'spool_no_space', text: `the disk of the spool is full (${code}); ${KEPT}` };
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return { code: 'spool_read_only', text: `the spool cannot be written (${code}); ${KEPT}` };
    case 'ENOENT':
      return { code: 'spool_gone', text: `the spool's directory or files were deleted; ${KEPT}` };
    default:
      return { code: 'spool_failed', text: `the disk of the spool fails (${code}); ${KEPT}` };
  }
}
