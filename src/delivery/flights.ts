import { attemptThen } from './decorated-transport.js';
import type { TakenEvent } from './event-buffer.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** Some events on their way through a transport. */
export class Flight {
  readonly taken: readonly TakenEvent[];
  readonly controller: AbortController;
  readonly startedAtMs: number;
  /** The transport's outcome, or the one that the flight was released with. Never rejects. */
  readonly outcome: Promise<SendOutcome>;
  #resolve: (outcome: SendOutcome) => void = () => undefined;

  constructor(taken: readonly TakenEvent[], controller: AbortController, startedAtMs: number) {
    this.taken = taken;
    this.controller = controller;
    this.startedAtMs = startedAtMs;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Hands the events to the transport. */
  begin(events: readonly UsageEvent[], transport: Transport): void {
    attemptThen(transport, events, this.controller.signal, this.#resolve);
  }

  /** Ends the wait for the transport, which may never answer. */
  release(outcome: SendOutcome): void {
    this.#resolve(outcome);
  }
}
