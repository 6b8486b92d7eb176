import { deflateSync, gzipSync } from 'node:zlib';
import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';
import {
  compressTelemetryMetadata,
  decompressTelemetryMetadata,
  metadataParam,
  TELEMETRY_METADATA_PARAM,
  TelemetryMetadataError,
} from '../../src/events/metadata.js';
import { storeTelemetryMetadata } from '../../src/client/direct.js';
import type { TelemetryMetadataProblem } from '../../src/base/ledger.js';
import { readVectors } from '../helpers/vectors.js';

interface MetadataVectors {
  valid: { metadata: Record<string, unknown>; compressed: string }[];
  invalid: { name: string; compressed: string }[];
}

const { valid, invalid } = readVectors('metadata.json') as MetadataVectors;

for (const [index, { metadata, compressed }] of valid.entries()) {
  test(`unpacks metadata that Python packed: ${index}`, (t) => {
    const unpacked = decompressTelemetryMetadata(compressed);
    t.deepEqual(unpacked, metadata);
    t.deepEqual(Object.keys(unpacked), Object.keys(metadata));
  });

  test(`packs metadata that it can unpack again: ${index}`, (t) => {
    const packed = compressTelemetryMetadata(metadata);
    t.regex(packed, /^[A-Za-z0-9+/]+={0,2}$/);
    t.deepEqual(decompressTelemetryMetadata(packed), metadata);
    // The header of zlib at level 9, as in Python's output.
    t.is(Buffer.from(packed, 'base64').subarray(0, 2).toString('hex'), '78da');
  });
}

for (const { name, compressed } of invalid) {
  test(`does not unpack what Python cannot unpack: ${name}`, (t) => {
    t.throws(() => decompressTelemetryMetadata(compressed), { instanceOf: TelemetryMetadataError });
  });
}

function pack(bytes: string | Uint8Array): string {
  return deflateSync(bytes).toString('base64');
}

const UNREADABLE: readonly [name: string, packed: unknown, problem: TelemetryMetadataProblem][] = [
  ['nothing', undefined, 'not_base64'],
  ['a number', 7, 'not_base64'],
  ['a String object', Object(pack('{}')), 'not_base64'],
  ['an empty text', '', 'not_zlib'],
  ['a text of another length', 'eNqrrgUAAXUA+Q=', 'not_base64'],
  ['a padding in the middle', 'eNq=rgUAAXUA+Q==', 'not_base64'],
  ['a line break', `${pack('{}').slice(0, 8)}\n${pack('{}').slice(8)}\n\n\n`, 'not_base64'],
  ['URL-safe base64', '____', 'not_base64'],
  ['gzip', gzipSync('{}').toString('base64'), 'not_zlib'],
  ['a cut end', Buffer.from(pack('{"a":1}'), 'base64').subarray(0, -3).toString('base64'), 'not_zlib'],
  ['a list', pack('[]'), 'not_object'],
  ['null', pack('null'), 'not_object'],
  ['a text', pack('"{}"'), 'not_object'],
  ['nothing at all', pack(''), 'not_json'],
  ['no JSON', pack('{a:1}'), 'not_json'],
  ['half a document', pack('{"a":'), 'not_json'],
  ['no UTF-8', pack(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), 'not_json'],
  ['a bomb of 10 MiB in a text that is short enough', pack(new Uint8Array(10 * 2 ** 20)), 'too_large'],
  ['a bomb of 64 MiB', pack(new Uint8Array(64 * 2 ** 20)), 'too_large'],
  ['a small bomb', pack(' '.repeat(2 ** 20)), 'too_large'],
  ['a megabyte of text', 'A'.repeat(2 ** 20), 'too_large'],
  ['a nest of brackets', pack('['.repeat(60_000)), 'not_json'],
];

for (const [name, packed, problem] of UNREADABLE) {
  test(`does not unpack ${name}`, (t) => {
    const error = t.throws(() => decompressTelemetryMetadata(packed as string), { instanceOf: TelemetryMetadataError });
    t.is(error.problem, problem);
    t.is(error.name, 'TelemetryMetadataError');
  });
}

function json(bytes: number): string {
  return `{"a":"${'x'.repeat(bytes - 8)}"}`;
}

test('unpacks up to 64 KiB, and not a byte more', (t) => {
  t.is(json(65_536).length, 65_536);
  t.is((decompressTelemetryMetadata(pack(json(65_536)))['a'] as string).length, 65_528);
  t.throws(() => decompressTelemetryMetadata(pack(json(65_537))), { instanceOf: TelemetryMetadataError, message: /too_large/ });
});

/** Pseudo-random text that zlib cannot make smaller. */
function incompressible(length: number): string {
  let seed = 1;
  let text = '';
  while (text.length < length) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    text += String.fromCharCode(0x4e_00 + (seed % 20_000));
  }
  return text;
}

test('packs nothing that could not be unpacked again', (t) => {
  const tooLarge = { instanceOf: TelemetryMetadataError, message: /too_large/ };
  t.throws(() => compressTelemetryMetadata({ a: 'x'.repeat(65_536) }), tooLarge);
  t.throws(() => compressTelemetryMetadata({ a: 'é'.repeat(32_800) }), tooLarge);
  t.throws(() => compressTelemetryMetadata({ a: incompressible(10_000) }), tooLarge);
  t.notThrows(() => decompressTelemetryMetadata(compressTelemetryMetadata({ a: 'x'.repeat(65_528) })));
});

function secret(): never {
  throw new Error('hunter2');
}

const UNPACKABLE: readonly [name: string, metadata: unknown, problem: TelemetryMetadataProblem][] = [
  ['nothing', undefined, 'not_object'],
  ['null', null, 'not_object'],
  ['a list', [1], 'not_object'],
  ['a text', '{}', 'not_object'],
  ['a function', secret, 'not_object'],
  ['a date', new Date(0), 'not_object'],
  ['an object whose toJSON returns nothing', { toJSON: () => undefined }, 'not_object'],
  ['an object whose toJSON returns a list', { toJSON: () => [] }, 'not_object'],
  ['a bigint', { a: 1n }, 'not_json'],
  ['a getter that throws', Object.defineProperty({}, 'a', { enumerable: true, get: secret }), 'not_json'],
];

for (const [name, metadata, problem] of UNPACKABLE) {
  test(`does not pack ${name}, and the error shows none of its content`, (t) => {
    const error = t.throws(() => compressTelemetryMetadata(metadata as Record<string, unknown>), { instanceOf: TelemetryMetadataError });
    t.is(error.message, `Telemetry metadata is unusable: ${problem}.`);
  });
}

test('does not pack a circle or a revoked proxy', (t) => {
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const metadata of [circle, proxy]) {
    t.throws(() => compressTelemetryMetadata(metadata), { instanceOf: TelemetryMetadataError });
  }
});

test('the param has the name of the product', (t) => {
  t.is(TELEMETRY_METADATA_PARAM, '__cosmos_telemetry_metadata__');
  t.is(metadataParam('cosmos'), TELEMETRY_METADATA_PARAM);
  t.is(metadataParam('acme'), '__acme_telemetry_metadata__');
});

test('storeTelemetryMetadata adds metadata to the params of a DAG, or creates the params', (t) => {
  const env = { HOME: '/nonexistent' };
  const dag = { params: { other: 1 } as Record<string, unknown> };
  t.true(storeTelemetryMetadata(dag, { total_dbt_models: 13 }, { env }));
  t.deepEqual(Object.keys(dag.params), ['other', '__cosmos_telemetry_metadata__']);
  t.deepEqual(decompressTelemetryMetadata(dag.params['__cosmos_telemetry_metadata__'] as string), { total_dbt_models: 13 });
  const bare: { params?: Record<string, unknown> } = {};
  t.true(storeTelemetryMetadata(bare, { a: 1 }, { product: 'acme', env }));
  t.deepEqual(Object.keys(bare.params ?? {}), ['__acme_telemetry_metadata__']);
});

test('storeTelemetryMetadata stores nothing after an opt-out', (t) => {
  for (const env of [{ DO_NOT_TRACK: '1' }, { SCARF_NO_ANALYTICS: 'yes' }]) {
    const dag = {};
    t.false(storeTelemetryMetadata(dag, { a: 1 }, { env }));
    t.deepEqual(dag, {});
  }
});

test('storeTelemetryMetadata returns false for a DAG that cannot be written to, and for metadata that cannot be packed', (t) => {
  const env = { HOME: '/nonexistent' };
  const dags: unknown[] = [null, undefined, Object.freeze({}), { params: Object.freeze({}) }, { params: 'text' }, 7];
  for (const dag of dags) t.false(storeTelemetryMetadata(dag as object, { a: 1 }, { env }));
  const dag = {};
  t.false(storeTelemetryMetadata(dag, { a: 1n }, { env }));
  t.deepEqual(dag, {});
});

test('storeTelemetryMetadata throws for a product name that could change the param', (t) => {
  for (const product of ['', 'A', 'a__b-', 7]) {
    t.throws(() => storeTelemetryMetadata({}, {}, { product: product as string, env: {} }), {
      instanceOf: TypeError,
      message: /`product`/,
    });
  }
});

test('all JSON values survive packing and unpacking', (t) => {
  fc.assert(
    fc.property(fc.dictionary(anyText(), fc.jsonValue()), (metadata) => {
      const unpacked = decompressTelemetryMetadata(compressTelemetryMetadata(metadata));
      return JSON.stringify(unpacked) === JSON.stringify(metadata);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('any text in a param is unpacked or refused with one class of error', (t) => {
  const packed = fc.oneof(
    anyText(),
    fc.base64String({ maxLength: 200 }),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => pack(bytes)),
    fc.json().map((text) => pack(text)),
    fc.tuple(fc.json(), fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
      const bytes = deflateSync(text);
      bytes[at % bytes.length] = byte;
      return bytes.toString('base64');
    }),
  );
  fc.assert(
    fc.property(packed, (text) => {
      try {
        const metadata = decompressTelemetryMetadata(text);
        return typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata);
      } catch (error) {
        return error instanceof TelemetryMetadataError;
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
