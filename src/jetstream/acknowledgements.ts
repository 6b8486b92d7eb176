/** Tells the server which events have their fate, until it confirms that: an event whose acknowledgement is lost would come again. */
import type { Clock, Timer } from '../base/clock.js';
import { LinkError } from './connection.js';
import type { Link } from './connection.js';
import { ACK } from './stream.js';

/** The wait before acknowledgements are repeated that the server did not confirm. */
const RETRY_MS = 1000;

/** The acknowledgements that the server has not confirmed. */
export class Acknowledgements {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** The subject of the acknowledgement, by the event. */
  readonly #unconfirmed = new Map<string, string>();
  #retry: Timer | undefined;
  #onConfirmed: (() => void) | undefined;

  constructor(link: Link, clock: Clock, timeoutMs: number) {
    this.#link = link;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether the fate of an event is known, and the server may not know that. */
  has(event: string): boolean {
    return this.#unconfirmed.has(event);
  }

  /** Has the server delete an event. Never throws. */
  send(event: string, ackSubject: string): void {
    this.#unconfirmed.set(event, ackSubject);
    if (this.#link.isUp) void this.#ask(event, ackSubject);
  }

  /** Repeats what is not confirmed. To be called when the queue can be reached again. */
  readonly repeat = (): void => {
    this.#stopWaiting();
    for (const [event, ackSubject] of this.#unconfirmed) this.send(event, ackSubject);
  };

  /** The events are gone with their stream. */
  forget(): void {
    this.#unconfirmed.clear();
    this.#stopWaiting();
    this.#onConfirmed?.();
  }

  /** Repeats nothing any more. @returns Fulfils once all are confirmed, and at once without a connection. */
  end(): Promise<void> {
    this.#stopWaiting();
    return new Promise((resolve) => {
      this.#onConfirmed = resolve;
      if (this.#unconfirmed.size === 0 || !this.#link.isUp) resolve();
    });
  }

  async #ask(event: string, ackSubject: string): Promise<void> {
    try {
      await this.#link.request(ackSubject, ACK, this.#timeoutMs);
      this.#unconfirmed.delete(event);
      if (this.#unconfirmed.size === 0) this.#onConfirmed?.();
    } catch (error) {
      // A connection that is dead does not say so.
      if (error instanceof LinkError && error.reason === 'timeout') this.#link.drop();
      // The consumer has no leader now, or is gone. One timer for all of them: each would repeat them all.
      else if (this.#link.isUp && this.#onConfirmed === undefined) this.#wait();
    }
  }

  #wait(): void {
    this.#retry ??= this.#clock.setTimeout(this.repeat, RETRY_MS);
    this.#retry.unref();
  }

  #stopWaiting(): void {
    if (this.#retry !== undefined) this.#clock.clearTimeout(this.#retry);
    this.#retry = undefined;
  }
}
