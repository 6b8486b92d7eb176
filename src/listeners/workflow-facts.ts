/*
 * What a product other than `cosmos` reports of a run and of a task besides the counts: facts that the host may know.
 */
import { unlessUnreadable } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { UsageMetrics } from '../wire/python.js';

/** The names of a run's optional facts: in the host's payload, and in the event. */
const RUN_FACTS = [
  ['failedCount', 'failed_count'],
  ['retriedCount', 'retried_count'],
  ['skippedCount', 'skipped_count'],
  ['duration', 'duration'],
] as const;

/** Adds what the host says about a run. */
export function addRunFacts(metrics: UsageMetrics, dagRun: object, reader: HostReader): void {
  for (const { 0: name, 1: field } of RUN_FACTS) {
    const value = unlessUnreadable(reader.plainValue(reader.read(dagRun, name), name) ?? undefined);
    if (value !== undefined) metrics[field] = value;
  }
}
