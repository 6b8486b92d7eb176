import { constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

import type { NamedValue } from './hostile-values.js';
import { named, throwingProxy } from './hostile-values.js';

const MIB = 1024 * 1024;

/** Metadata as a host stores it: base64 of zlib, level 9, of JSON. */
export function pack(metadata: unknown): string {
  return packText(JSON.stringify(metadata));
}

function packText(text: string | Uint8Array): string {
  return deflateSync(text, { level: 9 }).toString('base64');
}

const bombs = new Map<number, string>();

/**
 * A valid zlib stream of that many MiB of zeros, in base64, about a thousandth in size. One packed MiB is written once and then
 * repeated, which a full flush allows, so that nobody has to hold what it unpacks to.
 */
function bomb(unpackedMiB: number): string {
  let packed = bombs.get(unpackedMiB);
  if (packed === undefined) {
    const block = deflateRawSync(Buffer.alloc(MIB), { level: 9, finishFlush: constants.Z_FULL_FLUSH });
    const adler = Buffer.alloc(4);
    // Adler-32 of n zeros (RFC 1950, section 8.2): the low half stays 1, the high half counts them.
    adler.writeUInt16BE((unpackedMiB * MIB) % 65_521, 0);
    adler.writeUInt16BE(1, 2);
    const end = Buffer.from([0x03, 0x00]);
    packed = Buffer.concat([Buffer.from([0x78, 0xda]), Buffer.alloc(block.length * unpackedMiB, block), end, adler]).toString('base64');
    bombs.set(unpackedMiB, packed);
  }
  return packed;
}

function fail(): never {
  throw new Error('hostile');
}

function cutOff(packed: string): string {
  return packed.slice(0, packed.length >> 1);
}

function withWrongChecksum(packed: string): string {
  const bytes = Buffer.from(packed, 'base64');
  bytes.writeUInt32BE((bytes.readUInt32BE(bytes.length - 4) ^ 1) >>> 0, bytes.length - 4);
  return bytes.toString('base64');
}

/** Where the packed metadata of a DAG is expected: blobs that hurt or are none, and objects that should hold one. `proper` is a good blob. */
export function hostileMetadata(proper: string): readonly NamedValue[] {
  return named({
    'bomb of 500 MiB': () => bomb(500),
    'bomb of 10 MiB in 14 KB': () => bomb(10),
    'huge string inside': () => pack({ database: 'x'.repeat(MIB) }),
    'cut off': () => cutOff(proper),
    'wrong checksum': () => withWrongChecksum(proper),
    'no zlib header': () => deflateRawSync('{"a":1}').toString('base64'),
    'gzip': () => gzipSync('{"a":1}').toString('base64'),
    'garbage behind': () => Buffer.concat([Buffer.from(proper, 'base64'), Buffer.alloc(64, 0xff)]).toString('base64'),
    'packed twice': () => packText(proper),
    'not base64': () => '%%%{"a":1}%%%',
    'base64 of a text': () => Buffer.from('not zlib at all').toString('base64'),
    'empty string': () => '',
    '1 MB of text': () => 'A'.repeat(MIB),
    'lone surrogate': () => '\uD800',
    'JSON array': () => pack([1, 2, 3]),
    'JSON null': () => pack(null),
    'JSON string': () => pack('text'),
    'JSON number': () => packText('1e999'),
    'not JSON': () => packText("{'python': None}"),
    'NaN in JSON': () => packText('{"total_dbt_models": NaN}'),
    'no UTF-8': () => packText(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])),
    'byte order mark': () => packText('\uFEFF{"database":"postgres"}'),
    'deeply nested JSON': () => packText(`{"database":${'['.repeat(30_000)}${']'.repeat(30_000)}}`),
    'deep objects for values': () => pack({ database: { type: { name: 'postgres' } }, install_deps: [true] }),
    'wrong types': () => pack({ total_dbt_models: '7', selected_dbt_models: -1, install_deps: 'yes', database: 7, test_behavior: null }),
    'numbers out of range': () => packText('{"total_dbt_models":1e999,"selected_dbt_models":9007199254740993}'),
    'unknown fields': () => pack({ password: 'secret', 'a&b=c': 'd', '': '' }),
    '10,000 unknown fields': () => pack(Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`f${index}`, index]))),
    '__proto__ fields': () => packText('{"__proto__":{"polluted":true},"constructor":"x","database":"postgres"}'),
    'fields of the event itself': () => pack({ status: 'forged', dag_hash: 'forged', cosmos_version: 'forged', task_count: -1 }),
    'lone surrogate inside': () => packText(String.raw`{"database":"\ud800"}`),
    'Param whose value throws': () => Object.defineProperty({ default: proper }, 'value', { get: fail, enumerable: true }),
    'Param whose default throws': () => Object.defineProperty({ value: null }, 'default', { get: fail, enumerable: true }),
    'Param whose value is a promise': () => ({ value: Promise.resolve(proper) }),
    'Param in a Param': () => ({ value: { value: proper } }),
    'Param without anything': () => ({}),
    'Param that throws': () => throwingProxy(),
    'list of blobs': () => [proper, proper],
    'bytes': () => Buffer.from(proper),
    'object with toString': () => ({ toString: () => proper }),
    'function': () => () => proper,
    'promise': () => Promise.resolve(proper),
  });
}
