/**
 * What a telemetry.json says.
 *
 * - `absent`: nothing. An object without `enabled` is a file that some later version, or nobody yet, has written to.
 * - `found`: yes or no, and the line on which `enabled` stands, from 1.
 * - `broken`: it is not what it must be, and may hold an opt-out. `reason` is a sentence without anything of the file in it.
 */
export type JsonEntry =
  | { kind: 'absent' }
  | { kind: 'found'; enabled: boolean; line: number }
  | { kind: 'broken'; reason: string; line?: number };

/** More than any such file has reason to hold. */
const MAX_BYTES = 1 << 16;

/** The key that decides; all others are ignored, since a later version may know them. */
const KEY = 'enabled';

/** A string, with the colon that makes it a key; or what opens and closes a level. The text is known to be JSON. */
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g;

/** Reads a telemetry.json: a JSON object such as `{"enabled": false}`, in UTF-8 with or without a byte order mark. Never throws. */
export function readTelemetryJson(text: string): JsonEntry {
  if (Buffer.byteLength(text) > MAX_BYTES) return { kind: 'broken', reason: 'more than 64 KiB' };
  const json = text.startsWith('\ufeff') ? text.slice(1) : text;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { kind: 'broken', reason: 'not JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { kind: 'broken', reason: 'not a JSON object' };
  if (!Object.hasOwn(value, KEY)) return { kind: 'absent' };
  const [line = 1, second] = linesOf(json);
  if (second !== undefined) return { kind: 'broken', reason: '"enabled" stands twice', line: second };
  const enabled: unknown = Reflect.get(value, KEY);
  if (typeof enabled !== 'boolean') return { kind: 'broken', reason: '"enabled" is neither true nor false', line };
  return { kind: 'found', enabled, line };
}

/** The lines on which the object itself has the key: a parser keeps the last of several, and the first may be the no. */
function linesOf(json: string): number[] {
  const lines: number[] = [];
  let depth = 0;
  for (const { 0: token, 1: text, 2: colon, index } of json.matchAll(TOKENS)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && colon !== undefined && text !== undefined && JSON.parse(text) === KEY) {
      lines.push(json.slice(0, index).split(/\r\n|\r|\n/).length);
    }
  }
  return lines;
}
