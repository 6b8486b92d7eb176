import { attempt } from './decorated-transport.js';
import type { TakenEvent } from './event-buffer.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** Some events on their way through a transport. */
export interface Flight {
  readonly taken: readonly TakenEvent[];
  readonly startedAtMs: number;
  readonly controller: AbortController;
  /** Ends the wait for the transport, which may never answer. */
  release: (outcome: SendOutcome) => void;
}

/** Hands the events of a flight to the transport. Fulfils with the transport's outcome or with what the flight is released with. */
export function fly(flight: Flight, events: readonly UsageEvent[], transport: Transport): Promise<SendOutcome> {
  return new Promise((resolve) => {
    flight.release = resolve;
    void attempt(transport, events, flight.controller.signal).then(resolve);
  });
}
