/*
 * Usage events as lines of JSON (NDJSON): one object a line, the same in every engine. `docs/receiving.md` describes the format, and
 * `npm run test:engines` reads it back by ClickHouse, DuckDB, PostgreSQL and polars.
 */
import type { MetricValue } from './python.js';

/**
 * What a line is made of. A usage event of this package fits.
 *
 * @example
 * const event: NdjsonEvent = {
 *   id: '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b',
 *   timeMs: Date.UTC(2026, 10, 28, 22, 30),
 *   type: 'backfill',
 *   metrics: { days: 30, took: 7 },
 *   kindOf: (name) => (name === 'days' ? 'count' : 'duration'),
 * };
 */
export interface NdjsonEvent {
  /** A UUID in lower case, the same in each attempt. */
  readonly id: string;
  /**
   * When the event was published, in milliseconds since 1970. Without it the line says 1970: a time of its own in each attempt would be
   * wrong.
   */
  readonly timeMs?: number | undefined;
  /** The event type. */
  readonly type: string;
  /** The fields, in the order of the line. A field that is null or undefined is left out. */
  readonly metrics: Readonly<Record<string, MetricValue | undefined>>;
  /**
   * The declared kind of a field (`count`, `duration`, `boolean`, `hash` or a kind of text), or undefined if none is known. It never
   * throws.
   */
  readonly kindOf?: ((name: string) => string | undefined) | undefined;
}

/** What begins each hash: no hex digit, because pandas reads `06e30` as a number and drops the zeros of `00012345`. */
export const HASH_LETTER = 'h';

/** The keys that each line begins with. A field of such a name gets another key: a line has each key once. */
const OWN_KEYS: ReadonlyMap<string, string> = new Map(['id', 'time', 'event'].map((name) => [name, `field_${name}`]));

/** The key of a field in a line: its name, or `field_id`, `field_time` and `field_event` for fields of the names that lines begin with. */
export function ndjsonKey(name: string): string {
  return OWN_KEYS.get(name) ?? name;
}

/** Names as they are declared. Nothing else becomes a key, so a key needs no escapes and no quotes in SQL. */
const NAME = /^[a-z][a-z0-9_]*$/;

/** The key of one field, with the last text that was written: hosts send the same few values again and again. */
interface Key {
  /** `,"name":` */
  readonly prefix: string;
  readonly key: string;
  lastText: string | undefined;
  lastKind: string | undefined;
  lastPair: string;
}

/** Names are declared, so they are few and short. The bounds are for events and lines of foreign code: a name may fill a whole line. */
const MAX_KEYS = 1024;
const MAX_KEPT_NAME = 64;
const keys = new Map<string, Key>();

function keyOf(name: string): Key {
  const key = ndjsonKey(name);
  return { prefix: `,"${key}":`, key, lastText: undefined, lastKind: undefined, lastPair: '' };
}

function newKey(name: string): Key | undefined {
  if (!NAME.test(name)) return undefined;
  const made = keyOf(name);
  if (name.length > MAX_KEPT_NAME) return made;
  if (keys.size >= MAX_KEYS) keys.clear();
  keys.set(name, made);
  return made;
}

/**
 * One event as a line of JSON, without the newline: `id`, `time` in UTC with milliseconds, `event`, then the fields.
 *
 * - A duration is a double and always has a point or an exponent (`7.0`). A number whose kind is not known is one, too.
 * - A count has neither. More than 2^53 - 1 becomes 2^53 - 1; a count that is negative or has a fraction is left out.
 * - NaN, Infinity and null are left out; -0 becomes 0.
 * - Text is well-formed Unicode: half a surrogate pair and U+0000 become U+FFFD. A hash begins with the letter `h`.
 * - A field named `id`, `time` or `event` has the key `field_id`, `field_time` or `field_event`, unless another field has that name.
 * - A field whose value is not of its kind is left out, and so is one whose name could not be declared.
 *
 * It never throws.
 *
 * @param event A usage event, or what has the same parts.
 * @example
 * const event: NdjsonEvent = {
 *   id: '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b',
 *   timeMs: Date.UTC(2026, 10, 28, 22, 30),
 *   type: 'backfill',
 *   metrics: { days: 30, took: 7 },
 *   kindOf: (name) => (name === 'days' ? 'count' : 'duration'),
 * };
 * console.log(ndjsonLine(event).slice(45)); // "time":"2026-11-28T22:30:00.000Z","event":"backfill","days":30,"took":7.0}
 */
export function ndjsonLine(event: NdjsonEvent): string {
  const { metrics } = event;
  let line = `{"id":${jsonText(event.id)},"time":"${timeText(event.timeMs)}","event":${jsonText(event.type)}`;
  // A list of the entries would cost more than `for in`. The check excludes what a host has added to Object.prototype.
  for (const name in metrics) {
    if (!Object.prototype.hasOwnProperty.call(metrics, name)) continue;
    const value = metrics[name];
    if (value === undefined || value === null) continue;
    const key = keys.get(name) ?? newKey(name);
    if (key === undefined || (key.key !== name && Object.hasOwn(metrics, key.key))) continue;
    line += typeof value === 'string' ? textPair(key, value, event.kindOf?.(name)) : plainPair(key, value, event.kindOf?.(name));
  }
  return `${line}}`;
}

type Metrics = NdjsonEvent['metrics'];

/** The key of a field of a known kind. */
interface DeclaredKey extends Key {
  readonly kind: string | undefined;
}

/** An event of a client, whose id, type and names are checked. Events of one type have the same kinds. */
type OwnEvent = Omit<NdjsonEvent, 'metrics'>;

/**
 * The lines of many events of one type: the fields that all of them have are written once, and a field that is in the same place as in the
 * line before is not looked up.
 */
export class NdjsonLines {
  /** Undefined if one of these fields gets another key. */
  readonly #base: string | undefined;
  readonly #fields = new Map<string, DeclaredKey>();
  /** The fields of the line before. */
  readonly #order: DeclaredKey[] = [];
  #place = 0;
  #timeMs: number | undefined;
  /** What follows the id, up to the event's own fields. */
  #afterId = '';

  /** @param base The fields that each line begins with. */
  constructor(event: OwnEvent, base: Metrics) {
    const pairs = this.#pairs(event, base);
    this.#base = pairs === undefined ? undefined : `","event":"${event.type}"${pairs}`;
  }

  /**
   * The line that {@link ndjsonLine} makes of the same fields.
   *
   * @param own The event's own fields. None of them is in `base`.
   * @param more Further ones, which follow.
   * @returns Undefined for an event with a field that gets another key.
   */
  line(event: OwnEvent, own: Metrics, more?: Metrics): string | undefined {
    const { id, timeMs } = event;
    if (this.#base === undefined) return undefined;
    if (timeMs !== this.#timeMs || this.#afterId === '') {
      this.#afterId = ['","time":"', timeText(timeMs), this.#base].join('');
      this.#timeMs = timeMs;
    }
    this.#place = 0;
    const pairs = this.#pairs(event, own);
    const morePairs = more === undefined ? '' : this.#pairs(event, more);
    return pairs === undefined || morePairs === undefined ? undefined : `{"id":"${id}${this.#afterId}${pairs}${morePairs}}`;
  }

  #pairs(event: OwnEvent, metrics: Metrics): string | undefined {
    const order = this.#order;
    let place = this.#place;
    let pairs = '';
    for (const name in metrics) {
      if (!Object.prototype.hasOwnProperty.call(metrics, name)) continue;
      const value = metrics[name];
      if (value === undefined || value === null) continue;
      let field = order[place];
      if (field?.key !== name) {
        field = this.#fieldOf(event, name);
        if (field === undefined) return undefined;
        order[place] = field;
      }
      place += 1;
      pairs += typeof value === 'string' ? textPair(field, value, field.kind) : plainPair(field, value, field.kind);
    }
    this.#place = place;
    return pairs;
  }

  #fieldOf(event: OwnEvent, name: string): DeclaredKey | undefined {
    let field = this.#fields.get(name);
    if (field === undefined && !OWN_KEYS.has(name)) {
      field = { ...keyOf(name), kind: event.kindOf?.(name) };
      this.#fields.set(name, field);
    }
    return field;
  }
}

function textPair(key: Key, text: string, kind: string | undefined): string {
  if (kind === 'count' || kind === 'duration' || kind === 'boolean') return '';
  if (text !== key.lastText || kind !== key.lastKind) {
    // Joined it is one piece, and so is whatever it is a part of written faster: `+` would keep two.
    key.lastPair = [key.prefix, jsonText(kind === 'hash' ? HASH_LETTER + text : fromWire(text, kind))].join('');
    key.lastText = text;
    key.lastKind = kind;
  }
  return key.lastPair;
}

function plainPair({ prefix }: Key, value: number | boolean, kind: string | undefined): string {
  if (typeof value === 'boolean') return kind === 'boolean' || kind === undefined ? `${prefix}${value}` : '';
  if (kind === 'count') return Number.isInteger(value) && value >= 0 ? prefix + Math.min(value, Number.MAX_SAFE_INTEGER) : '';
  return (kind === 'duration' || kind === undefined) && Number.isFinite(value) ? prefix + doubleText(value) : '';
}

/** Cosmos quotes Airflow's version before it builds its query. Here it is as it was: no version has a percent sign. */
function fromWire(text: string, kind: string | undefined): string {
  return kind === 'version' && text.includes('%') ? text.replaceAll('%2B', '+').replaceAll('%21', '!') : text;
}

/**
 * A number that every reader takes for a double. `JSON.stringify` writes 7.0 as `7`: a reader that guesses takes the column for integers.
 */
function doubleText(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value);
}

/** Printable ASCII without quotes and backslashes. */
const NOTHING_TO_ESCAPE = /^[ !#-[\]-~]*$/;

/** What JSON allows in a text, and readers that split lines by Unicode's rules (`str.splitlines` of Python) take for the end of one. */
const LINE_ENDS = /[\u0085\u2028\u2029]/g;

/** A JSON text. Well-formed: half a surrogate pair stops most readers, and U+0000 those of PostgreSQL. */
function jsonText(text: string): string {
  if (NOTHING_TO_ESCAPE.test(text)) return `"${text}"`;
  return JSON.stringify(text.toWellFormed().replaceAll('\0', '\uFFFD')).replace(
    LINE_ENDS,
    (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The last millisecond of 2299: the end of ClickHouse's `DateTime64`. */
const MAX_TIME_MS = Date.UTC(2300, 0) - 1;

let lastTimeMs = 0;
let lastTimeText = new Date(0).toISOString();

/** UTC, always with three digits. A time outside of 1970 to 2299 becomes the nearest inside, and one that is no number 1970. */
function timeText(timeMs = 0): string {
  // Events of one turn of the event loop share their time.
  if (timeMs === lastTimeMs) return lastTimeText;
  lastTimeText = new Date(timeMs > 0 ? Math.min(timeMs, MAX_TIME_MS) : 0).toISOString();
  lastTimeMs = timeMs;
  return lastTimeText;
}

/**
 * Why a line is not of the format. The list is closed.
 *
 * - `not_json`: no JSON, with a byte order mark or cut off, for example; `not_object`: JSON, but no object.
 * - `bad_id`, `bad_time`, `bad_event`: missing, or of another form.
 * - `bad_name`: a key that no field can have; `repeated_name`: a key twice.
 * - `nested_value`, `null_value`: a value that is no text, number or boolean.
 * - `bad_number`: a count above 2^53 - 1 or below 0, or a double beyond the largest.
 * - `bad_text`: half a surrogate pair, or U+0000.
 *
 * @example
 * const problem: NdjsonProblem = 'bad_time';
 */
export type NdjsonProblem =
  | 'not_json'
  | 'not_object'
  | 'bad_id'
  | 'bad_time'
  | 'bad_event'
  | 'bad_name'
  | 'repeated_name'
  | 'nested_value'
  | 'null_value'
  | 'bad_number'
  | 'bad_text';

/**
 * The kind of a value as its line tells it: which kind of text it is, no line tells.
 *
 * @example
 * const kind: NdjsonKind = 'count';
 */
export type NdjsonKind = 'count' | 'duration' | 'boolean' | 'text';

/**
 * An event as its line tells it. `ndjsonLine` makes the same line of it again.
 *
 * @example
 * const daysOf = ({ metrics }: ReadNdjsonEvent) => metrics['days'];
 */
export interface ReadNdjsonEvent extends NdjsonEvent {
  /** When the event was published, in milliseconds since 1970. */
  readonly timeMs: number;
  /** The fields, in the order of the line. */
  readonly metrics: Readonly<Record<string, string | number | boolean>>;
  /** The kind of a field, or undefined if the line has none of that name. It never throws. */
  kindOf(name: string): NdjsonKind | undefined;
}

/**
 * The event of a line, or why there is none.
 *
 * @example
 * const reading: NdjsonReading = readNdjsonLine('{}');
 * if ('event' in reading) throw new Error(reading.event.type);
 */
export type NdjsonReading = { readonly event: ReadNdjsonEvent } | { readonly problem: NdjsonProblem };

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const EVENT = /^[a-z][a-z0-9_]{0,31}$/;

/**
 * Reads a line that `ndjsonLine` could have written, in any order of its keys. It is strict: what it accepts is read the same by every
 * engine. It has no limit of length: whoever calls it has one. It never throws.
 *
 * @param line Without the newline.
 * @example
 * const reading =
 * readNdjsonLine('{"id":"019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b","time":"2026-11-28T22:30:00.000Z","event":"backfill","days":null}');
 * console.log('problem' in reading && reading.problem); // null_value
 */
export function readNdjsonLine(line: string): NdjsonReading {
  let values: unknown;
  try {
    values = JSON.parse(line);
  } catch {
    return { problem: 'not_json' };
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return { problem: 'not_object' };
  const metrics: Record<string, string | number | boolean> = {};
  const doubles = new Set<string>();
  const problem = scan(line, values as Readonly<Record<string, unknown>>, metrics, doubles);
  if (problem !== undefined) return { problem };
  const { id, time, event } = ownTexts(values);
  if (id === undefined || !isUuid(id)) return { problem: 'bad_id' };
  const timeMs = time !== undefined && TIME.test(time) ? Date.parse(time) : Number.NaN;
  // 30 February would become 2 March.
  if (!(timeMs >= 0 && timeMs <= MAX_TIME_MS && new Date(timeMs).toISOString() === time)) return { problem: 'bad_time' };
  if (event === undefined || !EVENT.test(event)) return { problem: 'bad_event' };
  return { event: { id, timeMs, type: event, metrics, kindOf: (name) => kindOf(metrics, doubles, name) } };
}

/** Whether a text is a UUID in lower case, as the id of a line is. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The values that each line begins with, if they are texts. What a polluted `Object.prototype` holds is none. */
function ownTexts(values: object): { id?: string | undefined; time?: string | undefined; event?: string | undefined } {
  const text = (name: string) => {
    const value: unknown = Object.hasOwn(values, name) ? (values as Record<string, unknown>)[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  return { id: text('id'), time: text('time'), event: text('event') };
}

function kindOf(metrics: Readonly<Record<string, unknown>>, doubles: ReadonlySet<string>, name: string): NdjsonKind | undefined {
  if (!Object.hasOwn(metrics, name)) return undefined;
  const type = typeof metrics[name];
  return type === 'boolean' ? 'boolean' : type === 'string' ? 'text' : doubles.has(name) ? 'duration' : 'count';
}

const QUOTE = 0x22;
const COLON = 0x3a;
const SPACE = 0x20;
const BACKSLASH = 0x5c;

/**
 * Finds what `JSON.parse` does not tell: a key twice, of which it keeps the last value, and how a number is written. So each pair of the
 * line must be the next one of `values`.
 */
function scan(
  line: string,
  values: Readonly<Record<string, unknown>>,
  metrics: Record<string, string | number | boolean>,
  doubles: Set<string>,
): NdjsonProblem | undefined {
  const hasEscapes = line.includes('\\');
  // Without escapes, what is well-formed as a line is so in each text.
  const isCleanLine = !hasEscapes && line.isWellFormed();
  let at = 0;
  for (const name in values) {
    if (!Object.prototype.hasOwnProperty.call(values, name)) continue;
    if ((keys.get(name) ?? newKey(name)) === undefined) return 'bad_name';
    const open = line.indexOf('"', at);
    const close = open + 1 + name.length;
    if (!line.startsWith(name, open + 1) || line.charCodeAt(close) !== QUOTE) return wrongName(line, open);
    let start = close + 1;
    for (let code = COLON; code <= SPACE || code === COLON; code = line.charCodeAt(start)) start += 1;
    const value = values[name];
    const first = line.charAt(start);
    if (first === '"') {
      if (typeof value !== 'string') return 'repeated_name';
      if (!isCleanLine && !isClean(value)) return 'bad_text';
      at = (hasEscapes ? endOfText(line, start) : start + 1 + value.length) + 1;
      if (!hasEscapes && line.charCodeAt(at - 1) !== QUOTE) return 'repeated_name';
    } else if (first === '{' || first === '[') return 'nested_value';
    else if (first === 'n') return 'null_value';
    else if (first === 't' || first === 'f') {
      if (typeof value !== 'boolean') return 'repeated_name';
      at = start;
    } else {
      at = endOfNumber(line, start);
      const written = line.slice(start, at);
      if (typeof value !== 'number' || Number(written) !== value) return 'repeated_name';
      if (!DOUBLE.test(written)) {
        if (!Number.isSafeInteger(value) || value < 0 || written === '-0') return 'bad_number';
      } else if (Number.isFinite(value)) doubles.add(name);
      else return 'bad_number';
    }
    if (!OWN_KEYS.has(name)) metrics[name] = value;
  }
  const open = line.indexOf('"', at);
  return open < 0 ? undefined : wrongName(line, open);
}

/** A key that is not the next one of the object was there before, or is written with escapes. */
function wrongName(line: string, open: number): NdjsonProblem {
  return NAME.test(line.slice(open + 1, endOfText(line, open))) ? 'repeated_name' : 'bad_name';
}

function isClean(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

const DOUBLE = /[.eE]/;

/** The index of the quote that ends the text that `open` begins. */
function endOfText(line: string, open: number): number {
  for (let close = line.indexOf('"', open + 1); ; close = line.indexOf('"', close + 1)) {
    let escapes = 0;
    while (line.charCodeAt(close - 1 - escapes) === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return close;
  }
}

const AFTER_NUMBER = ' \t\r\n,}';

function endOfNumber(line: string, start: number): number {
  let end = start;
  while (!AFTER_NUMBER.includes(line.charAt(end))) end += 1;
  return end;
}
