/*
 * `createTelemetry`: the composition root, the only place of the library that picks concrete parts, and the lifecycle of a client.
 */
import { openChannels } from '../base/channels.js';
import { anObject, checkOptions, givenOptions } from '../base/check-options.js';
import type { Clock } from '../base/clock.js';
import { DEFAULTS } from '../base/constants.js';
import { Ledger } from '../base/ledger.js';
import type { TelemetryStats } from '../base/ledger.js';
import { Log } from '../base/log.js';
import { thisMachine } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import type { AwaitUsing, Environment } from '../base/platform-types.js';
import { EventBus } from '../bus/bus.js';
import type { TelemetryBus } from '../bus/bus.js';
import { DailyEvents } from '../delivery/daily.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { Emitter } from '../delivery/emitter.js';
import { endpointTransport } from '../delivery/endpoint-transport.js';
import { EventBuilder } from '../delivery/event-builder.js';
import { misspeltTo, mistakesTo } from '../delivery/mistakes.js';
import { retrying } from '../delivery/retry.js';
import { steering } from '../delivery/transport.js';
import type { Transport } from '../delivery/transport.js';
import { isDaily } from '../events/definition.js';
import type { EventDefinition } from '../events/definition.js';
import { productDagHash } from '../events/product-events.js';
import type { EventDefinitions, StandardEvent, StandardMetrics } from '../events/product-events.js';
import { collectStandardUsageMetrics } from '../events/standard-metrics.js';
import type { HostEmitter, HostEvents } from '../listeners/host.js';
import { Lookups } from '../listeners/lookups.js';
import { hostListeners, ListenerRegistry } from '../listeners/register.js';
import type { EventNames, RegisterOptions } from '../listeners/register.js';
import type { RunReport } from '../listeners/run.js';
import type { CheckedMap, CheckedNames, HostFunctions, Listened } from '../listeners/typed-host.js';
import { openGate } from '../opt-out/gate.js';
import type { Gate } from '../opt-out/gate.js';
import { explainSettings } from '../opt-out/settings.js';
import type { Settings } from '../opt-out/settings.js';
import { debugMode, operatorEndpoint } from '../opt-out/variables.js';
import { PersonConsent } from './consent.js';
import type { Consent } from './consent.js';
import { checkTelemetryOptions } from './options.js';
import type { CheckedOptions, Limits, TelemetryOptions } from './options.js';

/**
 * What `drain()` and `close()` report: the counts since construction, and how the wait ended.
 *
 * @example
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * const report: DrainReport = await telemetry.drain({ deadlineMs: 500 });
 * console.log(report.timedOut, report.pending); // false 0
 */
export interface DrainReport extends TelemetryStats {
  /** Whether the deadline came before all events were settled, or before the transport had closed. */
  timedOut: boolean;
  /** How long the call took, in milliseconds. */
  durationMs: number;
}

/**
 * Usage telemetry of one product. It never throws into the host, never waits on its path, and never keeps it alive.
 *
 * @example
 * const product = { name: 'acme', version: '1.2.0' } as const;
 * const telemetry: Telemetry<'acme'> = createTelemetry({ product, endpoint: 'https://telemetry.acme.example' });
 * console.log(telemetry.enabled, telemetry.stats().published); // true 0
 */
export interface Telemetry<P extends string = string, E extends readonly EventDefinition[] = [], B = StandardMetrics<P>>
  extends AwaitUsing {
  /**
   * Whether telemetry is on now. Ask before you gather metrics that are expensive to gather. It is false while a file that may opt out
   * cannot be read, though events are accepted then and wait.
   */
  readonly enabled: boolean;
  /** The events of this client: publish and subscribe here. */
  readonly bus: TelemetryBus<P, E, B>;
  /**
   * Listens to a host's lifecycle events. Registering a host twice has no effect, nor has it after an opt-out or after `close()`.
   *
   * A host whose type says that it emits none of the names does not compile.
   *
   * @param host The emitter.
   * @returns A function that removes the listeners.
   * @throws TypeError for a host without listener methods.
   */
  register<H extends HostEmitter>(host: H & CheckedNames<H, keyof HostEvents>): () => void;
  /**
   * The same under the host's own names, or for a host that emits other payloads.
   *
   * The type of the host says which names a `map` may have and what its functions get; `any` if it says nothing. A key of a report that is
   * not read does not compile.
   *
   * @param host The emitter.
   * @param options The host's own names (`events`), or functions that translate its events (`map`). Not both.
   * @returns A function that removes the listeners.
   * @throws TypeError for a host without listener methods, or for wrong names or functions.
   */
  register<H extends HostEmitter, const F extends HostFunctions<H>, const E extends EventNames = EventNames>(
    host: H,
    options: RegisterOptions<F & CheckedMap<F, H>, E & CheckedNames<H, Listened<E>>> | undefined,
  ): () => void;
  /**
   * Takes one event of a host that has no emitter: the same as if a registered host had emitted it. It copies what it needs, never throws
   * and never waits. What cannot be used counts as `invalid`; what is not the product's is not counted.
   *
   * @example
   * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
   * const task = { owned: true, operatorName: 'AcmeRun' };
   * telemetry.report('task_instance.success', { taskInstance: { dagId: 'jobs', taskId: 'resize', mapIndex: -1, task } });
   */
  report<K extends keyof HostEvents>(event: K, payload: HostEvents[K]): void;
  /**
   * Takes a run that has ended with all its tasks, for a host that knows both at once: one `dag_run`, and one `task_instance` for each task
   * of the product. Like `report`, it never throws and never waits. A run without a known `status` or without `tasks` counts as one
   * `invalid` event, a task without a known `status` as another.
   *
   * @example
   * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
   * const tasks = [{ taskId: 'build', owned: true, status: 'cached' }] as const;
   * telemetry.reportRun({ runId: 'r1', status: 'success', startedAt: Date.now() - 1500, endedAt: new Date(), tasks });
   */
  reportRun(run: RunReport): void;
  /** What is known of the person's consent, and how to record or ask for it. */
  readonly consent: Consent;
  /** Publishes one event of a declared type; the same as `bus.publish`. */
  publish: TelemetryBus<P, E, B>['publish'];
  /** The counts as of now: `published = sent + failed + dropped + pending`. Never throws. */
  stats(): TelemetryStats;
  /**
   * Waits for the events that were accepted before the call, with `drainConcurrency`. At the deadline it reports and aborts
   * nothing. Never rejects.
   *
   * @param options.deadlineMs In milliseconds, by default 2000.
   */
  drain(options?: { deadlineMs?: number | undefined }): Promise<DrainReport>;
  /**
   * Removes all host listeners, refuses new events, and delivers until the deadline, with one attempt each. Then it aborts what is
   * in flight and counts the rest as dropped. It closes the transport and waits for that, within the deadline. A second call returns the
   * same promise. Never rejects. It ends a question of `consent.ask`.
   *
   * @param options.deadlineMs In milliseconds, by default 2000.
   */
  close(options?: { deadlineMs?: number | undefined }): Promise<DrainReport>;
}

/**
 * Creates the usage telemetry of a product.
 *
 * @param options The product and where its events go; all else has a default.
 * @throws TypeError naming option and value, for a wrong or unknown option.
 * @example
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * telemetry.reportRun({ status: 'success', tasks: [{ taskId: 'build', owned: true, status: 'success' }] });
 * const { published, reasons } = await telemetry.close({ deadlineMs: 5000 });
 * console.log(published, reasons); // 2 {}
 */
export function createTelemetry<
  const P extends string,
  const E extends readonly EventDefinition[] = [],
  const D extends boolean = false,
  const S extends false | readonly StandardEvent[] = readonly StandardEvent[],
  const M extends string = never,
>(options: TelemetryOptions<P, E, D, S, M>): Telemetry<P, E, StandardMetrics<P, D, S, M>> {
  return createTelemetryWith(options, thisMachine);
}

/** As `createTelemetry`, with time, randomness and the machine as parameters. @internal */
export function createTelemetryWith<
  const P extends string,
  const E extends readonly EventDefinition[] = [],
  const D extends boolean = false,
  const S extends false | readonly StandardEvent[] = readonly StandardEvent[],
  const M extends string = never,
>(options: TelemetryOptions<P, E, D, S, M>, machine: MachineAccess): Telemetry<P, E, StandardMetrics<P, D, S, M>> {
  const checked = checkTelemetryOptions(options as object as TelemetryOptions);
  return new TelemetryClient(checked, machine) as object as Telemetry<P, E, StandardMetrics<P, D, S, M>>;
}

/** The longest backoff between two attempts. */
const MAX_BACKOFF_MS = 5000;

/** A `send()` loses its slot when all its attempts and backoffs must be over, plus this time. */
const SLACK_MS = 1000;

/** For a client that has opted out and was given no transport: it never sends. */
const NOWHERE: Transport = { send: () => Promise.resolve({ kind: 'aborted' }) };

class TelemetryClient implements AwaitUsing {
  readonly bus: Pick<EventBus, 'on' | 'publish'>;
  readonly publish: EventBus['publish'];
  readonly consent: PersonConsent;
  readonly #bus: EventBus;
  readonly #gate: Gate;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #emitter: Emitter;
  readonly #registry: ListenerRegistry;
  #closing: Promise<DrainReport> | undefined;

  constructor({ options, description, product, limits }: CheckedOptions, machine: MachineAccess) {
    const { env = process.env, owns, drainOnExit = true } = options;
    const { host, endpoint, definitions, common, everyEvent, consent, enabled, dagHash, command } = description;
    const { clock } = machine;
    const standard = collectStandardUsageMetrics({ product, host, machine: machine.facts() });
    const log = new Log(options.logger, clock);
    const { gate, question, settings } = openGate({ product: product.name, env, consent, enabled }, machine, log);
    const ledger = new Ledger(
      options.logger && mistakesTo(log, definitions),
      gate.state === 'shut' ? undefined : openChannels(product.name),
    );
    const bus = new EventBus({ definitions, gate, ledger, log });
    const transport =
      gate.state === 'shut'
        ? (options.transport ?? NOWHERE)
        : pickTransport(options, { product: product.name, limits, endpoint, env, gate, log, machine });
    if (gate.state === 'shut') tellOptOut(options, settings);
    const publishLate = (publish: () => void): void => bus.publishLate(publish);
    const late = new Lookups({ ledger, log, max: limits.maxPendingEvents, publishLate });
    const builder = new EventBuilder(standard, ledger, common, everyEvent);
    const sendCapMs = (limits.retries + 1) * limits.attemptTimeoutMs + limits.retries * MAX_BACKOFF_MS + SLACK_MS;
    const { platform = process.platform } = machine;
    const daily = keepsDays(definitions, product.name, env)
      ? new DailyEvents({ product: product.name, env, platform, clock, log })
      : undefined;
    this.#emitter = new Emitter({
      ...limits,
      gate,
      ledger,
      log,
      clock,
      random: machine.random,
      builder,
      transport,
      daily,
      sendCapMs,
      drainOnExit,
      late,
    });
    bus.attach(this.#emitter.accept);
    const listeners = () =>
      hostListeners(product.name, {
        definitions,
        bus,
        ledger,
        log,
        dagHash: dagHash ?? productDagHash(product.name),
        owns,
        compare: ledger.isObserved ? misspeltTo(ledger) : undefined,
      });
    this.#registry = new ListenerRegistry({ listeners, gate, ledger, log, lookups: late });
    gate.whenShut(() => {
      this.#registry.close();
    });
    this.publish = (type, metrics, packedMetadata) => bus.publish(type, metrics, packedMetadata);
    this.bus = { on: (type, listener) => bus.on(type, listener), publish: this.publish };
    const target = () => (options.transport === undefined ? (operatorEndpoint(product.name, env, log) ?? endpoint) : undefined);
    this.consent = new PersonConsent({ question, gate, machine, command, endpoint: target });
    this.#bus = bus;
    this.#gate = gate;
    this.#log = log;
    this.#clock = clock;
  }

  get enabled(): boolean {
    return this.#closing === undefined && this.#gate.check();
  }

  register(host: HostEmitter, options: RegisterOptions = {}): () => void {
    const { events, map } = checkOptions<RegisterOptions>('options', options, { events: anObject, map: anObject });
    if (events !== undefined && map !== undefined) {
      throw new TypeError('Expected `events` to be left out beside `map`, whose keys are the names, got an object.');
    }
    return this.#registry.register(host, events, map);
  }

  report(event: string, payload: unknown): void {
    this.#registry.report(event, payload);
  }

  reportRun(run: RunReport): void {
    this.#registry.reportRun(run);
  }

  stats(): TelemetryStats {
    return this.#emitter.stats();
  }

  drain(options?: { deadlineMs?: number | undefined }): Promise<DrainReport> {
    return this.#report(options, (deadlineMs) => this.#emitter.drain(deadlineMs));
  }

  close(options?: { deadlineMs?: number | undefined }): Promise<DrainReport> {
    this.#closing ??= this.#report(options, (deadlineMs) => {
      this.consent.endQuestion();
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

  /** `drain()` and `close()` never reject, so a wrong deadline logs a warning, and the default applies. */
  #deadlineMs(options: { deadlineMs?: number | undefined } | undefined): number {
    if (options === undefined) return DEFAULTS.drainDeadlineMs;
    try {
      const { deadlineMs } = givenOptions(options, ['deadlineMs']);
      if (typeof deadlineMs === 'number' && deadlineMs >= 0) return deadlineMs;
      const isEmpty = typeof options === 'object' && Object.keys(options).every((name) => name === 'deadlineMs');
      if (isEmpty && deadlineMs === undefined) return DEFAULTS.drainDeadlineMs;
    } catch {
      // It cannot be read.
    }
    this.#log.warn('deadline_invalid', 'expected `{ deadlineMs }` with a number of milliseconds; the default is used');
    return DEFAULTS.drainDeadlineMs;
  }
}

interface TransportParts {
  product: string;
  limits: Limits;
  endpoint: string | undefined;
  env: Environment;
  gate: Gate;
  log: Log;
  machine: MachineAccess;
}

/** Whether dates are kept: not in debug mode, which sends nothing. */
function keepsDays(definitions: EventDefinitions, product: string, env: Environment): boolean {
  return Array.from(definitions.values()).some(isDaily) && debugMode(product, env) === undefined;
}

/** Tells the transport of a test why it gets nothing. */
function tellOptOut({ transport, env }: CheckedOptions['options'], settings: Settings): void {
  const [rule] = explainSettings(settings).rules;
  if (rule === undefined) return;
  transport?.[steering]?.optedOut?.(rule, env === undefined && rule.source.kind !== 'option');
}

/** Debug mode if the environment asks for it, else the program's own transport, else HTTP to the endpoint. */
function pickTransport(options: CheckedOptions['options'], parts: TransportParts): Transport {
  const { product, limits, endpoint, env, gate, log, machine } = parts;
  const { transport: own, allowedRedirectHosts, proxy } = options;
  const { clock, random, lookup, descriptors: access } = machine;
  const mode = debugMode(product, env);
  if (own !== undefined) return mode === undefined ? own : debugTransport({ mode, endpoint, instead: own, log, clock, access });
  const base = operatorEndpoint(product, env, log) ?? endpoint ?? '';
  if (mode !== undefined) return debugTransport({ mode, endpoint: base, log, clock, access });
  const { connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, retries } = limits;
  const attempts = endpointTransport(
    { endpoint: base, connectTimeoutMs, attemptTimeoutMs, concurrency, drainConcurrency, env, allowedRedirectHosts, proxy },
    { gate, log, clock, random, lookup },
  );
  return retrying(attempts, { retries, maxDelayMs: MAX_BACKOFF_MS, random, clock });
}
