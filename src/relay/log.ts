import type { Clock } from '../base/clock.js';
import { shorten } from '../base/describe.js';
import { Log } from '../base/log.js';
import type { Logger } from '../base/log.js';
import type { DroppedField } from './request-target.js';

/**
 * What a relay logs to: console, pino, winston or anything else with these methods. Lines are as those of {@link Logger}; `info`
 * hears of the relay's own life: `listening`, `recovered`, `closing`, `closed`.
 */
export interface RelayLogger extends Logger {
  info?(message: string): void;
}

/** Fields that nobody declared may have any name: so many are named in the log, and the rest is only counted. */
const MAX_NAMED_FIELDS = 50;

const WHY = {
  undeclared: 'nobody has declared it',
  ill_typed: 'its value is not of its kind',
  duplicate: 'it stands there twice',
} as const;

/** The log of a relay: that of the library, its own life, and each dropped field once. */
export class RelayLog extends Log {
  readonly #life: Log;
  readonly #fields: Log;
  readonly #named = new Set<string>();

  constructor(logger: RelayLogger | undefined, clock: Clock) {
    super(logger, clock);
    const info = logger?.info === undefined ? undefined : { warn: (text: string) => logger.info?.(text), debug: () => undefined };
    this.#life = new Log(info, clock);
    // Each name is said once at most and they are bounded, so no line of theirs keeps another back.
    let nowMs = 0;
    this.#fields = new Log(logger, { ...clock, now: () => (nowMs += 3_600_000) });
  }

  /** Something that an operator expects to happen. */
  info(code: string, text: string): void {
    this.#life.warn(code, text);
  }

  /** Names fields that did not go on, each once, and never with a value. */
  droppedFields(dropped: readonly DroppedField[]): void {
    for (const { name, why } of dropped) {
      if (this.#named.size >= MAX_NAMED_FIELDS || this.#named.has(name)) continue;
      this.#named.add(name);
      this.#fields.warn('field_dropped', `the field ${JSON.stringify(shorten(name))} does not go on: ${WHY[why]}`);
    }
  }
}

/** What is logged, from all to nothing: each level with those after it. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'silent'] as const;

/** One of them. */
export type LogLevel = (typeof LOG_LEVELS)[number];

const LINE = /^\[telemetry\] ([a-z0-9_]{1,40}): (.*)$/s;

/** A logger that writes each line as JSON: `{"time","level","code","message"}`, with the time in UTC. */
export function jsonLines(write: (line: string) => unknown, least: LogLevel, clock: Pick<Clock, 'wallNow'>): RelayLogger {
  const log = (level: 'debug' | 'info' | 'warn') => (text: string) => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    const [, code = 'log', message = text] = LINE.exec(text) ?? [];
    write(`${JSON.stringify({ time: new Date(clock.wallNow()).toISOString(), level, code, message })}\n`);
  };
  return { debug: log('debug'), info: log('info'), warn: log('warn') };
}
