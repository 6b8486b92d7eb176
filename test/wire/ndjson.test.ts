import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';
import { ndjsonKey, ndjsonLine, NdjsonLines, readNdjsonLine } from '../../src/wire/ndjson.js';
import type { NdjsonEvent, NdjsonProblem } from '../../src/wire/ndjson.js';
import type { UsageEvent } from '../../src/index.js';

const ID = '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b';
const TIME_MS = Date.UTC(2026, 10, 28, 22, 30, 29, 203);
const START = `{"id":"${ID}","time":"2026-11-28T22:30:29.203Z","event":"backfill"`;

type Metrics = NdjsonEvent['metrics'];

function eventWith(metrics: Metrics, kinds: Readonly<Record<string, string>> = {}): NdjsonEvent {
  return { id: ID, timeMs: TIME_MS, type: 'backfill', metrics, kindOf: (name) => (Object.hasOwn(kinds, name) ? kinds[name] : undefined) };
}

/** What the line of one field has after its three keys. */
function written(value: Metrics[string], kind?: string, name = 'field'): string {
  const line = ndjsonLine(eventWith({ [name]: value }, kind === undefined ? {} : { [name]: kind }));
  return line.slice(START.length, -1);
}

test('a line begins with id, time and event, then has the fields in their order', (t) => {
  const event = eventWith(
    { status: 'success', acme_task_count: 3, duration: 7, is_mapped_task: false },
    { status: 'oneOf', acme_task_count: 'count', duration: 'duration', is_mapped_task: 'boolean' },
  );
  t.is(ndjsonLine(event), `${START},"status":"success","acme_task_count":3,"duration":7.0,"is_mapped_task":false}`);
  t.is(ndjsonLine(eventWith({})), `${START}}`);
});

const TIMES: readonly [number, string][] = [
  [0, '1970-01-01T00:00:00.000Z'],
  [1, '1970-01-01T00:00:00.001Z'],
  [Date.UTC(2026, 1, 28, 23, 59, 59), '2026-02-28T23:59:59.000Z'],
  [Date.UTC(2026, 1, 28, 23, 59, 59, 100), '2026-02-28T23:59:59.100Z'],
  [1.9, '1970-01-01T00:00:00.001Z'],
  [-1, '1970-01-01T00:00:00.000Z'],
  [NaN, '1970-01-01T00:00:00.000Z'],
  [-Infinity, '1970-01-01T00:00:00.000Z'],
  [Infinity, '2299-12-31T23:59:59.999Z'],
  [Date.UTC(12_000, 0), '2299-12-31T23:59:59.999Z'],
];
for (const [timeMs, expected] of TIMES) {
  test(`a time is UTC with three digits, within 1970 to 2299: ${timeMs}`, (t) => {
    // Twice: the last time is remembered.
    for (let n = 0; n < 2; n += 1) t.true(ndjsonLine({ ...eventWith({}), timeMs }).includes(`"time":"${expected}"`));
    t.true(ndjsonLine(eventWith({})).includes('"time":"2026-11-28T22:30:29.203Z"'));
  });
}

const NUMBERS: readonly [value: number, kind: string | undefined, expected: string][] = [
  [7, 'duration', ',"field":7.0'],
  [7.5, 'duration', ',"field":7.5'],
  [0, 'duration', ',"field":0.0'],
  [-0, 'duration', ',"field":0.0'],
  [1e20, 'duration', ',"field":100000000000000000000.0'],
  [1e21, 'duration', ',"field":1e+21'],
  [1e-7, 'duration', ',"field":1e-7'],
  [5e-324, 'duration', ',"field":5e-324'],
  [Number.MAX_VALUE, 'duration', ',"field":1.7976931348623157e+308'],
  [NaN, 'duration', ''],
  [Infinity, 'duration', ''],
  [-Infinity, 'duration', ''],
  [7, undefined, ',"field":7.0'],
  [-7, undefined, ',"field":-7.0'],
  [-0, undefined, ',"field":0.0'],
  [NaN, undefined, ''],
  [0, 'count', ',"field":0'],
  [-0, 'count', ',"field":0'],
  [7, 'count', ',"field":7'],
  [2 ** 53 - 1, 'count', ',"field":9007199254740991'],
  [2 ** 53, 'count', ',"field":9007199254740991'],
  [1e300, 'count', ',"field":9007199254740991'],
  [-1, 'count', ''],
  [0.5, 'count', ''],
  [NaN, 'count', ''],
  [Infinity, 'count', ''],
];
for (const [value, kind, expected] of NUMBERS) {
  test(`a number of kind ${kind}: ${Object.is(value, -0) ? '-0' : value}`, (t) => {
    t.is(written(value, kind), expected);
  });
}

test('an event that a test made may lack its time and the kinds of its fields', (t) => {
  const event = { id: ID, type: 'backfill', metrics: { days: 7, layer: 'marts', cached: true } };
  const start = START.replace('2026-11-28T22:30:29.203Z', '1970-01-01T00:00:00.000Z');
  t.is(ndjsonLine(event), `${start},"days":7.0,"layer":"marts","cached":true}`);
  t.is(ndjsonLine({ ...event, timeMs: undefined }), ndjsonLine(event));
});

test('an event of a transport fits', (t) => {
  const event: UsageEvent = { id: ID, type: 'backfill', metrics: { days: 7 }, kindOf: () => 'count', requestTarget: () => '' };
  t.true(ndjsonLine(event).endsWith(',"days":7}'));
});

test('booleans are true and false', (t) => {
  t.is(written(true, 'boolean'), ',"field":true');
  t.is(written(false, 'boolean'), ',"field":false');
  t.is(written(true), ',"field":true');
});

test('a field without a value is left out', (t) => {
  t.is(written(null, 'count'), '');
  t.is(written(undefined, 'identifier'), '');
  t.is(written('', 'identifierSet'), ',"field":""');
});

test('a value that is not of its kind is left out: a column has one type', (t) => {
  t.is(written('7', 'count'), '');
  t.is(written('7', 'duration'), '');
  t.is(written('true', 'boolean'), '');
  t.is(written(1, 'boolean'), '');
  t.is(written(7, 'version'), '');
  t.is(written(true, 'count'), '');
  t.is(written(true, 'oneOf'), '');
  t.is(written(7n as never, 'count'), '');
  t.is(written({} as never), '');
  t.is(written([7] as never, 'duration'), '');
});

test('a hash begins with a letter that is no hex digit, in this format only', (t) => {
  t.is(written('06e5300000000000', 'hash'), ',"field":"h06e5300000000000"');
  t.is(written('hash-of-mine', 'hash'), ',"field":"hhash-of-mine"');
  t.is(written('06e5300000000000', 'identifier'), ',"field":"06e5300000000000"');
  // The last text of a name is remembered with its kind.
  t.is(written('06e5300000000000', 'hash'), ',"field":"h06e5300000000000"');
});

test('a version is as the host has it: the quoting of the other wire is undone', (t) => {
  t.is(written('2.10.1%2Bastro.3', 'version', 'airflow_version'), ',"airflow_version":"2.10.1+astro.3"');
  t.is(written('1%212.0', 'version'), ',"field":"1!2.0"');
  t.is(written('2.10.1', 'version'), ',"field":"2.10.1"');
  t.is(written('a%2Bb', 'oneOf'), ',"field":"a%2Bb"');
});

const TEXTS: readonly [text: string, expected: string][] = [
  ['', '""'],
  ['plain ~!#[]', '"plain ~!#[]"'],
  ['"', String.raw`"\""`],
  ['\\', String.raw`"\\"`],
  ['\n\r\t\b\f\u000b\u001f', String.raw`"\n\r\t\b\f\u000b\u001f"`],
  ['\u007f', '"\u007f"'],
  ['né 日本 😀', '"né 日本 😀"'],
  ['\uD83D', '"\uFFFD"'],
  ['\uDE00x', '"\uFFFDx"'],
  ['a\0b', '"a\uFFFDb"'],
  ['\u0085\u2028\u2029', String.raw`"\u0085\u2028\u2029"`],
  ['\uFEFFx', '"\uFEFFx"'],
  ['</script>', '"</script>"'],
];
for (const [text, expected] of TEXTS) {
  test(`a text: ${expected}`, (t) => {
    t.is(written(text, 'oneOf'), `,"field":${expected}`);
  });
}

test('a field of a name that lines begin with has a key of its own', (t) => {
  const event = eventWith({ id: 'a', time: 7, event: true }, { id: 'oneOf', time: 'count', event: 'boolean' });
  t.is(ndjsonLine(event), `${START},"field_id":"a","field_time":7,"field_event":true}`);
  t.deepEqual(['id', 'time', 'event', 'ids'].map(ndjsonKey), ['field_id', 'field_time', 'field_event', 'ids']);
});

test('each key once: a field that has the name of another one’s key comes first', (t) => {
  t.is(ndjsonLine(eventWith({ id: 'a', field_id: 'b' })), `${START},"field_id":"b"}`);
  t.is(ndjsonLine(eventWith({ field_id: 'b', id: 'a' })), `${START},"field_id":"b"}`);
});

test('a name that could not be declared is no key', (t) => {
  for (const name of ['', 'Id', '_id', '1', 'a b', 'a"', 'a-b', 'ä', '\uD83D']) t.is(written('x', undefined, name), '', name);
  t.is(written('x', undefined, 'constructor'), ',"constructor":"x"');
});

test('what Object.prototype holds is no field', (t) => {
  const metrics = Object.assign(Object.create({ inherited: 'x' }) as Metrics, { own: 'y' });
  t.is(ndjsonLine(eventWith(metrics)), `${START},"own":"y"}`);
});

test('a line is the same after many foreign names', (t) => {
  for (let n = 0; n < 3000; n += 1) t.is(written(n, 'count', `name_${n}`), `,"name_${n}":${n}`);
  t.is(written('x', 'hash'), ',"field":"hx"');
});

const metrics = fc.dictionary(
  fc.oneof(fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/), fc.constantFrom('id', 'time', 'event', 'field_id', 'Bad name', '__proto__')),
  fc.oneof(
    anyText({ maxLength: 20 }),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.double(),
    fc.maxSafeNat(),
    fc.boolean(),
    fc.constant(null),
  ),
  { maxKeys: 12 },
);
const KINDS = ['count', 'duration', 'boolean', 'hash', 'version', 'oneOf', undefined];

test('whatever an event holds, its line is one flat JSON object that reads back and is written the same again', (t) => {
  fc.assert(
    fc.property(metrics, fc.array(fc.constantFrom(...KINDS), { minLength: 12, maxLength: 12 }), fc.double(), (values, kinds, timeMs) => {
      const names = Object.keys(values);
      const kindOf = (name: string) => kinds[names.indexOf(name)];
      const line = ndjsonLine({ id: ID, timeMs, type: 'backfill', metrics: values, kindOf });
      t.false(/[\n\r\u0085\u2028\u2029\0]/.test(line));
      const plain = JSON.parse(line) as Record<string, string | number | boolean>;
      t.deepEqual(Object.keys(plain).slice(0, 3), ['id', 'time', 'event']);
      const reading = readNdjsonLine(line);
      if (!('event' in reading)) return t.fail(`${reading.problem}: ${line}`);
      const { event } = reading;
      t.is(ndjsonLine(event), line);
      t.deepEqual({ id: event.id, time: new Date(event.timeMs).toISOString(), event: event.type, ...event.metrics }, plain);
      for (const [name, value] of Object.entries(event.metrics)) {
        t.is(event.kindOf(name) === 'text' ? 'string' : event.kindOf(name) === 'boolean' ? 'boolean' : 'number', typeof value);
      }
      return undefined;
    }),
    { numRuns: 500 },
  );
});

test('a line reads back with the kinds that it tells', (t) => {
  const line = `${START},"took":7.0,"far":1e+21,"days":7,"cached":true,"layer":"marts"}`;
  const reading = readNdjsonLine(line);
  if (!('event' in reading)) return t.fail(reading.problem);
  const { event } = reading;
  t.like(event, { id: ID, timeMs: TIME_MS, type: 'backfill' });
  t.deepEqual({ ...event.metrics }, { took: 7, far: 1e21, days: 7, cached: true, layer: 'marts' });
  const names = ['took', 'far', 'days', 'cached', 'layer', 'id', 'absent', 'constructor'];
  t.deepEqual(
    names.map((name) => event.kindOf(name)),
    ['duration', 'duration', 'count', 'boolean', 'text', undefined, undefined, undefined],
  );
  return t.is(ndjsonLine(event), line);
});

test('keys may have any order, and white space does not matter', (t) => {
  const line = ` { "days" : 7 ,\t"event":"backfill", "note":"\\"},{:\\\\", "time":"2026-11-28T22:30:29.203Z" ,"id":"${ID}" }\r`;
  const reading = readNdjsonLine(line);
  t.is('event' in reading ? ndjsonLine(reading.event) : reading.problem, `${START},"days":7,"note":"\\"},{:\\\\"}`);
});

const time = (text: string) => `{"id":"${ID}","time":"${text}","event":"backfill"}`;
const REFUSED: readonly [NdjsonProblem, string][] = [
  ['not_json', ''],
  ['not_json', `\uFEFF${START}}`],
  ['not_json', START],
  ['not_json', `${START}}${START}}`],
  ['not_json', `${START},"n":NaN}`],
  ['not_json', `${START},"n":07}`],
  ['not_object', 'null'],
  ['not_object', '[]'],
  ['not_object', '"text"'],
  ['bad_id', '{}'],
  ['bad_id', '{"id":7}'],
  ['bad_id', START.replace(ID, ID.toUpperCase()).concat('}')],
  ['bad_id', START.replace(ID, ID.replaceAll('-', '')).concat('}')],
  ['bad_time', `{"id":"${ID}","event":"backfill"}`],
  ['bad_time', `{"id":"${ID}","time":1764369029203,"event":"backfill"}`],
  ['bad_time', time('2026-11-28T22:30:29Z')],
  ['bad_time', time('2026-11-28T22:30:29.203+00:00')],
  ['bad_time', time('2026-11-28 22:30:29.203')],
  ['bad_time', time('2026-02-30T00:00:00.000Z')],
  ['bad_time', time('2026-02-28T24:00:00.000Z')],
  ['bad_time', time('1969-12-31T23:59:59.999Z')],
  ['bad_time', time('2300-01-01T00:00:00.000Z')],
  ['bad_event', `{"id":"${ID}","time":"2026-11-28T22:30:29.203Z"}`],
  ['bad_event', START.replace('backfill', 'Backfill').concat('}')],
  ['bad_event', START.replace('backfill', 'a'.repeat(33)).concat('}')],
  ['bad_name', `${START},"Days":7}`],
  ['bad_name', `${START},"":7}`],
  ['bad_name', `${START},"__proto__":7}`],
  ['bad_name', `${START},"\\u0064ays":7}`],
  ['repeated_name', `${START},"days":7,"days":7}`],
  ['repeated_name', `${START},"days":7,"days":"7"}`],
  ['repeated_name', `${START},"days":"7","days":7}`],
  ['repeated_name', `${START},"id":"${ID}"}`],
  ['repeated_name', `${START},"days":"short","days":"a text that reaches to the end of the line"}`],
  ['repeated_name', `${START},"days":"a text that is longer than the line's end","days":"x"}`],
  ['repeated_name', `${START},"days":true,"days":false}`],
  ['repeated_name', `${START},"days":true,"days":1}`],
  ['repeated_name', `${START},"days":1,"days":true}`],
  ['repeated_name', `${START},"note":"\\"","days":1,"days":1}`],
  ['bad_name', `${START},"7":7}`],
  ['nested_value', `${START},"days":[7]}`],
  ['nested_value', `${START},"days":{"id":7}}`],
  ['null_value', `${START},"days":null}`],
  ['bad_number', `${START},"days":9007199254740992}`],
  ['bad_number', `${START},"days":-1}`],
  ['bad_number', `${START},"days":-0}`],
  ['bad_number', `${START},"took":1e999}`],
  ['bad_text', `${START},"note":"\\ud83d"}`],
  ['bad_text', `${START},"note":"\uD83D"}`],
  ['bad_text', `${START},"note":"\\u0000"}`],
];
for (const [problem, line] of REFUSED) {
  test(`${problem}: ${line.toWellFormed()}`, (t) => {
    t.deepEqual(readNdjsonLine(line), { problem });
  });
}

test('what Object.prototype holds is no part of an event', (t) => {
  const polluted = Object.prototype as unknown as Record<string, unknown>;
  Object.assign(polluted, { id: ID, time: '2026-11-28T22:30:29.203Z', event: 'backfill' });
  try {
    t.deepEqual(readNdjsonLine('{"days":7}'), { problem: 'bad_id' });
    t.is(ndjsonLine({ ...eventWith({ days: 7 }, { days: 'count' }) }), `${START},"days":7}`);
  } finally {
    for (const name of ['id', 'time', 'event']) delete polluted[name];
  }
});

const PIECES = [
  '{',
  '}',
  '"',
  '\\',
  ',',
  ':',
  ' ',
  '\n',
  '[',
  ']',
  '0',
  '-',
  '.5',
  'e9',
  'null',
  'true',
  '"a"',
  '"a":1',
  '"id":',
  '\\"',
  '\\\\',
  '\uD83D',
];
const edit = fc.record({ at: fc.nat(), cut: fc.nat({ max: 3 }), piece: fc.constantFrom('', ...PIECES) });

test('a line with mistakes is refused, or what is read is what JSON.parse reads', (t) => {
  const line = `${START},"a":1,"took":7.0,"note":"\\\\\\"},{","cached":true}`;
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 3 }), (edits) => {
      let edited = line;
      for (const { at, cut, piece } of edits) {
        const place = at % edited.length;
        edited = edited.slice(0, place) + piece + edited.slice(place + cut);
      }
      const reading = readNdjsonLine(edited);
      if (!('event' in reading)) return;
      accepted += 1;
      const { id, timeMs, type, metrics: read } = reading.event;
      const plain = { id, time: new Date(timeMs).toISOString(), event: type, ...read };
      t.deepEqual(plain, JSON.parse(edited) as typeof plain);
    }),
    { numRuns: 3000 },
  );
  t.true(accepted > 300, `${accepted} of 3000 were accepted`);
});

test('any text is read without an exception', (t) => {
  fc.assert(fc.property(fc.oneof(fc.json(), anyText()), (text) => t.true('problem' in readNdjsonLine(text))));
});

const BASE = { acme_version: '1.2.0', retries: 3 };
const ROW_KINDS: Readonly<Record<string, string>> = {
  acme_version: 'version',
  retries: 'count',
  status: 'oneOf',
  took: 'duration',
  models: 'count',
  cached: 'boolean',
  digest: 'hash',
  total: 'count',
};
/** Two events in a row share their time. */
const eventInRow = (n: number) => ({ ...eventWith({}, ROW_KINDS), timeMs: TIME_MS + (n >> 1) });

test('lines in a row are those of each event alone', (t) => {
  const rows: [own: Metrics, more: Metrics | undefined, pairs: string][] = [
    [{ status: 'ok', took: 7 }, undefined, ',"status":"ok","took":7.0'],
    [{ status: 'ok', took: 7.5 }, undefined, ',"status":"ok","took":7.5'],
    [{ took: 7, status: 'ok' }, undefined, ',"took":7.0,"status":"ok"'],
    [{ models: 7, cached: false, digest: '0e1' }, undefined, ',"models":7,"cached":false,"digest":"h0e1"'],
    [{ status: 'o"k', models: undefined, took: null, cached: true }, { total: 9 }, ',"status":"o\\"k","cached":true,"total":9'],
    [{}, { total: 2 ** 53 }, ',"total":9007199254740991'],
    [{ status: 'ok', took: 1 }, undefined, ',"status":"ok","took":1.0'],
  ];
  const lines = new NdjsonLines(eventInRow(0), BASE);
  for (const [n, [own, more, pairs]] of rows.entries()) {
    const line = lines.line(eventInRow(n), own, more);
    t.is(line, `${START.replace('203Z', `${203 + (n >> 1)}Z`)},"acme_version":"1.2.0","retries":3${pairs}}`);
    t.is(line, ndjsonLine({ ...eventInRow(n), metrics: { ...BASE, ...own, ...more } }));
  }
});

test('a field of a name that lines begin with is left to the line of one event', (t) => {
  const event = eventWith({}, { models: 'count' });
  for (const name of ['id', 'time', 'event']) {
    const lines = new NdjsonLines(event, {});
    t.is(lines.line(event, { models: 1, [name]: 'x' }), undefined);
    t.is(lines.line(event, {}, { [name]: 'x' }), undefined);
    t.is(lines.line(event, { models: 1, took: 2 }), `${START},"models":1,"took":2.0}`);
    t.is(new NdjsonLines(event, { [name]: 'x' }).line(event, {}), undefined);
  }
});

test('lines in a row hold no field that Object.prototype has', (t) => {
  const event = eventWith({});
  const polluted = Object.create({ status: 'polluted' }) as Metrics;
  t.is(new NdjsonLines(event, polluted).line(event, polluted, polluted), `${START}}`);
});

const NAMES = ['a', 'b', 'c', 'field_id', 'id'];
const rowValues = fc.oneof(anyText({ maxLength: 4 }), fc.constantFrom('x', 'y'), fc.double(), fc.nat(3), fc.boolean(), fc.constant(null));
const rows = fc.array(fc.array(fc.tuple(fc.constantFrom(...NAMES), rowValues), { maxLength: 6 }), { minLength: 2, maxLength: 8 });

test('whatever events follow each other, their lines are those of each event alone', (t) => {
  fc.assert(
    fc.property(rows, fc.array(fc.constantFrom(...KINDS), { minLength: 5, maxLength: 5 }), (events, kinds) => {
      const kindOf = (name: string) => kinds[NAMES.indexOf(name)];
      const event = { id: ID, timeMs: TIME_MS, type: 'backfill', kindOf };
      const lines = new NdjsonLines(event, { z: 'first' });
      for (const pairs of events) {
        const own = Object.fromEntries(pairs) as Metrics;
        const line = lines.line(event, own);
        if (own['id'] === undefined || own['id'] === null) t.is(line, ndjsonLine({ ...event, metrics: { z: 'first', ...own } }));
        else t.is(line, undefined);
      }
    }),
    { numRuns: 500 },
  );
});
