import type { ExecutionContext } from 'ava';

/** The calls by which a host publishes an event. */
export const HOOKS = [
  'publish',
  'bus.publish',
  'dag_run.success',
  'dag_run.failed',
  'task_instance.success',
  'task_instance.failed',
] as const;
export type Hook = (typeof HOOKS)[number];

/** What `fault-child` is told. */
export interface FaultChildSettings {
  endpoint: string;
  proxy?: string;
  /** Name servers to ask in place of the system's. */
  nameServers?: readonly string[];
  hooks: readonly Hook[];
  /** How often each hook is called, and how long the host pauses after each time. @default 20 times, 5 ms */
  rounds?: number;
  pauseMs?: number;
  /** Whether the host keeps its event loop busy in its pauses. */
  isBusy?: boolean;
  /** How long each turn of the event loop takes, in milliseconds. @default as long as it takes */
  turnMs?: number;
  /** A port of loopback to which the child connects as it begins. */
  startPort?: number;
}

/** What a child is pointed at. */
export interface FaultSite {
  /** The settings of the child. */
  where: Omit<FaultChildSettings, 'hooks'>;
  /** Variables of the child. */
  env?: NodeJS.ProcessEnv;
  /** Number of requests that were answered with 2xx. */
  answered2xx: () => number;
  /** Connections to a host that must not be contacted. */
  strayConnections?: () => number;
}

/** One way in which a network fails. */
export interface NetworkFault {
  readonly name: string;
  /** At least one of these reasons is in the report, or in the log for a deferred event. An empty list: events arrive. */
  readonly told: readonly string[];
  /** How many of the events may be lost, if they arrive. @default any number but all of them */
  readonly mostLost?: number;
  /** A variant of another fault, for `npm run test:faults` only, which keeps `npm test` fast. */
  readonly variant?: true;
  /** Starts the fault. It stops at the end of the test. */
  readonly begin: (t: ExecutionContext) => Promise<FaultSite>;
}
