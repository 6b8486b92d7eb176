import type { SendOutcome, Transport, UsageEvent } from '../../src/delivery/transport.js';

/** One `send()`. */
export interface OpenSend {
  readonly events: readonly UsageEvent[];
  readonly signal: AbortSignal;
  answer(outcome: SendOutcome): void;
  fail(error: unknown): void;
}

/** A transport whose sends wait until the test answers them. */
export class ScriptedTransport implements Transport {
  readonly maxBatchSize: number;
  /** All sends, in the order of their start. */
  readonly sends: OpenSend[] = [];
  /** The sends without an answer. */
  readonly open: OpenSend[] = [];
  closed = 0;
  /** Called by each `send()`. */
  onSend: () => void = () => undefined;

  constructor({ maxBatchSize = 1 }: { maxBatchSize?: number } = {}) {
    this.maxBatchSize = maxBatchSize;
  }

  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    this.onSend();
    return new Promise((resolve, reject) => {
      const done = () => {
        this.open.splice(this.open.indexOf(send), 1);
      };
      const send: OpenSend = {
        events,
        signal,
        answer: (outcome) => {
          done();
          resolve(outcome);
        },
        fail: (error) => {
          done();
          reject(error);
        },
      };
      this.sends.push(send);
      this.open.push(send);
    });
  }

  close(): void {
    this.closed += 1;
  }

  /** The values of a field in all sends, in the order of their start. */
  started(field: string): unknown[] {
    return this.sends.flatMap(({ events }) => events.map(({ metrics }) => metrics[field]));
  }
}
