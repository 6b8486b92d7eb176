/**
 * From a request to its answer: guard, secret prefix, target, then the store for an event, or `/healthz`, `/readyz`, `/metrics`,
 * `/statusz`. Every answer is named in `answers.ts`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.js';
import type { Gate } from '../../opt-out/gate.js';
import type { RelayCore } from '../core.js';
import type { Metrics } from '../metrics.js';
import type { RelayStatus } from '../status.js';
import { isBatchTarget, parseTarget } from '../request-target.js';
import type { EventTarget, ParsedTarget, TargetOptions } from '../request-target.js';
import { ANSWER_TO_STORED } from './answers.js';
import type { AnswerName, Answers } from './answers.js';
import { BatchReceiver, Storing } from './batches.js';
import { guard } from './guard.js';
import type { AllowedHosts, OperationsPath, SecretPrefix } from './guard.js';

/** What a request handler needs. */
interface HandlerOptions {
  readonly hosts: AllowedHosts;
  readonly prefix: SecretPrefix;
  readonly targetOptions: TargetOptions;
  readonly gate: Pick<Gate, 'accepts'>;
  readonly rateLimit: RateLimit;
  readonly core: Pick<RelayCore, 'isClosing' | 'accept' | 'acceptLine' | 'refuse'>;
  readonly answers: Answers;
  /** Health and metrics; undefined if they have a separate address. */
  readonly operations: Operations | undefined;
}

/** Answers the requests of clients, and hands their events to the core. */
export class RequestHandler {
  readonly #options: HandlerOptions;
  readonly #storing = new Storing();
  readonly #batches: BatchReceiver;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.#batches = new BatchReceiver({ ...options, storing: this.#storing });
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { answers, hosts, operations } = this.#options;
    // A client may disconnect before it gets its answer.
    response.on('error', ignore);
    const target = request.url ?? '';
    const refusal = guard(request, hosts, {
      operationsPath: () => this.#operationsPath(target),
      takesBatches: () => this.#takesBatches(target),
    });
    if (refusal !== undefined) {
      answers.send(response, refusal);
      return;
    }
    // The guard lets no other POST through.
    if (request.method === 'POST') {
      void this.#batches.receive(request, response);
      return;
    }
    const parsed = this.#parse(target);
    if (parsed.kind === 'refused') answers.send(response, parsed.why);
    else if (parsed.kind === 'event') this.#receive(parsed, response);
    else if (operations === undefined) answers.send(response, 'unknown_path');
    else operations.answer(parsed.path, response);
  };

  /** Fulfils once no event is being stored. */
  quiet(): Promise<void> {
    return this.#storing.quiet();
  }

  #takesBatches(target: string): boolean {
    const stripped = target.startsWith('/') ? this.#options.prefix.strip(target) : undefined;
    return stripped !== undefined && isBatchTarget(stripped);
  }

  #operationsPath(target: string): OperationsPath | undefined {
    const parsed = this.#options.operations === undefined ? undefined : this.#parse(target);
    return parsed?.kind === 'path' ? operationsPathOf(parsed.path) : undefined;
  }

  #parse(target: string): ParsedTarget {
    const { prefix, targetOptions } = this.#options;
    if (!target.startsWith('/')) return parseTarget(target, targetOptions);
    const stripped = prefix.strip(target);
    return stripped === undefined ? { kind: 'refused', why: 'unknown_path' } : parseTarget(stripped, targetOptions);
  }

  #receive(event: EventTarget, response: ServerResponse): void {
    const refusal = this.#refusal();
    if (refusal === undefined) void this.#store(event, response);
    else this.#options.answers.send(response, refusal);
  }

  /** Why no event is stored now: the relay closes (503), telemetry is opted out of (202), or the rate limit is reached (429). */
  #refusal(): AnswerName | undefined {
    const { core, gate, rateLimit } = this.#options;
    if (core.isClosing) return 'closing';
    if (!gate.accepts()) return 'opted_out';
    return rateLimit.take() ? undefined : 'rate_limited';
  }

  async #store({ target, dropped }: EventTarget, response: ServerResponse): Promise<void> {
    const { answers, core, gate } = this.#options;
    this.#storing.begin();
    const stored = await core.accept(target, dropped);
    // An opt-out that appeared meanwhile has cleared the store.
    if (!gate.accepts()) answers.send(response, 'opted_out');
    else answers.send(response, stored === undefined ? 'spool_unavailable' : ANSWER_TO_STORED[stored]);
    this.#storing.end();
  }
}

function ignore(): void {}

function operationsPathOf(path: string): OperationsPath | undefined {
  return path === '/healthz' || path === '/readyz' || path === '/metrics' || path === '/statusz' ? path : undefined;
}

/** `/healthz`, `/readyz`, `/metrics` and `/statusz`. */
export class Operations {
  readonly #core: Pick<RelayCore, 'readyBut' | 'notReady' | 'metrics'>;
  readonly #answers: Answers;
  readonly #source: { status(): RelayStatus };

  constructor(core: Pick<RelayCore, 'readyBut' | 'notReady' | 'metrics'>, answers: Answers, source: { status(): RelayStatus }) {
    this.#core = core;
    this.#answers = answers;
    this.#source = source;
  }

  /** Answers a request for one of the four paths; any other is unknown. */
  answer(path: string, response: ServerResponse): void {
    if (path === '/healthz') this.#answers.send(response, 'alive');
    else if (path === '/readyz') this.#answers.send(response, this.#core.notReady() ?? this.#core.readyBut ?? 'ready');
    else if (path === '/statusz') this.#answers.sendJson(response, this.#source.status());
    else if (path !== '/metrics') this.#answers.send(response, 'unknown_path');
    else void this.#render(this.#core.metrics, response);
  }

  /** The handler of a server for these paths only. */
  handlerFor(hosts: AllowedHosts): (request: IncomingMessage, response: ServerResponse) => void {
    return (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const refusal = guard(request, hosts, { operationsPath: () => operationsPathOf(path), takesBatches: () => false });
      if (refusal === undefined) this.answer(path, response);
      else this.#answers.send(response, refusal);
    };
  }

  async #render(metrics: Metrics | undefined, response: ServerResponse): Promise<void> {
    if (metrics === undefined) {
      this.#answers.send(response, this.#core.notReady() === 'spool_unavailable' ? 'spool_unavailable' : 'no_metrics');
      return;
    }
    try {
      const { contentType, text } = await metrics.render();
      this.#answers.count(200);
      // With its length: without it, an answer to HEAD has other headers than one to GET.
      response.writeHead(200, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }).end(text);
    } catch {
      this.#answers.send(response, 'spool_unavailable');
    }
  }
}

const SECOND_MS = 1000;

/** A limit per second, counted in fixed windows of one second. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #limit: number;
  #windowStartMs: number;
  #taken = 0;

  constructor(limit: number, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
    this.#windowStartMs = clock.now();
  }

  /** @returns Whether the limit allows one more. */
  take(): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#windowStartMs >= SECOND_MS) {
      this.#windowStartMs = nowMs;
      this.#taken = 0;
    }
    this.#taken += 1;
    return this.#taken <= this.#limit;
  }
}
