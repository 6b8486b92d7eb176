import type { Server } from 'node:http';
import { checkOptions, milliseconds } from '../base/check-options.js';
import { within } from '../base/clock.js';
import { openGate } from '../opt-out/gate.js';
import { COSMOS } from '../opt-out/variables.js';
import { MAX_URL_BYTES } from '../wire/url.js';
import { DISK_GRACE_MS, RelayWorks } from './core.js';
import { Answers } from './http/answers.js';
import { AllowedHosts, guard, SecretPrefix } from './http/guard.js';
import { Door, Operations, RateLimit } from './http/handler.js';
import { boundedServer, closeServer, listenAt } from './http/server.js';
import { RelayLog } from './log.js';
import { authority, checkNoLoop, checkRelayOptions, DEFAULT_DRAIN_DEADLINE_MS } from './options.js';
import type { ListenAddress, RelayOptions, RelaySettings } from './options.js';
import type { Relay, RelayAddress, RelayReport, RelayStats } from './types.js';
import { theseParts } from './wiring.js';
import type { RelayParts } from './wiring.js';

/**
 * A receiver for the usage events that Cosmos sends: it answers each at once, keeps it on disk, and delivers it later.
 *
 * @throws TypeError naming option and value, for a wrong or unknown option.
 */
export function createRelay(options: RelayOptions = {}): Relay {
  return createRelayWith(options, theseParts);
}

/** The same, with time, chance, the machine and the store as parameters. @internal */
export function createRelayWith(options: RelayOptions, parts: RelayParts): Relay {
  return new RelayServer(options, parts);
}

/** A prefix that is shorter can be guessed. */
const SHORT_PREFIX = 16;

class RelayServer implements Relay {
  readonly handler: Relay['handler'];
  readonly #settings: RelaySettings;
  readonly #parts: RelayParts;
  readonly #log: RelayLog;
  readonly #works: RelayWorks;
  readonly #door: Door;
  readonly #operations: Operations;
  readonly #answers = new Answers();
  #hosts: AllowedHosts;
  #servers: Server[] = [];
  #listening: Promise<RelayAddress> | undefined;
  #closing: Promise<RelayReport> | undefined;
  #isListening = false;

  constructor(options: RelayOptions, parts: RelayParts) {
    const settings = checkRelayOptions(options);
    const { clock } = parts.machine;
    const log = new RelayLog(options.logger, clock);
    const { gate } = openGate({ product: COSMOS, env: settings.env, enabled: options.enabled }, parts.machine, log);
    this.#settings = settings;
    this.#parts = parts;
    this.#log = log;
    const routing = { isVerbatim: settings.isVerbatim, maxForwardBytes: MAX_URL_BYTES - Buffer.byteLength(settings.forward) };
    this.#works = new RelayWorks({ options, settings, routing, parts, gate, log, stats: () => this.stats() });
    this.#hosts = new AllowedHosts(settings.listen, settings.allowedHosts);
    this.#operations = new Operations({
      metrics: () => this.#works.metrics,
      unready: () => (this.#isClosing() ? 'closing' : this.#works.unready()),
      answers: this.#answers,
    });
    this.#door = new Door({
      hosts: () => this.#hosts,
      prefix: new SecretPrefix(settings.prefix),
      routing,
      rate: new RateLimit(settings.maxEventsPerSecond, clock),
      gate,
      answers: this.#answers,
      operations: settings.metricsListen === undefined ? this.#operations : undefined,
      isClosing: this.#isClosing,
      keep: (target, dropped) => this.#works.keep(target, dropped),
    });
    this.handler = (request, response) => {
      // Who mounts it does not listen: what an earlier process left is delivered from the first request on.
      if (!this.#isClosing()) void this.#works.begin();
      this.#door.handle(request, response);
    };
  }

  listen(): Promise<RelayAddress> {
    this.#listening ??= this.#listen();
    return this.#listening;
  }

  stats(): RelayStats {
    const isAccepting = !this.#isClosing() && this.#works.unready() === undefined;
    return { ...this.#works.stats(), answers: this.#answers.counts(), isAccepting };
  }

  close(options: { deadlineMs?: number | undefined } = {}): Promise<RelayReport> {
    this.#closing ??= this.#close(this.#deadlineMs(options));
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #isClosing = (): boolean => this.#closing !== undefined;

  async #listen(): Promise<RelayAddress> {
    const { listen, metricsListen, forward, prefix, allowedHosts, spool } = this.#settings;
    try {
      this.#mustGoOn();
      await this.#works.open();
      this.#mustGoOn();
      const at = await this.#start(listen, this.#door.handle);
      checkNoLoop(forward, at);
      this.#hosts = new AllowedHosts(at, allowedHosts);
      const metricsAt = metricsListen === undefined ? undefined : await this.#startOperations(metricsListen);
      this.#mustGoOn();
      if (prefix !== undefined && prefix.length < SHORT_PREFIX)
        this.#log.warn('prefix_short', `a prefix of fewer than ${SHORT_PREFIX} characters can be guessed`);
      if (spool === undefined) this.#log.warn('no_spool', 'events are in memory alone: without a spool a crash loses what waits');
      const url = `http://${authority(at)}`;
      this.#isListening = true;
      this.#log.info('listening', `listening on ${url}`);
      return { ...at, url, ...(metricsAt && { metricsUrl: `http://${authority(metricsAt)}` }) };
    } catch (error) {
      await this.close({ deadlineMs: 0 });
      // Those that began to listen while it was being closed.
      await this.#closeServers();
      throw error;
    }
  }

  #mustGoOn(): void {
    if (this.#isClosing()) throw new Error('A relay that was closed does not listen.');
  }

  async #closeServers(): Promise<void> {
    await Promise.all(this.#servers.map((server) => closeServer(server, this.#parts.machine.clock)));
  }

  async #start(address: ListenAddress, listener: Relay['handler']): Promise<ListenAddress> {
    const server = boundedServer(this.#settings, this.#answers, listener);
    this.#servers.push(server);
    return listenAt(server, address);
  }

  async #startOperations(address: ListenAddress): Promise<ListenAddress> {
    let hosts = new AllowedHosts(address, this.#settings.allowedHosts);
    const at = await this.#start(address, ({ method, rawHeaders, url = '', socket: { localAddress, localPort } }, response) => {
      const refusal = guard({ method, rawHeaders, localAddress, localPort }, hosts);
      if (refusal === undefined) this.#operations.answer(url.split('?', 1)[0] ?? '', response);
      else this.#answers.give(response, refusal);
    });
    hosts = new AllowedHosts(at, this.#settings.allowedHosts);
    return at;
  }

  async #close(deadlineMs: number): Promise<RelayReport> {
    const { clock } = this.#parts.machine;
    const startedAtMs = clock.now();
    // While it drains it still answers, so that whoever asks learns that it is about to go.
    await Promise.resolve();
    if (this.#isListening) this.#log.info('closing', 'no events are accepted any more');
    // Answers wait for the disk, though not for ever.
    await within(this.#door.quiet(), deadlineMs + DISK_GRACE_MS, clock);
    const timedOut = await this.#works.close(Math.max(0, startedAtMs + deadlineMs - clock.now()));
    await this.#closeServers();
    const report = { ...this.stats(), timedOut, durationMs: clock.now() - startedAtMs };
    const { sent, failed, dropped, pending } = report;
    if (this.#isListening) this.#log.info('closed', `sent ${sent}, failed ${failed}, dropped ${dropped}, left in the spool ${pending}`);
    return report;
  }

  #deadlineMs(options: { deadlineMs?: number | undefined }): number {
    try {
      checkOptions('options', options, { deadlineMs: milliseconds(0, 2 ** 31 - 1) });
      return options.deadlineMs ?? DEFAULT_DRAIN_DEADLINE_MS;
    } catch {
      // A promise that never rejects cannot refuse a deadline that is none: it says so, and takes the default.
      this.#log.warn('deadline_invalid', 'a deadline was no number of milliseconds; the default is used');
      return DEFAULT_DRAIN_DEADLINE_MS;
    }
  }
}
