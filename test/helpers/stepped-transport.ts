import type { SendOutcome, Transport, UsageEvent } from '../../src/delivery/transport.js';

/** One step of a `SteppedTransport`: an outcome, or a function that returns one, hangs or throws. */
export type Step = SendOutcome | ((signal: AbortSignal) => unknown);

/** A transport that runs one step per send. The last step repeats. */
export class SteppedTransport implements Transport {
  readonly sends: { ids: string[]; atMs: number }[] = [];
  closed = 0;
  readonly #steps: Step[];
  readonly #now: () => number;

  constructor(steps: Step | readonly Step[], now: () => number = () => 0) {
    this.#steps = Array.isArray(steps) ? [...(steps as readonly Step[])] : [steps as Step];
    this.#now = now;
  }

  // Not async, so that a step can throw in the call itself.
  send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    this.sends.push({ ids: events.map(({ id }) => id), atMs: this.#now() });
    const step = (this.#steps.length > 1 ? this.#steps.shift() : this.#steps[0]) as Step;
    return (typeof step === 'function' ? step(signal) : Promise.resolve(step)) as Promise<SendOutcome>;
  }

  close(): void {
    this.closed += 1;
  }
}

/** An event as the emitter sends it. */
export function usageEvent(id = '1', type = 'dag_run'): UsageEvent {
  return { id, type, metrics: { status: 'success' }, requestTarget: () => `/v3/${type}?status=success` };
}

/** Random numbers from 0 to 1 (without 1) from a seed, by mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
