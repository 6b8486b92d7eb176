import type { SendOutcome, Transport, UsageEvent } from '../../src/delivery/transport.js';

/** What one `send()` does: an outcome, or a function that returns one, hangs or throws. */
export type Step = SendOutcome | ((signal: AbortSignal) => unknown);

/** An inner transport with a script: one step for each send; the last step repeats. */
export class SteppedTransport implements Transport {
  readonly sends: { ids: string[]; atMs: number }[] = [];
  closed = 0;
  readonly #steps: Step[];
  readonly #now: () => number;

  constructor(steps: Step | readonly Step[], now: () => number = () => 0) {
    this.#steps = Array.isArray(steps) ? [...(steps as readonly Step[])] : [steps as Step];
    this.#now = now;
  }

  // Not async: a transport that throws in the call itself must do no harm either.
  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    this.sends.push({ ids: events.map(({ id }) => id), atMs: this.#now() });
    const step = (this.#steps.length > 1 ? this.#steps.shift() : this.#steps[0]) as Step;
    return (typeof step === 'function' ? step(signal) : Promise.resolve(step)) as Promise<SendOutcome>;
  }

  close(): void {
    this.closed += 1;
  }
}

/** An event as the emitter passes it to a transport. */
export function usageEvent(id = '1', type = 'dag_run'): UsageEvent {
  return { id, type, metrics: { status: 'success' }, requestTarget: () => `/v3/${type}?status=success` };
}

/** A seeded random source (mulberry32), uniform from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
