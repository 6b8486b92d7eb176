import type { Clock } from '../../timing.js';
import type { Entry } from './entry.js';
import type { GroupCommit } from './group-commit.js';
import type { PendingEvents } from './pending-events.js';
import type { Segments } from './segments.js';
import type { Tenure } from './tenure.js';
import { within } from '../within.js';

/** What there is to be ended. */
export interface EndingParts {
  readonly commit: GroupCommit;
  readonly segments: Segments;
  readonly tenure: Tenure;
  readonly pending: PendingEvents<Entry>;
  readonly clock: Clock;
}

/**
 * Writes down what is not written yet, and lets the directory go. A disk that does not answer is waited for no longer than `withinMs`;
 * the directory stays ours until it has. Never rejects.
 *
 * @returns How many events are not known to be on disk.
 */
export async function endSpool({ commit, segments, tenure, pending, clock }: EndingParts, withinMs: number | undefined): Promise<number> {
  let isOurs = false;
  let givenUp: readonly Entry[] = [];
  const finish = async (): Promise<void> => {
    await commit.close(pending.length > 0);
    try {
      // They were counted as lost: found by the next process, they would be counted twice.
      segments.settle(givenUp);
    } catch (error) {
      commit.fail(error);
    }
    await segments.close();
    isOurs = tenure.isHeld;
    await tenure.end();
  };
  const finishing = finish();
  let inDoubt: ReadonlySet<Entry> = new Set();
  if (withinMs === undefined) await finishing;
  else if (!(await within(finishing, withinMs, clock))) {
    inDoubt = commit.abandon();
    isOurs = tenure.isHeld;
  }
  const lost = [...pending.all()].filter((entry) => entry.segment === undefined || inDoubt.has(entry) || !isOurs);
  givenUp = lost.filter((entry) => inDoubt.has(entry));
  // Those that have no place on disk yet are to get none.
  for (const entry of givenUp) entry.isSettled = true;
  return lost.length;
}
