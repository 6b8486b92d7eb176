// The one endpoint of the fleet, and the network to it: it answers everything, but for an outage in which every connection is refused.

const MEDIAN_ANSWER_MS = 80;
const REFUSED_MS = 30;
/** One of so many requests is answered with 503: the client retries it. */
const ONE_IN_503 = 500;

const SENT = { kind: 'sent' };
const REFUSED = { kind: 'retryable', reason: 'connect', cause: 'refused' };
export const UNAVAILABLE = { kind: 'retryable', reason: 'http_503' };

export class Endpoint {
  /** Requests that arrive, by second. */
  arrived;
  /** Connections that are refused. */
  refused = 0;
  #world;
  #outage;
  #startMs;

  /** @param outage `{ fromMs, untilMs }`, or nothing */
  constructor(world, outage, { startMs, endMs }) {
    this.#world = world;
    this.#outage = outage;
    this.#startMs = startMs;
    this.arrived = new Uint32Array(Math.ceil((endMs - startMs) / 1000));
  }

  /** One attempt. @param done gets its outcome, later */
  request(random, done) {
    const { nowMs } = this.#world;
    if (this.#outage !== undefined && nowMs >= this.#outage.fromMs && nowMs < this.#outage.untilMs) {
      this.refused += 1;
      this.#world.at(nowMs + REFUSED_MS, () => done(REFUSED));
      return;
    }
    this.arrived[Math.floor((nowMs - this.#startMs) / 1000)] += 1;
    const outcome = random() * ONE_IN_503 < 1 ? UNAVAILABLE : SENT;
    // Half to double of the median, evenly on a logarithmic scale.
    this.#world.at(nowMs + Math.ceil(MEDIAN_ANSWER_MS * 2 ** (2 * random() - 1)), () => done(outcome));
  }
}
