/** What the callback of an exporter says of its events. */
import { given } from '../base/foreign-values.js';
import { causeOfCode } from '../delivery/http/causes.js';
import { CONNECT_REASON } from '../delivery/transport.js';
import type { Cause, SendOutcome } from '../delivery/transport.js';

/** What the host knows of its exporter and of the receiver. See the options. */
export interface ResultRules {
  readonly handedOver: boolean;
  readonly receiverDeduplicates: boolean;
}

/** The outcome of events that were perhaps counted. */
export function unknownOutcome(reason: string, { receiverDeduplicates }: ResultRules, cause?: Cause): SendOutcome {
  return { kind: receiverDeduplicates ? 'retryable' : 'rejected', reason, ...(cause && { cause }) };
}

/** `ExportResultCode.SUCCESS` of `@opentelemetry/core`. */
const SUCCESS = 0;

/**
 * The outcome that the callback reports. Never throws.
 *
 * @param result What it was called with: `{ code, error }`.
 * @param isImmediate Whether it was called before `export()` returned: nothing can have been written then.
 */
export function outcomeOfResult(result: unknown, isImmediate: boolean, rules: ResultRules): SendOutcome {
  try {
    const { code, error } = readOf(result, ['code', 'error']);
    if (code === SUCCESS) return rules.handedOver ? { kind: 'sent', handedOver: true } : { kind: 'sent' };
    return failureOf(readOf(error, ['code', 'syscall', 'message']), isImmediate, rules);
  } catch {
    // A getter of foreign code threw.
    return unknownOutcome('export_failed', rules);
  }
}

function readOf<K extends string>(value: unknown, names: readonly K[]): Partial<Record<K, unknown>> {
  const read: Partial<Record<K, unknown>> = {};
  if (typeof value !== 'object' || value === null) return read;
  for (const name of names) read[name] = given(value as Record<K, unknown>, name);
  return read;
}

/** The statuses that OTLP lets a client retry. Any other is final: see https://opentelemetry.io/docs/specs/otlp/#failures-1. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** The causes of an attempt that wrote nothing. Others belong to it if `connect` failed. */
const UNCONNECTED: ReadonlySet<Cause> = new Set(['no_address', 'refused', 'unreachable', 'tls_untrusted', 'no_descriptors']);

/** What OpenTelemetry's OTLP exporters say in words alone. The words choose an outcome and are not shown. */
const UNAVAILABLE_TEXT = 'Export failed with retryable status';
const TIMEOUT_TEXT = 'Request timed out';

/** What `@grpc/grpc-js` says, beside the code 14, of a call that it has not begun: it has no connection, or no address. */
const GRPC_UNCONNECTED = /^14 UNAVAILABLE: (?:No connection established|(Name resolution failed))/;

function failureOf(
  { code, syscall, message }: Partial<Record<'code' | 'syscall' | 'message', unknown>>,
  isImmediate: boolean,
  rules: ResultRules,
): SendOutcome {
  const status = typeof code === 'number' && Number.isInteger(code) ? code : -1;
  if (status >= 300 && status < 600) return { kind: RETRYABLE_STATUSES.has(status) ? 'retryable' : 'rejected', reason: `http_${status}` };
  if (isImmediate) return { kind: 'retryable', reason: 'exporter_busy' };
  const unconnected = typeof message === 'string' ? GRPC_UNCONNECTED.exec(message) : null;
  if (status === 14 && unconnected !== null)
    return { kind: 'retryable', reason: CONNECT_REASON, ...(unconnected[1] !== undefined && { cause: 'no_address' }) };
  // The codes of gRPC do not tell whether the call was counted.
  if (status >= 0 && status <= 16) return unknownOutcome(`grpc_${status}`, rules);
  const cause = causeOfCode(code);
  if (cause !== undefined && (UNCONNECTED.has(cause) || syscall === 'connect')) return { kind: 'retryable', reason: CONNECT_REASON, cause };
  if (cause === 'slow' || message === TIMEOUT_TEXT) return unknownOutcome('timeout', rules, cause);
  if (cause !== undefined) return unknownOutcome('network', rules, cause);
  if (message === UNAVAILABLE_TEXT) return { kind: 'retryable', reason: 'unavailable' };
  return unknownOutcome('export_failed', rules);
}
