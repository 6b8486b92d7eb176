import type { Clock, Timer } from '../timing.js';

/** The bounds of a pause: no transport can make the dispatcher spin, and none can silence it for good. */
const MIN_PAUSE_MS = 10;
const MAX_PAUSE_MS = 3_600_000;

/** A time in which nothing is started. Its timer does not hold the process. */
export class Pause {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #untilMs = 0;
  #isRest = false;
  #timer: Timer | undefined;

  /** @param onOver Called when it has passed; not when it was ended. */
  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Whether it lasts. */
  get isOn(): boolean {
    return this.#untilMs !== 0 && this.#clock.now() < this.#untilMs;
  }

  /** Until when it lasts, or lasted. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Begins or prolongs it; it never gets shorter. */
  begin(waitMs: number): void {
    const boundedMs = Math.min(Math.max(waitMs, MIN_PAUSE_MS), MAX_PAUSE_MS);
    const untilMs = this.#clock.now() + boundedMs;
    if (untilMs <= this.#untilMs) return;
    this.#isRest = false;
    this.#untilMs = untilMs;
    this.#clear();
    this.#timer = this.#clock.setTimeout(() => {
      this.#untilMs = 0;
      this.#onOver();
    }, boundedMs);
    this.#timer.unref();
  }

  /** The same for our own reasons, where nothing outside asked for it: {@link wake} ends it. */
  rest(waitMs: number): void {
    if (this.isOn) return;
    this.begin(waitMs);
    this.#isRest = true;
  }

  /** Ends a rest; a pause that the network asked for goes on. */
  wake(): void {
    if (!this.#isRest) return;
    this.end();
  }

  /** Ends it, whatever it was for. */
  end(): void {
    this.#isRest = false;
    this.#untilMs = 0;
    this.#clear();
  }

  #clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
