import type { Clock } from './clock.js';
import { onRejection } from './foreign-values.js';

/**
 * What the package logs to: console, pino, winston or anything else with these two methods. Each line is `[telemetry] code: text`,
 * at most one a minute for each code, and holds no URL's query, no credential, no library's error text and nothing of an event.
 * A logger that throws harms nobody.
 */
export interface Logger {
  /**
   * What only a person who debugs telemetry wants to see: the reason of an event that was not taken (`closed`, `invalid`) and of a
   * batch that was not delivered (`connect`, `timeout`, `http_503`, `debug`...), as in `TelemetryStats.reasons`.
   */
  debug(message: string): void;
  /**
   * What the operator may want to mend. A setting that is not understood and so opts out: `config_unreadable`, `setting_unknown`,
   * `environment_unreadable`. One that is ignored: `endpoint_invalid`, `proxy_invalid`, `deadline_invalid`. Events lost in the host: `buffer_full`,
   * `invalid` (a payload). Code around us that threw: `subscriber_failed`, `unregister_failed`, `transport_close_failed`, `load_failed`. Debug
   * mode that cannot write: `debug_unwritable`.
   */
  warn(message: string): void;
}

/** At most one line per code in this time: a dead network must not fill a host's disk. */
const QUIET_MS = 60_000;

const MAX_CODES = 200;

/**
 * The only way to the host's logger. A line is `[telemetry] code: text`; the text is ours, never a library's error message,
 * since that holds the URL and its query. Silent without a logger, and a logger that throws or rejects harms nobody.
 */
export class Log {
  readonly #logger: Logger | undefined;
  readonly #clock: Clock;
  readonly #lastAt = new Map<string, number>();

  constructor(logger: Logger | undefined, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Something the operator may want to mend. */
  warn(code: string, text: string): void {
    this.#write('warn', code, text);
  }

  /** Something only a person who debugs telemetry wants to see. */
  debug(code: string, text: string): void {
    this.#write('debug', code, text);
  }

  #write(level: keyof Logger, code: string, text: string): void {
    if (this.#logger === undefined) return;
    const now = this.#clock.now();
    const lastAt = this.#lastAt.get(code);
    if (lastAt !== undefined && now - lastAt < QUIET_MS) return;
    // As many codes as that come from a transport that invents them: forgetting what was said costs a line too many at worst.
    if (this.#lastAt.size >= MAX_CODES) this.#lastAt.clear();
    this.#lastAt.set(code, now);
    try {
      const written: unknown = this.#logger[level](`[telemetry] ${code}: ${text}`);
      onRejection(written, () => undefined);
    } catch {
      // The host's logger failed: there is nowhere left to say so, and the host comes first.
    }
  }
}
