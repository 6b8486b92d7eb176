import type { Log } from '../log.js';
import type { DebugMode } from '../settings/debug-mode.js';
import { readProblem } from '../settings/rules.js';
import type { Clock } from '../timing.js';
import { requestUrl } from '../wire/request-url.js';
import { LineWriter } from './line-writer.js';
import type { DescriptorAccess } from './line-writer.js';
import type { SendOutcome, Transport } from './transport.js';

/** How a debug transport is made. */
export interface DebugTransportOptions {
  mode: DebugMode;
  /** What stands before each request target. @default nothing, as where a program delivers by a transport of its own */
  endpoint?: string | undefined;
  /** The program's own transport, which is not asked to send anything, and closed with this one. */
  instead?: Transport | undefined;
  log: Log;
  clock: Clock;
  /** Files as descriptors. @default the machine's */
  access?: DescriptorAccess | undefined;
}

const DEBUG: SendOutcome = { kind: 'refused', reason: 'debug' };
const INVALID: SendOutcome = { kind: 'refused', reason: 'invalid' };

/**
 * Prints each request as `[telemetry] GET {endpoint}/v3/{type}?{query}`, to standard error or to the end of a file, and sends nothing:
 * every event is dropped as `debug`. Standard output is never touched. What cannot be printed is not sent either, and warns once.
 */
export function debugTransport({ mode, endpoint = '', instead, log, clock, access }: DebugTransportOptions): Transport {
  const writer = new LineWriter(mode.path, clock, access);
  let hasWarned = false;
  return {
    async send(events) {
      let lines: string;
      try {
        lines = events.map((event) => `[telemetry] GET ${requestUrl(endpoint, event.requestTarget())}`).join('\n');
      } catch {
        return INVALID;
      }
      try {
        await writer.write(lines);
      } catch (error) {
        const place = mode.path === undefined ? 'standard error' : `the file of ${mode.variable}`;
        if (!hasWarned) log.warn('debug_unwritable', `${place} cannot be written to (${readProblem(error).why}); nothing is sent either`);
        hasWarned = true;
      }
      return DEBUG;
    },
    async close() {
      try {
        await instead?.close?.();
      } finally {
        await writer.close();
      }
    },
  };
}
