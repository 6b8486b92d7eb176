import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { givenOptions } from '../base/check-options.js';
import type { SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import type { UsageMetrics } from '../wire/python.js';
import { Milestones } from './collected-request.js';
import { startCollector } from './collector.js';
import type { Collector } from './collector.js';

/** One event of one `send()`, as it was then. */
export interface RecordedEvent {
  /** Stable across attempts: an event that is sent again is recorded again, with the same id. */
  readonly id: string;
  readonly type: string;
  /** A copy of the metrics. */
  readonly metrics: Readonly<UsageMetrics>;
  /** `/v3/{type}?{query}`, what a request to an endpoint would have asked for. */
  readonly requestTarget: string;
}

/** What a recording transport answers: always the same, one outcome a `send()` (the last one repeats), or what a function says. */
export type OutcomeScript =
  | SendOutcome
  | readonly SendOutcome[]
  | ((event: RecordedEvent, index: number) => SendOutcome | Promise<SendOutcome>);

/** How `recordingTransport` behaves. */
export interface RecordingTransportOptions {
  /**
   * What becomes of each `send()`. A function is called once a `send()`, with the first event of the batch and the number of
   * sends before it; a promise that is still pending when the signal fires gives way to `aborted`. @default always `sent`
   */
  outcomes?: OutcomeScript;
  /** How many events one `send()` takes. @default 1 */
  maxBatchSize?: number;
}

/** A transport that keeps what it is handed, for tests. No network, no timers. */
export interface RecordingTransport extends Transport {
  /** Every event of every `send()`, in order, whatever became of it. Live: it grows as events arrive. */
  readonly events: readonly RecordedEvent[];
  /** Whether `close()` was called. */
  readonly closed: boolean;
  /** Resolves once `events` holds `count`, at once where it does; rejects when the transport was closed before. */
  waitFor(count: number): Promise<void>;
  /** Forgets the events. The outcomes go on where they were. */
  clear(): void;
}

/**
 * A transport that records instead of sending. Hand it to `createTelemetry({ transport })` and look at `events`.
 *
 * @throws TypeError when the list of outcomes is empty.
 */
export function recordingTransport(options: RecordingTransportOptions = {}): RecordingTransport {
  const { outcomes = { kind: 'sent' }, maxBatchSize } = givenOptions(options, ['outcomes', 'maxBatchSize']);
  const outcomeOf = scriptOf(outcomes);
  const events: RecordedEvent[] = [];
  const milestones = new Milestones('events');
  let sends = 0;
  let closed = false;
  return {
    ...(maxBatchSize === undefined ? {} : { maxBatchSize }),
    events,
    get closed() {
      return closed;
    },
    async send(batch, signal) {
      if (signal.aborted) return { kind: 'aborted' };
      const recorded = batch.map((event) => record(event));
      events.push(...recorded);
      milestones.reach(events.length);
      const outcome = outcomeOf(recorded[0], sends++);
      return 'kind' in outcome ? outcome : unlessAborted(outcome, signal);
    },
    close() {
      closed = true;
      milestones.close();
    },
    waitFor: (count) => milestones.wait(count),
    clear() {
      events.length = 0;
      milestones.reach(0);
    },
  };
}

function record(event: UsageEvent): RecordedEvent {
  return { id: event.id, type: event.type, metrics: { ...event.metrics }, requestTarget: event.requestTarget() };
}

function scriptOf(script: OutcomeScript): (event: RecordedEvent | undefined, index: number) => SendOutcome | Promise<SendOutcome> {
  if (typeof script === 'function') {
    return (event, index) => (event === undefined ? { kind: 'sent' } : script(event, index));
  }
  const list = (Array.isArray(script) ? [...script] : [script]) as SendOutcome[];
  const last = list.at(-1);
  if (last === undefined) throw new TypeError('recordingTransport: outcomes must not be an empty list');
  return (_event, index) => list[index] ?? last;
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

/**
 * A port of the loopback interface on which nobody listens: connections are refused. It was free a moment ago and is not held, so
 * ask for it when it is needed.
 */
export async function refusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

/** A server that takes connections and never reads a byte from them. */
export type SilentServer = Pick<Collector, 'url' | 'port' | 'connections' | 'openConnections' | 'unref' | 'close'> & AsyncDisposable;

/**
 * Starts a server that accepts and never reads: a connection is made, a request goes into the kernel's buffers, nothing comes back. The
 * nearest thing to a firewall that drops packets that a loopback interface has.
 */
export function silentServer(): Promise<SilentServer> {
  return startCollector({ faults: { kind: 'hang', after: 'connect' } });
}
