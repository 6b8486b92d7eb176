// A transport that records events instead of sending them.
import { givenOptions } from '../base/check-options.js';
import { steering } from '../delivery/transport.js';
import type { SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import type { FieldKind } from '../events/fields.js';
import type { UsageMetrics } from '../wire/python.js';
import { CountWaiters } from './count-waiters.js';

/**
 * A copy of one event, made when `send()` was called.
 *
 * @example
 * const transport = recordingTransport();
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: testEnvironment('acme') });
 * telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
 * await transport.waitFor(2);
 * const events: readonly RecordedEvent[] = transport.events;
 * console.log(events.map(({ type }) => type).join()); // dag_run,task_instance
 */
export interface RecordedEvent {
  /** The same for all attempts: an event that is sent again is recorded again with its id. */
  readonly id: string;
  /** When it was published, in milliseconds since 1970; undefined if the event has no time. */
  readonly timeMs: number | undefined;
  /** The event type. */
  readonly type: string;
  /** The metrics at that time. */
  readonly metrics: Readonly<UsageMetrics>;
  /** Path and query of the request that an HTTP transport would make. @example '/v3/dag_run?status=success' */
  readonly requestTarget: string;
  /** The declared kinds of the metrics, for those whose kind is known. @example { status: 'oneOf', duration: 'duration' } */
  readonly kinds: Readonly<Record<string, FieldKind>>;
}

/**
 * The outcomes of a recording transport: one for all sends; a list, used in order, whose last entry repeats; or a function.
 *
 * @example
 * const outcomes: OutcomeScript = (event) => (event.type === 'dag_run' ? { kind: 'sent' } : { kind: 'refused', reason: 'unwanted' });
 */
export type OutcomeScript =
  | SendOutcome
  | readonly SendOutcome[]
  | ((event: RecordedEvent, index: number) => SendOutcome | Promise<SendOutcome>);

/**
 * Options of `recordingTransport`.
 *
 * @example
 * const options: RecordingTransportOptions = { outcomes: { kind: 'rejected', reason: 'http_400' }, maxBatchSize: 10 };
 * const transport = recordingTransport(options);
 */
export interface RecordingTransportOptions {
  /**
   * The outcome of each `send()`. A function is called once per `send()` with the first event of the batch and the number of sends
   * before it. It may return a promise; if the signal aborts first, the outcome is `aborted`.
   * @default { kind: 'sent' }
   * @example [{ kind: 'retryable', reason: 'http_503' }, { kind: 'sent' }]
   */
  outcomes?: OutcomeScript | undefined;
  /** The most events per `send()`. @default 1 */
  maxBatchSize?: number | undefined;
  /** How long a batch waits for further events, in milliseconds. @default 0 */
  lingerMs?: number | undefined;
  /** The most bytes per `send()`. @default no limit */
  maxBatchBytes?: number | undefined;
  /** The size of an event, in bytes. @default the length of its request target in UTF-8 */
  bytesOf?: ((event: UsageEvent) => number) | undefined;
}

/**
 * A transport for tests that keeps its events. It uses no network and no timers.
 *
 * @example
 * const transport: RecordingTransport = recordingTransport();
 * console.log(transport.events.length, transport.closed); // 0 false
 */
export interface RecordingTransport extends Transport {
  /** All events of all sends, in order, whatever their outcome. The list grows as events arrive. */
  readonly events: readonly RecordedEvent[];
  /** True after `close()`. */
  readonly closed: boolean;
  /**
   * Resolves when `events` has at least `count` entries. Rejects when the transport closes before that, or when its client is off: the
   * message names what opts out.
   *
   * @throws (rejects) Error with the number of events that arrived.
   */
  waitFor(count: number): Promise<void>;
  /** Empties `events`. A list of outcomes continues where it was. Never throws. */
  clear(): void;
}

/**
 * Makes a transport that records events instead of sending them. Give it to `createTelemetry({ transport, env: testEnvironment('acme') })`
 * and read `events`. Without such an `env` an opt-out of the machine holds for the test, too: Node then prints a warning that names it.
 *
 * @param options By default each event is `sent`, one at a time.
 * @throws TypeError for an empty list of outcomes.
 * @example
 * const transport = recordingTransport();
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: testEnvironment('acme') });
 * telemetry.reportRun({ status: 'failed', tasks: [{ owned: true, status: 'failed' }] });
 * await transport.waitFor(2);
 * console.log(transport.events[0]?.metrics['status']); // failed
 */
export function recordingTransport(options: RecordingTransportOptions = {}): RecordingTransport {
  const { outcomes = { kind: 'sent' } } = givenOptions(options, ['outcomes']);
  const outcomeOf = scriptOf(outcomes);
  const events: RecordedEvent[] = [];
  const waiters = new CountWaiters('events');
  let sends = 0;
  let closed = false;
  return {
    ...givenOptions<Partial<Transport>>(options, ['maxBatchSize', 'lingerMs', 'maxBatchBytes', 'bytesOf']),
    events,
    get closed() {
      return closed;
    },
    async send(batch, signal) {
      if (signal.aborted) return { kind: 'aborted' };
      const recorded = batch.map((event) => record(event));
      events.push(...recorded);
      waiters.reach(events.length);
      const outcome = outcomeOf(recorded[0], sends++);
      return 'kind' in outcome ? outcome : unlessAborted(outcome, signal);
    },
    close() {
      closed = true;
      waiters.close();
    },
    [steering]: {
      optedOut({ name, source }, isMachine) {
        const where = source.path ?? (source.kind === 'env' ? 'the environment' : 'the program');
        const why = `Telemetry is off because of ${name} in ${where}`;
        if (isMachine)
          process.emitWarning(`${why}, so nothing is recorded; testEnvironment() makes an \`env\` without opt-outs.`, 'TelemetryWarning');
        waiters.close(`${why}: ended`);
      },
    },
    waitFor: (count) => waiters.wait(count),
    clear() {
      events.length = 0;
      waiters.reach(0);
    },
  };
}

function record(event: UsageEvent): RecordedEvent {
  const { id, timeMs, type } = event;
  const metrics = { ...event.metrics };
  const kinds: Record<string, FieldKind> = {};
  for (const name of Object.keys(metrics)) {
    const kind = event.kindOf?.(name);
    if (kind !== undefined) kinds[name] = kind;
  }
  return { id, timeMs, type, metrics, requestTarget: event.requestTarget(), kinds };
}

function scriptOf(script: OutcomeScript): (event: RecordedEvent | undefined, index: number) => SendOutcome | Promise<SendOutcome> {
  if (typeof script === 'function') {
    return (event, index) => (event === undefined ? { kind: 'sent' } : script(event, index));
  }
  const list = (Array.isArray(script) ? [...script] : [script]) as SendOutcome[];
  const last = list.at(-1);
  if (last === undefined) throw new TypeError('recordingTransport: outcomes must not be an empty list');
  return (_event, index) => list.at(index) ?? last;
}

function unlessAborted(outcome: PromiseLike<SendOutcome>, signal: AbortSignal): Promise<SendOutcome> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      resolve({ kind: 'aborted' });
    };
    signal.addEventListener('abort', onAbort, { once: true });
    void Promise.resolve(outcome)
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener('abort', onAbort);
      });
  });
}
