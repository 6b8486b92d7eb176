import type { TelemetryBus } from './bus.js';
import type { EventDefinition } from './events/definition.js';
import type { HostEmitter } from './host.js';
import type { TelemetryStats } from './ledger.js';
import type { EventNames } from './listeners/register.js';

/** What `drain()` and `close()` tell: the accounts since construction, and how the wait ended. */
export interface DrainReport extends TelemetryStats {
  /** Whether the deadline came before everything was over. */
  timedOut: boolean;
  durationMs: number;
}

/** Usage telemetry of one product. Nothing it does throws into the host, waits on its path, or keeps it alive. */
export interface Telemetry<P extends string = string, E extends readonly EventDefinition[] = []> extends AsyncDisposable {
  /** Whether anything may happen, as of now: ask it before gathering what is expensive to gather. */
  readonly enabled: boolean;
  readonly bus: TelemetryBus<P, E>;
  /**
   * Listens to a host's lifecycle events. A host that is listened to already stays as it is; nothing happens when an opt-out
   * applies or after `close()`.
   *
   * @param options.events Other names for the host's events, where it does not use ours.
   * @returns A function that undoes it.
   * @throws TypeError for a host that cannot be listened to, or names that are none.
   */
  register(host: HostEmitter, options?: { events?: EventNames | undefined }): () => void;
  /** Publishes one event of a declared type: `bus.publish`, for short. */
  publish: TelemetryBus<P, E>['publish'];
  /** The accounts at this instant: `published = sent + failed + dropped + pending`. */
  stats(): TelemetryStats;
  /**
   * A checkpoint: waits for what was accepted before the call, with `drainConcurrency`. At the deadline it reports, and
   * aborts nothing. Never rejects.
   *
   * @param options.deadlineMs @default 2000
   */
  drain(options?: { deadlineMs?: number | undefined }): Promise<DrainReport>;
  /**
   * Leaves all hosts, takes nothing more, delivers what the deadline allows with one attempt each, then aborts and accounts
   * for the rest. Once only: a second call gets the first one's promise. Never rejects.
   *
   * @param options.deadlineMs @default 2000
   */
  close(options?: { deadlineMs?: number | undefined }): Promise<DrainReport>;
}
