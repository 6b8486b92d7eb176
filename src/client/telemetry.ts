import { anObject, checkOptions } from '../base/check-options.js';
import type { Clock } from '../base/clock.js';
import { DEFAULTS } from '../base/constants.js';
import { Ledger } from '../base/ledger.js';
import type { TelemetryStats } from '../base/ledger.js';
import { Log } from '../base/log.js';
import { thisMachine } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import { EventBus } from '../bus/bus.js';
import type { TelemetryBus } from '../bus/bus.js';
import { circuitBreaker } from '../delivery/circuit-breaker.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { Emitter } from '../delivery/emitter.js';
import { EventBuilder } from '../delivery/event-builder.js';
import { fetchTransportWith } from '../delivery/http/fetch-transport.js';
import { gated, retrying } from '../delivery/retry.js';
import type { Transport } from '../delivery/transport.js';
import type { EventDefinition } from '../events/definition.js';
import { productDagHash, productEvents } from '../events/product-events.js';
import { collectStandardUsageMetrics } from '../events/standard-metrics.js';
import type { HostEmitter } from '../listeners/host.js';
import { hostListeners, ListenerRegistry } from '../listeners/register.js';
import type { EventNames } from '../listeners/register.js';
import { openGate } from '../opt-out/gate.js';
import type { Gate } from '../opt-out/gate.js';
import { shouldEmit } from '../opt-out/settings.js';
import { debugMode, operatorEndpoint } from '../opt-out/variables.js';
import { parseEndpoint } from '../wire/url.js';
import { checkTelemetryOptions } from './options.js';
import type { Limits, TelemetryOptions } from './options.js';

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

/**
 * Usage telemetry for a product: the composition root, and the one place that picks concrete parts.
 *
 * @throws TypeError naming option and value, for a wrong or unknown option.
 */
export function createTelemetry<const P extends string, const E extends readonly EventDefinition[] = []>(
  options: TelemetryOptions<P, E>,
): Telemetry<P, E> {
  return createTelemetryWith(options, thisMachine);
}

/** The same, with time, chance and the machine as parameters. @internal */
export function createTelemetryWith<const P extends string, const E extends readonly EventDefinition[] = []>(
  options: TelemetryOptions<P, E>,
  machine: MachineAccess,
): Telemetry<P, E> {
  const limits = checkTelemetryOptions(options as object as TelemetryOptions);
  return new TelemetryClient(options as object as TelemetryOptions, limits, machine) as object as Telemetry<P, E>;
}

/** The longest backoff of `retrying`, and the grace beyond all attempts, that a `send()` is given before it loses its slot. */
const MAX_BACKOFF_MS = 5000;
const SLACK_MS = 1000;

const NOWHERE: Transport = { send: () => Promise.resolve({ kind: 'aborted' }) };

class TelemetryClient implements AsyncDisposable {
  readonly bus: Pick<EventBus, 'on' | 'publish'>;
  readonly publish: EventBus['publish'];
  readonly #bus: EventBus;
  readonly #gate: Gate;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #emitter: Emitter;
  readonly #registry: ListenerRegistry;
  #closing: Promise<DrainReport> | undefined;

  constructor(options: TelemetryOptions, limits: Limits, machine: MachineAccess) {
    const { product, host = {}, events = [], env = process.env, consent, enabled, dagHash, drainOnExit = true } = options;
    const { clock, random } = machine;
    const definitions = productEvents(product.name, host.name ?? 'airflow', events);
    const standard = collectStandardUsageMetrics({ product, host, machine: machine.facts() });
    const endpoint = options.endpoint === undefined ? undefined : parseEndpoint(options.endpoint, '`endpoint`');
    const log = new Log(options.logger, clock);
    const { gate, settings } = openGate({ product: product.name, env, consent, enabled }, machine, log);
    const ledger = new Ledger();
    const bus = new EventBus({ definitions, gate, ledger, log });
    // An instance that has opted out never sends, so it need not have anything to send with.
    const transport = shouldEmit(settings) ? (debugging() ?? options.transport ?? defaultTransport()) : (options.transport ?? NOWHERE);
    const builder = new EventBuilder(standard, ledger, `${random().toString(36).slice(2, 8)}-`);
    const sendCapMs = (limits.retries + 1) * limits.attemptTimeoutMs + limits.retries * MAX_BACKOFF_MS + SLACK_MS;
    this.#emitter = new Emitter({ ...limits, gate, ledger, log, clock, builder, transport, sendCapMs, drainOnExit });
    bus.attach(this.#emitter.accept);
    const listeners = () => hostListeners(product.name, { bus, ledger, dagHash: dagHash ?? productDagHash(product.name) });
    this.#registry = new ListenerRegistry({ listeners, gate, ledger, log });
    gate.whenShut(() => {
      this.#registry.close();
    });
    this.publish = (type, metrics, packedMetadata) => bus.publish(type, metrics, packedMetadata);
    this.bus = { on: (type, listener) => bus.on(type, listener), publish: this.publish };
    this.#bus = bus;
    this.#gate = gate;
    this.#log = log;
    this.#clock = clock;

    /** What a person asked to see goes before any transport, the program's own included. */
    function debugging(): Transport | undefined {
      const mode = debugMode(product.name, env);
      const { transport: instead } = options;
      if (mode === undefined) return undefined;
      return debugTransport({
        mode,
        endpoint: instead === undefined ? base() : endpoint,
        instead,
        log,
        clock,
        access: machine.descriptors,
      });
    }

    function base(): string {
      return operatorEndpoint(product.name, env, log) ?? endpoint ?? '';
    }

    function defaultTransport(): Transport {
      const { connectTimeoutMs, attemptTimeoutMs, retries, concurrency, drainConcurrency } = limits;
      const { allowedRedirectHosts, proxy } = options;
      const fetching = fetchTransportWith(
        {
          endpoint: base(),
          connectTimeoutMs,
          attemptTimeoutMs,
          maxSockets: Math.max(concurrency, drainConcurrency),
          env,
          allowedRedirectHosts,
          proxy,
        },
        { clock, log, ...(machine.lookup && { lookup: machine.lookup }) },
      );
      return retrying(circuitBreaker(gated(fetching, gate), { clock }), { retries, maxDelayMs: MAX_BACKOFF_MS, random, clock });
    }
  }

  get enabled(): boolean {
    return this.#closing === undefined && this.#gate.check();
  }

  register(host: HostEmitter, options: { events?: EventNames | undefined } = {}): () => void {
    checkOptions('options', options, { events: anObject });
    return this.#registry.register(host, options.events);
  }

  stats(): TelemetryStats {
    return this.#emitter.stats();
  }

  drain(options?: { deadlineMs?: number | undefined }): Promise<DrainReport> {
    return this.#report(options, (deadlineMs) => this.#emitter.drain(deadlineMs));
  }

  close(options?: { deadlineMs?: number | undefined }): Promise<DrainReport> {
    this.#closing ??= this.#report(options, (deadlineMs) => {
      this.#bus.close();
      this.#registry.close();
      return this.#emitter.close(deadlineMs);
    });
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #report(
    options: { deadlineMs?: number | undefined } | undefined,
    wait: (deadlineMs: number) => Promise<boolean>,
  ): Promise<DrainReport> {
    const startedAtMs = this.#clock.now();
    const timedOut = await wait(this.#deadlineMs(options));
    return { ...this.#emitter.stats(), timedOut, durationMs: this.#clock.now() - startedAtMs };
  }

  /** A promise that never rejects cannot refuse a deadline that is none: it says so, and takes the default. */
  #deadlineMs(options: { deadlineMs?: number | undefined } | undefined): number {
    let deadlineMs: unknown;
    try {
      deadlineMs = options?.deadlineMs;
    } catch {
      deadlineMs = null;
    }
    if (typeof deadlineMs === 'number' && deadlineMs >= 0) return deadlineMs;
    if (deadlineMs !== undefined) this.#log.warn('deadline_invalid', 'a deadline was no number of milliseconds; the default is used');
    return DEFAULTS.drainDeadlineMs;
  }
}
