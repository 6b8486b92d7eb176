import type { Clock } from '../timing.js';
import type { RelayLogger } from './relay-log.js';

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
