/*
 * What a product other than `cosmos` reports of a run and of a task besides the counts: facts that the host may know. They are read by
 * names in the code, as in `task-instance.ts`.
 */
import { ignoreRejection } from '../base/foreign-values.js';
import type { MetricValue, UsageMetrics } from '../wire/python.js';
import { unlessUnreadable } from './host-reader.js';
import type { HostReader } from './host-reader.js';

/** What a run may say about itself. */
interface RunFacts {
  failedCount: unknown;
  retriedCount: unknown;
  skippedCount: unknown;
}

/** Adds what the host says about a run. */
export function addRunFacts(metrics: UsageMetrics, dagRun: object, reader: HostReader): void {
  const { failedCount, retriedCount, skippedCount } = runFacts(dagRun, reader);
  add(metrics, 'failed_count', plainFact(failedCount, 'failedCount', reader));
  add(metrics, 'retried_count', plainFact(retriedCount, 'retriedCount', reader));
  add(metrics, 'skipped_count', plainFact(skippedCount, 'skippedCount', reader));
}

function add(metrics: UsageMetrics, name: string, value: MetricValue | undefined): void {
  if (value !== undefined) metrics[name] = value;
}

/** A value that a field can hold; undefined for none and for one that cannot be used. */
function plainFact(value: unknown, name: string, reader: HostReader): MetricValue | undefined {
  return value === undefined ? undefined : unlessUnreadable(reader.plainValue(value, name) ?? undefined);
}

function runFacts(dagRun: object, reader: HostReader): RunFacts {
  const values: RunFacts = { failedCount: undefined, retriedCount: undefined, skippedCount: undefined };
  try {
    const source = dagRun as Partial<RunFacts>;
    values.failedCount = ignoreRejection(source.failedCount);
    values.retriedCount = ignoreRejection(source.retriedCount);
    values.skippedCount = ignoreRejection(source.skippedCount);
    return values;
  } catch {
    return reader.readAll(dagRun, values);
  }
}

/** What any workflow's task says about itself. */
interface TaskFacts {
  operatorName: unknown;
  callback: unknown;
}

export function taskFacts(task: object, reader: HostReader): TaskFacts {
  const values: TaskFacts = { operatorName: undefined, callback: undefined };
  try {
    const source = task as Partial<TaskFacts>;
    values.operatorName = ignoreRejection(source.operatorName);
    values.callback = ignoreRejection(source.callback);
    return values;
  } catch {
    return reader.readAll(task, values);
  }
}

/** Which attempt of a task ended. */
export function attemptOf(taskInstance: object, reader: HostReader): MetricValue | undefined {
  let attempt: unknown;
  try {
    attempt = ignoreRejection((taskInstance as { attempt?: unknown }).attempt);
  } catch {
    attempt = reader.unreadable('attempt');
  }
  return plainFact(attempt, 'attempt', reader);
}
