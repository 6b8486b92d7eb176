import { circuitBreaker } from '../../src/delivery/circuit-breaker.js';
import type { CircuitBreakerOptions } from '../../src/delivery/circuit-breaker.js';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { SteppedTransport, usageEvent } from './stepped-transport.js';
import type { Step } from './stepped-transport.js';
import { VirtualClock } from './virtual-clock.js';

export const CONNECT = { kind: 'retryable', reason: 'connect' } as const satisfies SendOutcome;
export const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };
export const SENT: SendOutcome = { kind: 'sent' };
export const HOUR_MS = 3_600_000;

export interface BreakerRig {
  clock: VirtualClock;
  network: { answer: Step };
  inner: SteppedTransport;
  transport: Transport;
  send: (signal?: AbortSignal) => Promise<SendOutcome>;
  attempts: () => number;
  /** Fails as often as it takes to open the circuit; then the time is 1200 and the next probe is due at 3200. */
  open: () => Promise<void>;
}

/** A breaker on a virtual clock. `network.answer` is what the inner transport does next; a test may change it at any time. */
export function breakerRig(answer: Step, options: CircuitBreakerOptions = {}): BreakerRig {
  const clock = new VirtualClock();
  const network: BreakerRig['network'] = { answer };
  const inner = new SteppedTransport(
    (signal) => (typeof network.answer === 'function' ? network.answer(signal) : network.answer),
    () => clock.now(),
  );
  const transport = circuitBreaker(inner, { clock, random: () => 0.5, ...options });
  const send = (signal = new AbortController().signal) => transport.send([usageEvent()], signal);
  return {
    clock,
    network,
    inner,
    transport,
    send,
    attempts: () => inner.sends.length,
    open: async (): Promise<void> => {
      for (let failures = 0; failures < 5; failures += 1) {
        await send();
        if (failures < 4) await clock.advance(300);
      }
    },
  };
}

/** An attempt that the test ends. */
export function pending() {
  const ends: ((outcome: SendOutcome) => void)[] = [];
  const promise = new Promise<SendOutcome>((resolve) => {
    ends.push(resolve);
  });
  return { promise, resolve: (outcome: SendOutcome) => ends[0]?.(outcome) };
}

export function deferred(waitMs: number, reason = 'circuit_open'): SendOutcome {
  return { kind: 'deferred', waitMs, reason };
}
