/** `createRelay`: checks the options, connects HTTP servers with the core, and listens and closes in order. */
import { COSMOS } from '../base/constants.js';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { checkOptions, milliseconds } from '../base/check-options.js';
import { settlesWithin } from '../base/clock.js';
import { bare } from '../base/foreign-values.js';
import { openGate } from '../opt-out/gate.js';
import { isLoopback } from '../wire/host.js';
import { MAX_URL_BYTES } from '../wire/url.js';
import { DISK_GRACE_MS, RelayCore } from './core.js';
import { connectionsWithin } from './descriptors.js';
import { Answers } from './http/answers.js';
import { AllowedHosts, SecretPrefix, serviceNames } from './http/guard.js';
import { Operations, RateLimit, RequestHandler } from './http/handler.js';
import { boundedServer, closeServer, ConnectionLimit, startServers } from './http/server.js';
import { RelayLog } from './log.js';
import { authority, checkNoLoop, checkRelayOptions, DEFAULT_DRAIN_DEADLINE_MS } from './options.js';
import type { ListenAddress, RelayOptions, RelaySettings } from './options.js';
import { StatusSource } from './status-source.js';
import { StatusPage } from './page/page.js';
import { RecentEvents } from './page/recent-events.js';
import { MAX_WATCHERS } from './page/watchers.js';
import type { Relay, RelayAddress, RelayReport, RelayStats } from './types.js';
import { defaultParts } from './wiring.js';
import type { RelayParts } from './wiring.js';

/**
 * Creates a receiver for the usage events of Cosmos: it answers each request at once, keeps the event on disk, and delivers it later.
 *
 * @param options By default events go to Cosmos' own endpoint and are kept in memory only.
 * @throws TypeError naming the option and its value, for a wrong or unknown option.
 * @example
 * const collector = await startCollector();
 * const relay = createRelay({ listen: '127.0.0.1:0', forward: collector.url });
 * const { url } = await relay.listen();
 * console.log((await fetch(`${url}/v3/dag_run?status=success`)).status); // 200
 * await collector.waitFor(1);
 * console.log((await relay.close()).sent); // 1
 * await collector.close();
 */
export function createRelay(options: RelayOptions = {}): Relay {
  return createRelayWith(options, defaultParts);
}

/** The same, with the machine and the store as parameters. @internal */
export function createRelayWith(options: RelayOptions, parts: RelayParts): Relay {
  return new RelayServer(options, parts);
}

/** A shorter prefix can be guessed. */
const MIN_SAFE_PREFIX = 16;

/** The longest target that can be appended to an endpoint. */
function targetBytes(endpoint: string): number {
  return MAX_URL_BYTES - Buffer.byteLength(endpoint);
}

class RelayServer implements Relay {
  readonly handler: Relay['handler'];
  readonly #settings: RelaySettings;
  readonly #parts: RelayParts;
  readonly #hasStore: boolean;
  readonly #log: RelayLog;
  readonly #core: RelayCore;
  readonly #allowedHosts: readonly string[];
  readonly #hosts: AllowedHosts;
  readonly #requestHandler: RequestHandler;
  readonly #operations: Operations;
  readonly #status: StatusSource;
  readonly #page: StatusPage | undefined;
  readonly #answers = new Answers();
  #servers: Server[] = [];
  #listening: Promise<RelayAddress> | undefined;
  #closing: Promise<RelayReport> | undefined;
  #isListening = false;

  constructor(given: RelayOptions, replaced: RelayParts) {
    const { settings, options } = checkRelayOptions(given);
    const parts = bare(replaced);
    const { clock } = parts.machine;
    const log = new RelayLog(options.logger, clock);
    const {
      gate,
      question,
      settings: optOuts,
    } = openGate({ product: COSMOS, env: settings.env, enabled: options.enabled }, parts.machine, log);
    this.#settings = settings;
    this.#parts = parts;
    this.#hasStore = options.store !== undefined;
    this.#log = log;
    const { isVerbatim, forward, forwardDagFactory } = settings;
    const targetOptions = {
      isVerbatim,
      forwardsLines: settings.forwardsLines,
      maxForwardBytes: targetBytes(forward),
      maxDagFactoryBytes: forwardDagFactory === undefined ? undefined : targetBytes(forwardDagFactory),
    };
    const recent = settings.showsEvents ? new RecentEvents(clock, settings.maxAgeMs) : undefined;
    gate.whenShut(() => recent?.forget());
    this.#core = new RelayCore({ options, settings, targetOptions, parts, gate, log, recent, relay: this });
    this.#allowedHosts = [...settings.allowedHosts, ...serviceNames(settings.allowedHosts, parts.machine.readFile)];
    this.#hosts = new AllowedHosts(settings.listen, this.#allowedHosts);
    const { machine } = parts;
    this.#status = new StatusSource({
      relay: this,
      core: this.#core,
      settings,
      hasStore: this.#hasStore,
      gate,
      question,
      optOuts,
      machine,
    });
    this.#page = this.#createPage(recent);
    this.#operations = new Operations(this.#core, this.#answers, this.#status, this.#page);
    this.#requestHandler = new RequestHandler({
      hosts: this.#hosts,
      prefix: new SecretPrefix(settings.prefix),
      targetOptions,
      gate,
      rateLimit: new RateLimit(settings.maxEventsPerSecond, clock),
      core: this.#core,
      answers: this.#answers,
      operations: settings.metricsListen === undefined ? this.#operations : undefined,
    });
    this.handler = (request, response) => {
      void this.#core.openForHandler();
      this.#status.start();
      this.#requestHandler.handle(request as IncomingMessage, response as ServerResponse);
    };
  }

  /** The page is beside the metrics; on the address of the events only if no other machine can reach it. */
  #createPage(recent: RecentEvents | undefined): StatusPage | undefined {
    const { listen, maxConnections, metricsListen } = this.#settings;
    const isOnLoopbackOnly = metricsListen === undefined;
    if (isOnLoopbackOnly && !isLoopback(listen.host)) return undefined;
    const status = () => this.#status.status();
    // Most connections are for those who send events.
    const maxWatchers = Math.min(MAX_WATCHERS, Math.floor(maxConnections / 4));
    return new StatusPage({ status, recent, isOnLoopbackOnly, maxWatchers, answers: this.#answers, clock: this.#parts.machine.clock });
  }

  listen(): Promise<RelayAddress> {
    this.#listening ??= this.#listen();
    return this.#listening;
  }

  stats(): RelayStats {
    return { ...this.#core.stats(), answers: this.#answers.counts(), refusedConnections: this.#answers.refusedConnections };
  }

  close(options: { deadlineMs?: number | undefined } = {}): Promise<RelayReport> {
    this.#closing ??= this.#close(this.#checkDeadline(options));
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(): Promise<RelayAddress> {
    const { listen, metricsListen, forward, forwardDagFactory, prefix, spool } = this.#settings;
    try {
      this.#assertNotClosed();
      await this.#core.open();
      this.#status.start();
      await this.#parts.loadDelivery?.();
      this.#assertNotClosed();
      const address = await this.#startServer(listen, this.#requestHandler.handle);
      checkNoLoop(forward, address);
      if (forwardDagFactory !== undefined) checkNoLoop(forwardDagFactory, address, 'forwardDagFactory');
      this.#hosts.listeningAt(address);
      const metricsAddress = metricsListen === undefined ? undefined : await this.#startOperations(metricsListen);
      this.#assertNotClosed();
      if (prefix !== undefined && prefix.length < MIN_SAFE_PREFIX)
        this.#log.warn('prefix_short', `a prefix of fewer than ${MIN_SAFE_PREFIX} characters can be guessed`);
      if (spool === undefined && !this.#hasStore)
        this.#log.warn('no_spool', 'events are in memory only: without a spool, a crash loses pending events');
      const url = `http://${authority(address)}`;
      this.#isListening = true;
      this.#log.info('listening', `listening on ${url}`);
      return { ...address, url, ...(metricsAddress && { metricsUrl: `http://${authority(metricsAddress)}` }) };
    } catch (error) {
      await this.close({ deadlineMs: 0 });
      // Servers that started to listen during the close.
      await this.#closeServers();
      throw error;
    }
  }

  #assertNotClosed(): void {
    if (this.#core.isClosing) throw new Error('A closed relay cannot listen.');
  }

  async #startServer(address: ListenAddress, listener: RequestListener): Promise<ListenAddress> {
    const connections = new ConnectionLimit(this.#maxConnections(), () => {
      this.#answers.refuseConnection();
      this.#log.warn('connection_refused', 'a connection is closed without an answer: too many are open');
    });
    return startServers(() => {
      const server = boundedServer(this.#settings, connections, this.#answers, listener);
      this.#servers.push(server);
      return server;
    }, address);
  }

  #maxConnections(): number {
    const { concurrency, drainConcurrency, maxConnections, metricsListen } = this.#settings;
    const servers = metricsListen === undefined ? 1 : 2;
    const sending = Math.max(2 * concurrency, drainConcurrency);
    const { most, limit } = connectionsWithin(maxConnections * servers, sending, this.#parts.machine.readFile);
    const each = Math.floor(most / servers);
    if (each < maxConnections)
      this.#log.warn('connections_limited', `the limit of open files (${limit}) leaves room for ${each} connections of clients at a time`);
    return each;
  }

  /** Starts the server for metrics and health only. */
  async #startOperations(address: ListenAddress): Promise<ListenAddress> {
    const hosts = new AllowedHosts(address, this.#allowedHosts);
    const actual = await this.#startServer(address, this.#operations.handlerFor(hosts));
    hosts.listeningAt(actual);
    return actual;
  }

  async #close(deadlineMs: number): Promise<RelayReport> {
    const { clock } = this.#parts.machine;
    const startedAtMs = clock.now();
    this.#core.stopAccepting();
    this.#status.close();
    // A logger that calls `close()` gets this promise: it is stored by the time the first line is logged.
    await Promise.resolve();
    if (this.#isListening) this.#log.info('closing', 'new events are refused');
    // The servers answer until the drain is over, so that clients get 503 and not a refused connection.
    await settlesWithin(this.#requestHandler.quiet(), deadlineMs + DISK_GRACE_MS, clock);
    const timedOut = await this.#core.close(Math.max(0, startedAtMs + deadlineMs - clock.now()));
    this.#page?.close();
    await this.#closeServers();
    const report = { ...this.stats(), timedOut, durationMs: clock.now() - startedAtMs };
    const { sent, failed, dropped, pending } = report;
    if (this.#isListening) this.#log.info('closed', `sent ${sent}, failed ${failed}, dropped ${dropped}, left in the spool ${pending}`);
    return report;
  }

  async #closeServers(): Promise<void> {
    await Promise.all(this.#servers.map((server) => closeServer(server, this.#parts.machine.clock)));
  }

  /** `close()` never rejects, so a wrong deadline is logged and replaced by the default. */
  #checkDeadline(options: { deadlineMs?: number | undefined }): number {
    try {
      const checked = checkOptions<{ deadlineMs?: number | undefined }>('options', options, { deadlineMs: milliseconds(0, 2 ** 31 - 1) });
      return checked.deadlineMs ?? DEFAULT_DRAIN_DEADLINE_MS;
    } catch {
      this.#log.warn('deadline_invalid', 'the deadline is not a number of milliseconds: the default is used');
      return DEFAULT_DRAIN_DEADLINE_MS;
    }
  }
}
