// The only way to the host's logger.
import type { Clock } from './clock.js';
import { onRejection } from './foreign-values.js';

/**
 * Where the package logs: console, pino, winston or any object with these two methods. A line is `[telemetry] code: text`, at most
 * one a minute for each code and level, but for those that say how a state changed (`delivery_stopped`, `delivery_resumed`) and for
 * mistakes. It never holds the query of a URL, credentials, the error text of a library or a value of an event. A logger that throws does
 * no harm.
 *
 * @example
 * const logger: Logger = { debug: () => undefined, warn: (message) => process.stderr.write(`${message}\n`) };
 */
export interface Logger {
  /**
   * Lines for debugging telemetry: why an event was not accepted (`closed`, `invalid`), or why a batch was not delivered
   * (`connect`, `timeout`, `http_503`, `debug`...). The codes are the reasons of `TelemetryStats.reasons`.
   *
   * @throws What it throws or rejects with is ignored.
   */
  debug(message: string): void;
  /**
   * Lines for the operator.
   *
   * - A setting that is not understood and therefore opts out: `config_unreadable`, `setting_unknown`, `environment_unreadable`.
   * - A file that cannot be read now, so that nothing is sent: `config_unreadable`, `permission_denied` (names the flags for Node).
   * - A setting that is ignored: `endpoint_invalid`, `proxy_invalid`, `deadline_invalid`.
   * - The endpoint cannot be reached, and why, and that it can again: `delivery_stopped`, `delivery_resumed`.
   * - Events that are lost in the host: `buffer_full`.
   * - A host none of whose first 100 events is of the product: `nothing_owned`.
   * - A mistake of the program, each once, by name and never with a value: `event_undeclared`, `event_invalid`, `field_undeclared`,
   *   `field_missing`, `field_dropped`; of the host's payloads: `payload_incomplete`, `payload_misspelt`,
   *   `payload_dropped`, `metadata_dropped`; of a `map` function: `map_failed`.
   * - Subscribers that cannot be told of everything: `subscriber_behind`.
   * - Foreign code that threw: `subscriber_failed`, `unregister_failed`, `transport_close_failed`.
   * - A dependency that cannot be loaded now, so that events wait: `load_failed`.
   * - Debug mode that cannot write: `debug_unwritable`. A date that cannot be kept: `daily_unkept`.
   *
   * @throws What it throws or rejects with is ignored.
   */
  warn(message: string): void;
}

/** At most one line per code in this time, so that a dead network does not fill the host's disk. */
const QUIET_MS = 60_000;

/** Bounds the memory if a transport invents codes. */
const MAX_CODES = 200;

/**
 * Writes lines to the host's logger, or nothing without one. The text is always ours, never an error message of a library: those
 * hold the URL and its query. A logger that throws or rejects does no harm.
 */
export class Log {
  readonly #logger: Logger | undefined;
  readonly #clock: Clock;
  readonly #lastAt = new Map<string, number>();

  constructor(logger: Logger | undefined, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** A line for the operator. */
  warn(code: string, text: string): void {
    this.#write('warn', code, text);
  }

  /** A line for the operator that no other one may hide: a state has changed, or a mistake is named that is named only once. */
  change(code: string, text: string): void {
    this.#print('warn', code, text);
  }

  /** A line for debugging telemetry. */
  debug(code: string, text: string): void {
    this.#write('debug', code, text);
  }

  #write(level: keyof Logger, code: string, text: string): void {
    if (this.#logger === undefined) return;
    const now = this.#clock.now();
    // Apart for each level: a line for debugging must not hide one for the operator.
    const key = `${level} ${code}`;
    const lastAt = this.#lastAt.get(key);
    if (lastAt !== undefined && now - lastAt < QUIET_MS) return;
    // Forgetting all codes repeats a line at worst.
    if (this.#lastAt.size >= MAX_CODES) this.#lastAt.clear();
    this.#lastAt.set(key, now);
    this.#print(level, code, text);
  }

  #print(level: keyof Logger, code: string, text: string): void {
    try {
      const written: unknown = this.#logger?.[level](`[telemetry] ${code}: ${text}`);
      onRejection(written, () => undefined);
    } catch {
      // The host's logger failed, so there is no place to report it.
    }
  }
}
