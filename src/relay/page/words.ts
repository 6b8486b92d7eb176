/** Reasons and statuses in words. */

/** What became of events, by reason. The causes of attempts are in `status.ts`. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ['expired', 'older than the longest time that an event may wait'],
  ['opted_out', 'telemetry was opted out of'],
  ['deadline', 'in memory only when the relay closed'],
  ['undecided', 'whether telemetry is opted out of was not known when the relay closed'],
  ['unreadable', 'its line on disk could not be read'],
  ['too_large', 'larger than the endpoint takes'],
  ['aborted', 'the relay closed while it was sent'],
  ['circuit_open', 'held back while the endpoint cannot be reached'],
  ['busy', 'held back until a connection is free'],
  ['unknown_event', 'no declared event'],
  ['rate_limited', 'too many events in a second'],
  ['debug', 'written down instead of sent: debug mode is on'],
  ['invalid', 'not as its declaration says'],
  ['not_json', 'a line that is no JSON'],
  ['not_object', 'a line that is no object'],
  ['bad_id', 'no id, or none that is a UUID'],
  ['bad_time', 'no time, or none in UTC'],
  ['bad_event', 'no name of an event'],
  ['bad_name', 'a field whose name is no name'],
  ['repeated_name', 'a field that comes twice'],
  ['nested_value', 'a value that is a list or an object'],
  ['null_value', 'a value that is null'],
  ['bad_number', 'a number that engines would not read alike'],
  ['bad_text', 'a text that is too long or no Unicode'],
  ['spool_full', 'the store was full'],
  ['spool_unavailable', 'the store was not open'],
]);

/** Words for a reason that is no cause of an attempt; undefined for any other. */
export function reasonWords(reason: string): string | undefined {
  return REASONS.get(reason);
}

/** What an answer means here, by status. */
const ANSWERS: ReadonlyMap<string, string> = new Map([
  ['200', 'event in memory only; or health, metrics, status and this page'],
  ['202', 'event discarded: telemetry is opted out of'],
  ['204', 'event on disk'],
  ['207', 'some events of a batch refused'],
  ['400', 'not a usage event'],
  ['403', 'foreign host, or a browser'],
  ['404', 'unknown path or event'],
  ['405', 'another method than GET'],
  ['408', 'the request took too long'],
  ['413', 'a body, or a batch that is too large'],
  ['414', 'the target is too long'],
  ['415', 'a batch of another type'],
  ['429', 'too many events in a second'],
  ['431', 'the headers are too large'],
  ['501', 'metrics without prom-client'],
  ['503', 'the store is full or not open, the relay closes, or too many batches or pages at once'],
]);

/** Words for an answer. */
export function answerWords(status: string): string {
  return ANSWERS.get(status) ?? 'another answer';
}
