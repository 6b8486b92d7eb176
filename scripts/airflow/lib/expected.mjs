// The final state of each DAG of `dags/jaffle_shop.py` and its number of Cosmos events: written by hand, from Cosmos' sources.

/** `tasks` counts attempts of Cosmos' own tasks and of subclasses. `runs` is 0 if no task is of a module of Cosmos. */
export const EXPECTED = {
  succeeds: { state: 'success', tasks: 2, runs: 1 },
  fails: { state: 'failed', tasks: 1, runs: 1 },
  retries: { state: 'success', tasks: 2, runs: 1 },
  maps: { state: 'success', tasks: 2, runs: 1 },
  subclasses: { state: 'success', tasks: 1, runs: 0 },
  groups: { state: 'success', tasks: 1, runs: 1 },
  without_cosmos: { state: 'success', tasks: 0, runs: 0 },
};

export const ALL_DAGS = Object.keys(EXPECTED);

/** The number of events from one run of each of these DAGs. */
export function expectedEvents(dagIds) {
  return dagIds.reduce((sum, dagId) => sum + EXPECTED[dagId].tasks + EXPECTED[dagId].runs, 0);
}

/** Whether every run ended as it should. */
export function endedAsExpected(runs) {
  return runs.every(({ dagId, state }) => EXPECTED[dagId].state === state);
}
