/*
 * Debug mode: prints each request instead of sending it.
 */
import type { Clock } from '../base/clock.js';
import { readProblem } from '../base/describe.js';
import { bare, given } from '../base/foreign-values.js';
import type { Log } from '../base/log.js';
import { machineDescriptors } from '../base/machine.js';
import type { FileDescriptors } from '../base/machine.js';
import type { DebugMode } from '../opt-out/variables.js';
import { requestUrl } from '../wire/url.js';
import { steering } from './transport.js';
import type { SendOutcome, Transport, UsageEvent } from './transport.js';

/** What a debug transport needs. */
interface DebugTransportOptions {
  mode: DebugMode;
  /** The URL before each request target. @default '', for a program that delivers with its own transport */
  endpoint?: string | undefined;
  /** The program's own transport. It sends nothing in debug mode, and is closed with this one. */
  instead?: Transport | undefined;
  log: Log;
  clock: Clock;
  /** @default the files of this machine */
  access?: FileDescriptors | undefined;
}

const DEBUG: SendOutcome = { kind: 'refused', reason: 'debug' };
const INVALID: SendOutcome = { kind: 'refused', reason: 'invalid' };

/**
 * Prints each request as `[telemetry] GET {endpoint}/v3/{type}?{query}`, to standard error or to the end of a file, and sends nothing:
 * every event is dropped as `debug`. Standard output is never used. An event that cannot be printed is not sent either: a warning is
 * logged, and the next line that can be written is preceded by one that says how many are missing.
 */
export function debugTransport(options: DebugTransportOptions): Transport {
  const { mode, endpoint = '', instead, log, clock, access } = bare(options);
  const path = given(mode, 'path');
  const writer = new LineWriter(path, clock, access);
  return {
    async send(events) {
      let lines: string;
      try {
        const shown = (event: UsageEvent): string =>
          instead?.[steering]?.shows?.(event) ?? `GET ${requestUrl(endpoint, event.requestTarget())}`;
        lines = events.map((event) => `[telemetry] ${shown(event)}`).join('\n');
      } catch {
        return INVALID;
      }
      try {
        await writer.write(lines, events.length);
      } catch (error) {
        const place = path === undefined ? 'standard error' : `the file of ${mode.variable}`;
        log.warn('debug_unwritable', `${place} cannot be written to (${readProblem(error).why}); nothing is sent either`);
      }
      return DEBUG;
    },
    async close() {
      try {
        if (instead !== undefined) await given(instead, 'close')?.call(instead);
      } finally {
        await writer.close();
      }
    },
  };
}

const STDERR = 2;

/** A full pipe answers EAGAIN. The writer waits for its reader this often, and this long each time. */
const MAX_PAUSES = 100;
const PAUSE_MS = 10;

/**
 * Writes lines to standard error or to the end of a file, in order and off the host's path. It uses the descriptor and not
 * `process.stderr`, which blocks the host while a pipe is full and throws into it after the pipe was closed.
 */
class LineWriter {
  readonly #clock: Clock;
  readonly #access: FileDescriptors;
  readonly #path: string | undefined;
  /** Requests that could not be written since the last one that could. */
  #missing = 0;
  /** Whether the last line was written in part. */
  #isTorn = false;
  #last: Promise<void> = Promise.resolve();

  /** @param path A file, opened for each write, since it may be rotated or deleted; undefined for standard error. */
  constructor(path: string | undefined, clock: Clock, access: FileDescriptors = machineDescriptors()) {
    this.#path = path;
    this.#clock = clock;
    this.#access = access;
  }

  /** Resolves when the lines are written; rejects as node:fs does. */
  write(lines: string, requests: number): Promise<void> {
    const written = this.#last.then(() => this.#write(lines, requests));
    this.#last = written.catch(() => undefined);
    return written;
  }

  /** Resolves after the last line is written. Never rejects. */
  async close(): Promise<void> {
    await this.#last;
  }

  async #write(lines: string, requests: number): Promise<void> {
    const gap = this.#missing === 0 ? '' : `[telemetry] ${this.#missing} requests could not be written here\n`;
    try {
      await this.#append(Buffer.from(`${this.#isTorn ? '\n' : ''}${gap}${lines}\n`));
      this.#missing = 0;
      this.#isTorn = false;
    } catch (error) {
      this.#missing += requests;
      throw error;
    }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (this.#path === undefined) return this.#writeTo(STDERR, bytes);
    const descriptor = await this.#access.open(this.#path);
    try {
      await this.#writeTo(descriptor, bytes);
    } finally {
      await this.#access.close(descriptor);
    }
  }

  async #writeTo(descriptor: number, bytes: Uint8Array): Promise<void> {
    let pauses = 0;
    for (let rest = bytes; rest.length > 0; ) {
      try {
        rest = rest.subarray(await this.#access.write(descriptor, rest));
        this.#isTorn = rest.length > 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || pauses === MAX_PAUSES) throw error;
        pauses += 1;
        await this.#pause();
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimeout(resolve, PAUSE_MS).unref();
    });
  }
}
