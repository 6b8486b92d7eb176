/** The relay's log: lines of the library's form, its own life cycle at level info, and a logger that writes JSON lines. */
import type { Clock } from '../base/clock.js';
import { shorten } from '../base/describe.js';
import { Log } from '../base/log.js';
import type { Logger } from '../base/log.js';
import type { DroppedField } from './declared-fields.js';

/**
 * Where a relay logs: console, pino, winston or any object with these methods. Lines have the form of {@link Logger}; `info` gets the
 * relay's life cycle: `listening`, `recovered`, `no_metrics`, `resumed`, `closing`, `closed`.
 *
 * @example
 * const logger: RelayLogger = console;
 */
export interface RelayLogger extends Logger {
  /** Lines of the life cycle. @throws What it throws or rejects with is ignored. */
  info?: ((message: string) => void) | undefined;
}

/** At most this many dropped fields are named: clients may send any names. The rest is only counted. */
const MAX_NAMED_FIELDS = 50;

/** Why a field is not forwarded, in words. */
export const WHY_DROPPED = {
  undeclared: 'it is not declared',
  ill_typed: 'its value is not of the declared kind',
  duplicate: 'the query has it twice',
} as const satisfies Record<DroppedField['why'], string>;

/** The library's log, with a level info, and one line for each dropped field. */
export class RelayLog extends Log {
  readonly #infoLog: Log;
  readonly #fieldLog: Log;
  readonly #named = new Set<string>();

  constructor(logger: RelayLogger | undefined, clock: Clock) {
    super(logger, clock);
    const info = logger?.info === undefined ? undefined : { warn: (text: string) => logger.info?.(text), debug: () => undefined };
    this.#infoLog = new Log(info, clock);
    // A clock that jumps an hour per line lifts the limit of one line per code and minute. These lines have a separate limit.
    let nowMs = 0;
    this.#fieldLog = new Log(logger, { ...clock, now: () => (nowMs += 3_600_000) });
  }

  /** An event that an operator expects. */
  info(code: string, text: string): void {
    this.#infoLog.warn(code, text);
  }

  /** Names fields that are not forwarded: each once, and never its value. */
  droppedFields(dropped: readonly DroppedField[]): void {
    for (const { name, why } of dropped) {
      if (this.#named.size >= MAX_NAMED_FIELDS || this.#named.has(name)) continue;
      this.#named.add(name);
      this.#fieldLog.warn('field_dropped', `the field ${JSON.stringify(shorten(name))} is not forwarded: ${WHY_DROPPED[why]}`);
    }
  }
}

/** The levels of a log, from all lines to none. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'silent'] as const;

/** The lowest level that is logged. */
export type LogLevel = (typeof LOG_LEVELS)[number];

const LINE = /^\[telemetry\] ([a-z0-9_]{1,40}): (.*)$/s;

/** A logger that writes each line as JSON: `{"time","level","code","message"}`, with the time in UTC. */
export function jsonLines(write: (line: string) => unknown, lowest: LogLevel, clock: Pick<Clock, 'wallNow'>): RelayLogger {
  const log = (level: 'debug' | 'info' | 'warn') => (text: string) => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(lowest)) return;
    const { 1: code = 'log', 2: message = text } = LINE.exec(text) ?? [];
    write(`${JSON.stringify({ time: new Date(clock.wallNow()).toISOString(), level, code, message })}\n`);
  };
  return { debug: log('debug'), info: log('info'), warn: log('warn') };
}
