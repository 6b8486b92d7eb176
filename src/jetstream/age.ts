/** How long an event has waited, by clocks of three machines: any of them may be wrong, and an event must not expire for that. */
import type { Delivery } from './stream.js';

/** Clocks that differ by less are taken to agree. */
const TOLERANCE_MS = 3_600_000;

/**
 * How long an event has waited since it was accepted, in milliseconds, by the clocks of its producer and of this machine. If it were too
 * old by these two, and one of them does not agree with the clock of the server, that one is not believed.
 *
 * @param delivery It says when its producer accepted it, and when the server stored it, each by its own clock.
 * @param wallMs The clock of this machine.
 * @param maxAgeMs How old an event may become. A producer keeps none for longer before the server has it.
 * @param streamMaxAgeMs How old the server lets an event become; undefined if it has no such limit.
 */
export function ageOf(
  { acceptedAtMs, storedAtMs }: Pick<Delivery, 'acceptedAtMs' | 'storedAtMs'>,
  wallMs: number,
  maxAgeMs: number,
  streamMaxAgeMs: number | undefined,
): number {
  const ageMs = Math.max(0, wallMs - (acceptedAtMs ?? storedAtMs));
  if (ageMs <= maxAgeMs) return ageMs;
  const inStreamMs = wallMs - storedAtMs;
  // Otherwise the server would have deleted it.
  const isOursWrong = inStreamMs < -TOLERANCE_MS || inStreamMs > (streamMaxAgeMs ?? Infinity) + TOLERANCE_MS;
  const beforeMs = storedAtMs - (acceptedAtMs ?? storedAtMs);
  const isProducerWrong = beforeMs < -TOLERANCE_MS || beforeMs > maxAgeMs + TOLERANCE_MS;
  // Then it is the server's that is wrong.
  if (isOursWrong && isProducerWrong) return ageMs;
  return Math.max(0, (isOursWrong ? 0 : inStreamMs) + (isProducerWrong ? 0 : beforeMs));
}
