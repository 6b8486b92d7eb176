import test from 'ava';
import * as fc from 'fast-check';

import { readTelemetryJson } from '../../src/opt-out/telemetry-json.js';

test('says yes or no, and on which line', (t) => {
  const table: [text: string, enabled: boolean, line: number][] = [
    ['{"enabled":false}', false, 1],
    ['{"enabled": true}\n', true, 1],
    ['\ufeff{"enabled": true}', true, 1],
    ['{\n  "note": "enabled",\n  "enabled" : false\n}', false, 3],
    ['{\r\n\r\n"enabled"\r\n:\r\nfalse}', false, 3],
    ['{\r"x": 1,\r"enabled": true}', true, 3],
    ['{"a": {"enabled": true},\n"enabled": false}', false, 2],
    ['{"a": ["enabled", {"enabled": true}, "]}\\""],\n\n"enabled": false}', false, 3],
    ['{"\\u0065nabled": false}', false, 1],
    ['{"enabled": true, "later": {"version": 2}, "__proto__": {"enabled": false}}', true, 1],
  ];
  for (const [text, enabled, line] of table) t.deepEqual(readTelemetryJson(text), { kind: 'found', enabled, line }, text);
});

test('an object without the key says nothing', (t) => {
  for (const text of ['{}', '{"Enabled": false}', '{"a": {"enabled": false}}', '{"a": "enabled"}', '{"__proto__": {"enabled": false}}']) {
    t.deepEqual(readTelemetryJson(text), { kind: 'absent' }, text);
  }
});

test('what is not what it must be is broken', (t) => {
  const table: [text: string, reason: string, line?: number][] = [
    ['', 'not JSON'],
    ['enabled: false', 'not JSON'],
    ['{"enabled": false', 'not JSON'],
    ["{'enabled': false}", 'not JSON'],
    ['{"enabled": False}', 'not JSON'],
    ['{"enabled": false,}', 'not JSON'],
    ['\ufeff\ufeff{}', 'not JSON'],
    ['false', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['[{"enabled": true}]', 'not a JSON object'],
    ['"enabled"', 'not a JSON object'],
    ['{"enabled": "false"}', '"enabled" is neither true nor false', 1],
    ['{\n"enabled": 1}', '"enabled" is neither true nor false', 2],
    ['{"enabled": null}', '"enabled" is neither true nor false', 1],
    ['{"enabled": false,\n"enabled": true}', '"enabled" stands twice', 2],
    [`{"enabled": true}${' '.repeat(65_536 - 16)}`, 'more than 64 KiB'],
    [`{"enabled": true, "x": "${'ä'.repeat(32_760)}"}`, 'more than 64 KiB'],
    ['['.repeat(65_000), 'not JSON'],
  ];
  for (const [text, reason, line] of table) {
    t.deepEqual(
      readTelemetryJson(text),
      line === undefined ? { kind: 'broken', reason } : { kind: 'broken', reason, line },
      text.slice(0, 80),
    );
  }
  t.like(readTelemetryJson(`{"enabled": true}${' '.repeat(65_536 - 17)}`), { kind: 'found' });
  t.like(readTelemetryJson(`{"x": "${'\\"'.repeat(32_000)}", "enabled": true}`), { kind: 'found', line: 1 });
});

test('whatever an object holds beside it, the key is found', (t) => {
  const text = fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ':', ',', 'enabled', 'a') });
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.integer(),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(text, tie('any'), { maxKeys: 3 }),
    ),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(text, value, { maxKeys: 4 }), fc.dictionary(text, value, { maxKeys: 4 }), (before, after) => {
      delete before['enabled'];
      delete after['enabled'];
      const parts = [JSON.stringify(before, null, 1).slice(1, -1), '\n"enabled":false', JSON.stringify(after, null, 1).slice(1, -1)];
      const json = `{${parts.filter((part) => part.trim() !== '').join(',')}}`;
      const line = json.split('\n').findIndex((each) => each.startsWith('"enabled":false')) + 1;
      t.deepEqual(readTelemetryJson(json), { kind: 'found', enabled: false, line });
    }),
    { numRuns: 500 },
  );
});
