import { constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

/** A value under its name. Made anew each time, so that no test sees what another one did to it. */
export interface NamedValue {
  readonly name: string;
  readonly make: () => unknown;
}

/** Long enough, 1 MiB, to hurt whoever copies, encodes or matches it carelessly. */
function huge(): string {
  return 'x'.repeat(1024 * 1024);
}

/** Deep enough to overflow the stack of whoever walks it by recursion, as `JSON.stringify` does. */
const DEEP = 20_000;

function fail(): never {
  throw new Error('hostile');
}

/** Stands for anything and throws whatever is done to it, `typeof` alone excepted. */
export function throwingProxy(target: object = {}): object {
  const traps: ProxyHandler<object> = {};
  for (const trap of Object.getOwnPropertyNames(Reflect)) Object.assign(traps, { [trap]: fail });
  return new Proxy(target, traps);
}

/** A proxy after its end: even `Array.isArray` throws. */
export function revokedProxy(target: object = {}): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** An array of a length, and nothing in it. */
export function holes(length: number): unknown[] {
  const array: unknown[] = [];
  array.length = length;
  return array;
}

function circular(): object {
  const object: Record<string, unknown> = {};
  object['self'] = object;
  return object;
}

function deep(): unknown {
  let value: unknown = null;
  for (let level = 0; level < DEEP; level += 1) value = { value };
  return value;
}

function rejected(): Promise<never> {
  const promise = Promise.reject(new Error('hostile'));
  // The value itself is hostile, an unhandled rejection of this kit would only be a nuisance.
  promise.catch(() => {});
  return promise;
}

/** Whoever awaits it, or returns it from an async function, gets to know it. */
function hostileThenable(): object {
  // oxlint-disable-next-line unicorn/no-thenable -- being one is what it is for
  return { then: fail };
}

function overflow(): unknown {
  return [overflow()];
}

class Instance {
  readonly own = 'own';
  get inherited(): string {
    return 'inherited';
  }
}

/** What may stand where a text, a number, a list or an object is expected. A few are proper in some fields, none in all. */
export function hostileValues(): readonly NamedValue[] {
  return named({
    undefined: () => undefined,
    null: () => null,
    true: () => true,
    'number 0': () => 0,
    'number -1': () => -1,
    'number 1.5': () => 1.5,
    'number 2 ** 53': () => 2 ** 53,
    'number 1e308': () => 1e308,
    NaN: () => Number.NaN,
    Infinity: () => Number.POSITIVE_INFINITY,
    '-Infinity': () => Number.NEGATIVE_INFINITY,
    bigint: () => 2n ** 64n,
    symbol: () => Symbol('hostile'),
    'registered symbol': () => Symbol.for('hostile'),
    'empty string': () => '',
    'huge string': huge,
    'lone surrogate': () => 'a\uD800b',
    'control characters': () => 'a\0\r\nb\u2028\u202Ec',
    'query syntax': () => '../..?a=b&c=%00#d',
    'string __proto__': () => '__proto__',
    'String object': () => new String('boxed'),
    'empty object': () => ({}),
    'object without a prototype': () => Object.create(null) as unknown,
    '__proto__ key': () => JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown,
    'frozen object': () => Object.freeze({ a: 1 }),
    'class instance': () => new Instance(),
    circular,
    'deeply nested': deep,
    'empty array': () => [],
    'array of everything': () => [undefined, null, Number.NaN, Symbol('hostile'), 1n, {}, [], fail, huge()],
    'array of holes': () => holes(1_000_000),
    'circular array': () => {
      const array: unknown[] = [];
      array.push(array);
      return array;
    },
    'array-like': () => ({ length: 2 ** 32, 0: 'a' }),
    Uint8Array: () => new Uint8Array(16),
    Map: () => new Map([['a', 1]]),
    Date: () => new Date(0),
    'invalid Date': () => new Date(Number.NaN),
    'regular expression': () => /hostile/g,
    Error: () => new Error('hostile'),
    function: () => () => 'returned',
    'function that throws': () => fail,
    'async function': () => async () => 'returned',
    'async function that rejects': () => async () => fail(),
    class: () => Instance,
    promise: () => Promise.resolve('resolved'),
    'promise that never settles': () => new Promise(() => {}),
    'promise that rejected': rejected,
    'thenable that throws': hostileThenable,
    'getter that throws inside': () => Object.defineProperty({}, 'value', { get: fail, enumerable: true }),
    'toString that throws': () => ({ toString: fail, valueOf: fail, toJSON: fail }),
    'toString that gives an object': () => ({ toString: () => ({}), valueOf: () => ({}) }),
    'toPrimitive that throws': () => ({
      [Symbol.toPrimitive]: fail,
      get [Symbol.toStringTag]() {
        return fail();
      },
    }),
    'proxy that throws': () => throwingProxy(),
    'array proxy that throws': () => throwingProxy([]),
    'function proxy that throws': () => throwingProxy(fail),
    'revoked proxy': () => revokedProxy(),
    'revoked array proxy': () => revokedProxy([]),
    'revoked function proxy': () => revokedProxy(fail),
  });
}

/** A way to answer when a field is read, given what would be proper. */
export interface NamedGetter {
  readonly name: string;
  readonly makeGetter: (proper: unknown) => () => unknown;
}

/** Getters that fail, or whose second reading does not agree with the first. */
export function hostileGetters(): readonly NamedGetter[] {
  return [
    { name: 'getter throws', makeGetter: () => fail },
    {
      name: 'getter throws undefined',
      makeGetter: () => () => {
        throw undefined as unknown as Error;
      },
    },
    {
      name: 'getter changes its mind',
      makeGetter: (proper) => {
        let reads = 0;
        return () => (reads++ === 0 ? proper : Symbol('second reading'));
      },
    },
    { name: 'getter gives a promise', makeGetter: (proper) => async () => proper },
  ];
}

/** What a host's `getProfileType` may do instead of giving a text. */
export function hostileFunctions(): readonly NamedValue[] {
  return named({
    throws: () => fail,
    'throws undefined': () => () => {
      throw undefined as unknown as Error;
    },
    'returns a promise': () => async () => 'postgres',
    'returns a promise that rejects': () => async () => fail(),
    'returns a thenable that throws': () => hostileThenable,
    'returns an object': () => () => ({ type: 'postgres' }),
    'returns a symbol': () => () => Symbol('postgres'),
    'returns a huge string': () => huge,
    'returns a lone surrogate': () => () => '\uDC00',
    'returns a throwing proxy': () => () => throwingProxy(),
    'overflows the stack': () => overflow,
  });
}

/** A table of makers as a list. */
export function named(makers: Readonly<Record<string, () => unknown>>): readonly NamedValue[] {
  return Object.entries(makers).map(([name, make]) => ({ name, make }));
}

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
    gzip: () => gzipSync('{"a":1}').toString('base64'),
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
    bytes: () => Buffer.from(proper),
    'object with toString': () => ({ toString: () => proper }),
    function: () => () => proper,
    promise: () => Promise.resolve(proper),
  });
}
