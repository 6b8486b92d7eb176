import type { ServerResponse } from 'node:http';
import type { Metrics } from '../metrics.js';
import type { Answers } from './answers.js';

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
