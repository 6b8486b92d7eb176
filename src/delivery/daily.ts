/*
 * Events that an installation sends once a day: asked before the first attempt, off the host's path.
 */
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Environment, Platform } from '../base/platform-types.js';
import type * as DailyFile from '../opt-out/daily-file.js';
import { configFilePath } from '../opt-out/telemetry-json.js';
import { isDaily } from '../events/definition.js';
import type { TakenEvent } from './event-buffer.js';
import { late } from './late.js';

/** Why a daily event is not sent: another one was today, or the date cannot be kept. */
type DailyReason = 'daily' | 'daily_unkept';

const loadDailyFile = late<typeof DailyFile>('dailyFile', () => import('../opt-out/daily-file.js'));

/** What it needs. */
interface DailyOptions {
  product: string;
  env: Environment;
  platform: Platform;
  clock: Clock;
  log: Log;
}

/** The days of one client. */
export class DailyEvents {
  readonly #options: DailyOptions;
  /** The day that was asked for last and the answer, by event type. */
  readonly #asked = new Map<string, { date: string; found: Promise<DailyFile.DayClaim> }>();
  /** Events that have their day: one that returns to the buffer is not asked again. */
  readonly #claimed = new WeakSet<TakenEvent>();

  constructor(options: DailyOptions) {
    this.#options = options;
  }

  /** Whether an event must be asked for before it is sent. */
  concerns(event: TakenEvent): boolean {
    return isDaily(event.definition) && !this.#claimed.has(event);
  }

  /** @returns Why it is not sent; undefined if it is. Never rejects. */
  async claim(event: TakenEvent): Promise<DailyReason | undefined> {
    const { clock, log } = this.#options;
    const { type } = event.definition;
    const date = new Date(clock.wallNow()).toISOString().slice(0, 10);
    const known = this.#asked.get(type);
    if (known?.date === date) return (await known.found) === 'unkept' ? 'daily_unkept' : 'daily';
    const asked = { date, found: this.#ask(type, date) };
    this.#asked.set(type, asked);
    const found = await asked.found;
    if (found === 'unkept') {
      // The folder may be writable later.
      this.#asked.delete(type);
      log.warn('daily_unkept', 'the date of a daily event cannot be kept in the config folder, so the event is not sent');
      return 'daily_unkept';
    }
    if (found === 'later') return 'daily';
    this.#claimed.add(event);
    return undefined;
  }

  async #ask(type: string, date: string): Promise<DailyFile.DayClaim> {
    const { product, env, platform } = this.#options;
    try {
      const file = configFilePath(product, env, platform);
      if (file === undefined) return 'unkept';
      const folder = file.slice(0, Math.max(file.lastIndexOf('/'), file.lastIndexOf('\\')));
      const { claimDay } = await loadDailyFile();
      return await claimDay(folder, type, date);
    } catch {
      return 'unkept';
    }
  }
}
