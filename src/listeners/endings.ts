/*
 * How a run or a task ended, where a host can say more than success or failure; and whether that was reported before.
 */
import { ignoreRejection, types } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Status } from '../events/dag-run.js';
import type { Fields } from '../events/definition.js';
import { UNREADABLE, unlessUnreadable } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { Outcome } from './host.js';

/** How one run or task ended. */
export interface Ending {
  readonly status: Outcome;
  /** Seconds; undefined if the host gives neither a duration nor both times. */
  readonly duration: number | undefined;
}

/** The event of a run or of a task. */
type EndingEvent = 'dag_run' | 'task_instance';

/** The most ends that are remembered at a time, in each of two generations. An older one that comes again is counted again. */
const MAX_REMEMBERED = 10_000;

/** Longer texts are no ids: remembered by the thousand, they would hold much memory. */
const MAX_ID_LENGTH = 256;

/** Reads how runs and tasks ended. */
export class Endings {
  readonly #reader: HostReader;
  readonly #ledger: Ledger;
  #recent = new Set<string>();
  #older = new Set<string>();

  constructor(reader: HostReader, ledger: Ledger) {
    this.#reader = reader;
    this.#ledger = ledger;
  }

  /**
   * @param named What the name of the event says.
   * @param source The run or the task instance.
   * @returns undefined for what is not to be reported: it is no end, its outcome is not declared, or it was reported before.
   */
  of(event: EndingEvent, named: Status, source: object, fields: Fields): Ending | undefined {
    const values = endValues(source, this.#reader);
    // A run that is tried again has not ended. Each attempt of a task has.
    if (event === 'dag_run' && values.willRetry === true) return undefined;
    const status = this.#statusOf(values.status, named);
    if (status !== named && fields['status']?.accepts(status) !== true) return undefined;
    if (this.#isKnown(event, status, source, values)) {
      this.#ledger.refuse('duplicate');
      return undefined;
    }
    return { status, duration: this.#durationOf(values) };
  }

  #statusOf(status: unknown, named: Status): Outcome {
    if (status === undefined || status === null || status === UNREADABLE) return named;
    if (isOutcome(status)) return status;
    this.#reader.unreadable('status');
    return named;
  }

  /** Recognised only where a run has an id, and a task has one, too: without ids two tasks would count as one. */
  #isKnown(event: EndingEvent, status: Outcome, source: object, values: EndValues): boolean {
    const runId = idOf(values.runId);
    if (runId === undefined) return false;
    let key = `${event} ${status} ${runId} ${idOf(values.attempt) ?? ''}`;
    if (event === 'task_instance') {
      const taskId = idOf(this.#reader.read(source, 'taskId'));
      if (taskId === undefined) return false;
      key += ` ${taskId} ${idOf(this.#reader.read(source, 'mapIndex')) ?? '-1'}`;
    }
    if (this.#recent.has(key) || this.#older.has(key)) return true;
    if (this.#recent.size >= MAX_REMEMBERED) {
      this.#older = this.#recent;
      this.#recent = new Set();
    }
    this.#recent.add(key);
    return false;
  }

  #durationOf({ duration, startedAt, endedAt }: EndValues): number | undefined {
    const reader = this.#reader;
    if (duration === UNREADABLE) return undefined;
    if (duration !== undefined && duration !== null) return unlessUnreadable(reader.plainValue(duration, 'duration')) as number | undefined;
    const startedAtMs = this.#timeOf(startedAt, 'startedAt');
    const endedAtMs = this.#timeOf(endedAt, 'endedAt');
    if (startedAtMs === undefined || endedAtMs === undefined) return undefined;
    const elapsed = (endedAtMs - startedAtMs) / 1000;
    // A clock that was set back meanwhile.
    if (elapsed >= 0) return elapsed;
    reader.unreadable('endedAt');
    return undefined;
  }

  #timeOf(value: unknown, name: string): number | undefined {
    if (value === undefined || value === null || value === UNREADABLE) return undefined;
    const timeMs = types.isDate(value) ? Date.prototype.getTime.call(value) : value;
    if (typeof timeMs === 'number' && Number.isFinite(timeMs)) return timeMs;
    this.#reader.unreadable(name);
    return undefined;
  }
}

/** What is read of each run and task. */
interface EndValues {
  status: unknown;
  willRetry: unknown;
  runId: unknown;
  attempt: unknown;
  duration: unknown;
  startedAt: unknown;
  endedAt: unknown;
}

/** Reads by names in the code: a name in a variable costs ten times as much, on the host's path. */
function endValues(source: object, reader: HostReader): EndValues {
  const values: EndValues = {
    status: undefined,
    willRetry: undefined,
    runId: undefined,
    attempt: undefined,
    duration: undefined,
    startedAt: undefined,
    endedAt: undefined,
  };
  try {
    const given = source as Partial<EndValues>;
    values.status = ignoreRejection(given.status);
    values.willRetry = ignoreRejection(given.willRetry);
    values.runId = ignoreRejection(given.runId);
    values.attempt = ignoreRejection(given.attempt);
    values.duration = ignoreRejection(given.duration);
    values.startedAt = ignoreRejection(given.startedAt);
    values.endedAt = ignoreRejection(given.endedAt);
    return values;
  } catch {
    return reader.readAll(source, values);
  }
}

/** An id as a part of a key. As JSON: it may contain a space. */
function idOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.length > 0 && value.length <= MAX_ID_LENGTH ? JSON.stringify(value) : undefined;
  return typeof value === 'number' ? String(value) : undefined;
}

/** Whether a value is one of the words for an end. */
export function isOutcome(value: unknown): value is Outcome {
  return typeof value === 'string' && (OUTCOMES as readonly string[]).includes(value);
}

/** How a run or a task may end. */
const OUTCOMES: readonly Outcome[] = ['success', 'failed', 'skipped', 'cancelled', 'timed_out', 'cached'];
