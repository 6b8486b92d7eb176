/** A transport around an exporter of OpenTelemetry: foreign code, which may do anything with its callback. */
import type { Clock } from '../base/clock.js';
import { bare, onRejection } from '../base/foreign-values.js';
import type { SendSignal } from '../base/platform-types.js';
import { suppressTracing } from '../delivery/http/suppress-tracing.js';
import type { SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import { outcomeOfResult, unknownOutcome } from './outcomes.js';
import type { ResultRules } from './outcomes.js';
import { recordOf } from './records.js';
import type { OtelLogRecord, SharedParts } from './records.js';

/**
 * What an exporter calls back with: `ExportResult` of `@opentelemetry/core`.
 *
 * @example
 * const result: OtelExportResult = { code: 1, error: new Error('no answer') };
 */
export interface OtelExportResult {
  /** 0 if the records were exported, else 1. */
  code: number;
  /** Why they were not. Its code is read, its text is not shown. */
  error?: Error | undefined;
}

/**
 * An exporter of log records. `LogRecordExporter` of `@opentelemetry/sdk-logs` fits.
 *
 * @example
 * const exporter: OtelExporter = {
 *   export: (records, done) => {
 *     console.log(records.map(({ eventName }) => eventName).join(' ')); // acme.dag_run
 *     done({ code: 0 });
 *   },
 * };
 * const transport = otelTransport({ exporter, product: { name: 'acme', version: '1.2.0' } });
 * await transport.send([{ id: '7', type: 'dag_run', metrics: {}, requestTarget: () => '' }], new AbortController().signal);
 */
export interface OtelExporter {
  /**
   * Exports the records and calls back. A result is late after `timeoutMs`, and only the first one counts.
   *
   * @param records The records.
   * @param done To be called with the result.
   * @throws What it throws is not shown: its events count as failed, by `exporter_error`.
   */
  export(records: OtelLogRecord[], done: (result: OtelExportResult) => void): void;
  /** Exports what it holds. Called by `close()` if `handedOver` is true. @throws If it throws or rejects, so does `close()`. */
  readonly forceFlush?: (() => Promise<void>) | undefined;
  /** Ends it. Called by `close()` if `shutdownExporter` is true. @throws If it throws or rejects, so does `close()`. */
  readonly shutdown?: (() => Promise<void>) | undefined;
}

/** Checked options, with their defaults. */
export interface ExporterTransportSettings extends SharedParts, ResultRules {
  readonly exporter: OtelExporter;
  readonly maxBatchSize: number;
  readonly lingerMs: number;
  readonly timeoutMs: number;
  readonly shutdownExporter: boolean;
}

const ABORTED: SendOutcome = { kind: 'aborted' };
const CLOSED: SendOutcome = { kind: 'refused', reason: 'closed' };

/** Not shown: the log says that the transport could not be closed. */
class CloseError extends Error {}

/** node:events and jsdom read an option that is missing from a polluted `Object.prototype`. */
const ONCE = bare({ once: true });

/** Delivers by an exporter. */
export class ExporterTransport implements Transport {
  readonly maxBatchSize: number;
  readonly lingerMs: number;
  readonly #settings: ExporterTransportSettings;
  readonly #clock: Clock;
  #closing: Promise<void> | undefined;

  constructor(settings: ExporterTransportSettings, clock: Clock) {
    this.maxBatchSize = settings.maxBatchSize;
    this.lingerMs = settings.lingerMs;
    this.#settings = settings;
    this.#clock = clock;
  }

  send(events: readonly UsageEvent[], signal: SendSignal): Promise<SendOutcome> {
    if (signal.aborted) return Promise.resolve(ABORTED);
    if (this.#closing !== undefined) return Promise.resolve(CLOSED);
    return new Promise((resolve) => {
      let isSettled = false;
      const settle = (outcome: SendOutcome): void => {
        if (isSettled) return;
        isSettled = true;
        this.#clock.clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      const onAbort = (): void => settle(ABORTED);
      const timer = this.#clock.setTimeout(() => settle(unknownOutcome('timeout', this.#settings)), this.#settings.timeoutMs);
      timer.unref();
      signal.addEventListener('abort', onAbort, ONCE);
      this.#whenResourceIsComplete(() => {
        if (!isSettled) this.#export(events, settle);
      });
    });
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Detectors of a resource may still look for attributes. An attempt does not wait for longer than its own limit. */
  #whenResourceIsComplete(run: () => void): void {
    const { resource } = this.#settings;
    let waiting: unknown;
    try {
      if (resource.asyncAttributesPending === true) waiting = resource.waitForAsyncAttributes?.();
    } catch {
      // The attributes are sent as they are.
    }
    if (waiting === undefined) return run();
    void Promise.resolve(waiting).then(run, run);
  }

  #export(events: readonly UsageEvent[], settle: (outcome: SendOutcome) => void): void {
    const { exporter } = this.#settings;
    const failed = (): void => settle(unknownOutcome('exporter_error', this.#settings));
    let isImmediate = true;
    const done = (result: unknown): void => settle(outcomeOfResult(result, isImmediate, this.#settings));
    try {
      const records = events.map((event) => recordOf(event, this.#settings, this.#clock.wallNow()));
      // It returns nothing; an async one returns a promise.
      const returned: unknown = suppressTracing(() => exporter.export(records, done) as unknown);
      isImmediate = false;
      onRejection(returned, failed);
    } catch {
      failed();
    }
  }

  async #close(): Promise<void> {
    const { exporter, shutdownExporter, handedOver, timeoutMs } = this.#settings;
    if (!shutdownExporter && !handedOver) return;
    // Not at once: the promise of the first call is kept before foreign code may call again.
    await Promise.resolve();
    const limit = new Promise<never>((_resolve, reject) => {
      this.#clock.setTimeout(() => reject(new CloseError('The exporter did not end in time.')), timeoutMs).unref();
    });
    await Promise.race([suppressTracing(() => (shutdownExporter ? exporter.shutdown?.() : exporter.forceFlush?.())), limit]);
  }
}
