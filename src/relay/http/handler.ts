import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.js';
import type { Gate } from '../../opt-out/gate.js';
import type { Metrics } from '../metrics.js';
import { route } from '../request-target.js';
import type { DroppedField, Route, RouteOptions } from '../request-target.js';
import type { Stored } from '../../delivery/relay-store.js';
import type { AnswerName, Answers } from './answers.js';
import { guard } from './guard.js';
import type { AllowedHosts, SecretPrefix } from './guard.js';

/** What an operator's tools are told. */
export interface OperationsParts {
  /** Undefined where prom-client is not installed. */
  readonly metrics: () => Metrics | undefined;
  /** Why no events are accepted now; undefined where they are. */
  readonly unready: () => 'closing' | 'full' | 'unavailable' | undefined;
  readonly answers: Answers;
}

/** `/healthz`, `/readyz` and `/metrics`. */
export class Operations {
  readonly #parts: OperationsParts;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
  }

  /** Answers a request for one of the paths, and for any other that it is unknown. */
  answer(path: string, response: ServerResponse): void {
    const { answers, metrics, unready } = this.#parts;
    if (path === '/healthz') answers.give(response, 'alive');
    else if (path === '/readyz') answers.give(response, unready() ?? 'ready');
    else if (path !== '/metrics') answers.give(response, 'unknown_path');
    else void this.#render(metrics(), response);
  }

  async #render(metrics: Metrics | undefined, response: ServerResponse): Promise<void> {
    const { answers, unready } = this.#parts;
    if (metrics === undefined) {
      answers.give(response, unready() === 'unavailable' ? 'unavailable' : 'no_metrics');
      return;
    }
    try {
      const { contentType, text } = await metrics.render();
      answers.count(200);
      response.writeHead(200, { 'content-type': contentType }).end(text);
    } catch {
      answers.give(response, 'unavailable');
    }
  }
}

const SECOND_MS = 1000;

/** So many in a second and no more, counted from one full second to the next. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #most: number;
  #sinceMs: number;
  #taken = 0;

  constructor(most: number, clock: Clock) {
    this.#most = most;
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  /** @returns Whether there was room for one more. */
  take(): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs >= SECOND_MS) {
      this.#sinceMs = nowMs;
      this.#taken = 0;
    }
    this.#taken += 1;
    return this.#taken <= this.#most;
  }
}

/** What stands behind a door. */
export interface DoorParts {
  readonly hosts: () => AllowedHosts;
  readonly prefix: SecretPrefix;
  readonly routing: RouteOptions;
  readonly rate: RateLimit;
  readonly gate: Pick<Gate, 'isOpen'>;
  readonly answers: Answers;
  /** Undefined where metrics and health have an address of their own. */
  readonly operations: Operations | undefined;
  readonly isClosing: () => boolean;
  /** Keeps an event. Undefined where nothing can be kept. Never rejects. */
  readonly keep: (target: string, dropped: readonly DroppedField[]) => Promise<Stored | undefined>;
}

const ANSWER_TO = { disk: 'stored', memory: 'kept', full: 'full' } as const;

/** Decides what becomes of a request, and answers it. */
export class Door {
  readonly #parts: DoorParts;
  #keeping = 0;
  #onQuiet: (() => void) | undefined;

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { answers, operations } = this.#parts;
    // A client that leaves while it is answered is everyday life.
    response.on('error', ignore);
    const { method, rawHeaders, socket } = request;
    const refusal = guard({ method, rawHeaders, localAddress: socket.localAddress, localPort: socket.localPort }, this.#parts.hosts());
    if (refusal !== undefined) {
      answers.give(response, refusal);
      return;
    }
    const found = this.#route(request.url ?? '');
    if (found.kind === 'refused') answers.give(response, found.why);
    else if (found.kind === 'event') this.#receive(found, response);
    else if (operations === undefined) answers.give(response, 'unknown_path');
    else operations.answer(found.path, response);
  };

  /** Fulfils once no event is on its way into the store. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#keeping === 0) resolve();
      else this.#onQuiet = resolve;
    });
  }

  #route(target: string): Route {
    const { prefix, routing } = this.#parts;
    if (!target.startsWith('/')) return route(target, routing);
    const own = prefix.strip(target);
    return own === undefined ? { kind: 'refused', why: 'unknown_path' } : route(own, routing);
  }

  #receive({ target, dropped }: Extract<Route, { kind: 'event' }>, response: ServerResponse): void {
    const { answers, gate, rate, isClosing } = this.#parts;
    const refusal: AnswerName | undefined = isClosing() ? 'closing' : !gate.isOpen() ? 'opted_out' : !rate.take() ? 'too_many' : undefined;
    if (refusal === undefined) void this.#keep(target, dropped, response);
    else answers.give(response, refusal);
  }

  async #keep(target: string, dropped: readonly DroppedField[], response: ServerResponse): Promise<void> {
    const { answers, gate, keep } = this.#parts;
    this.#keeping += 1;
    const stored = await keep(target, dropped);
    // An opt-out that came meanwhile has emptied the store.
    if (gate.isOpen()) answers.give(response, stored === undefined ? 'unavailable' : ANSWER_TO[stored]);
    else answers.give(response, 'opted_out');
    this.#keeping -= 1;
    if (this.#keeping === 0) this.#onQuiet?.();
  }
}

function ignore(): void {}
