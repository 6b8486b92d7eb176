// What a process of act 3 measures of itself, and tells its parent.
import type { TelemetryStats } from 'cosmos-telemetry';
import type { Orchestrator } from './orchestrator.js';

/** Where each event is in the end. */
export type Account = Pick<TelemetryStats, 'published' | 'sent' | 'failed' | 'dropped' | 'pending'>;

/** The first message: everything is published, and the client begins to end. */
export interface Published {
  medianUs: number;
  p99Us: number;
  slowestUs: number;
}

/** The second message: the client has ended. */
export interface Ended {
  account: Account;
  reasons?: Readonly<Record<string, number>>;
  /** Processor time of the process, from the first event on. */
  cpuUs: number;
}

/** Runs the flow and tells how long the listeners of the host took; then ends the client and tells what became of its events. */
export async function measure(host: Orchestrator, runs: number, end: () => Promise<Pick<Ended, 'account' | 'reasons'>>): Promise<void> {
  const before = process.cpuUsage();
  await host.run(runs);
  const sorted = host.hookUs.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  tell({ medianUs: at(0.5), p99Us: at(0.99), slowestUs: at(1) });
  const ended = await end();
  const { user, system } = process.cpuUsage(before);
  tell({ ...ended, cpuUs: user + system });
}

function tell(message: Published | Ended): void {
  process.send?.(message);
}
