// Values, getters, functions and metadata that break what a host's types promise.
import { constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

/** A named maker of a value. Each call makes a new value, so that tests do not share one. */
export interface NamedValue {
  readonly name: string;
  readonly make: () => unknown;
}

/** 1 MiB: enough to show code that copies, encodes or matches a text without a limit. */
function huge(): string {
  return 'x'.repeat(1024 * 1024);
}

/** Enough levels to overflow the stack of a recursive function such as `JSON.stringify`. */
const DEEP = 20_000;

function fail(): never {
  throw new Error('hostile');
}

/** A proxy that throws from every operation. Only `typeof` works. */
export function throwingProxy(target: object = {}): object {
  const traps: ProxyHandler<object> = {};
  for (const trap of Object.getOwnPropertyNames(Reflect)) Object.assign(traps, { [trap]: fail });
  return new Proxy(target, traps);
}

/** A revoked proxy: even `Array.isArray` throws. */
function revokedProxy(target: object = {}): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** An array that has a length and no elements. */
export function holes(length: number): unknown[] {
  const array: unknown[] = [];
  // From this length on, V8 reserves no memory for holes, and it stays so after the next line. 8 MB each took a test 4 ms.
  array.length = 2 ** 32 - 1;
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
  // The value is the test; an unhandled rejection of this kit is not.
  promise.catch(() => {});
  return promise;
}

/** Throws in `await`, and when an async function returns it. */
function hostileThenable(): object {
  // oxlint-disable-next-line unicorn/no-thenable -- the point of this value
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

/** Values for a field that expects a text, a number, a list or an object. Some are valid in some fields; none is valid in all. */
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

/** A named maker of a getter. It receives the valid value of the field. */
interface NamedGetter {
  readonly name: string;
  readonly makeGetter: (proper: unknown) => () => unknown;
}

/** Getters that throw, or that return something else at the second read. */
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

/** Functions for a host's `getProfileType`, which should return a text. */
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

/** Turns a table of makers into a list. */
export function named(makers: Readonly<Record<string, () => unknown>>): readonly NamedValue[] {
  return Object.entries(makers).map(([name, make]) => ({ name, make }));
}

const MIB = 1024 * 1024;

/** Packs metadata like a host: JSON, zlib at level 9, base64. */
export function pack(metadata: unknown): string {
  return packText(JSON.stringify(metadata));
}

function packText(text: string | Uint8Array): string {
  return deflateSync(text, { level: 9 }).toString('base64');
}

const bombs = new Map<number, string>();

/**
 * A valid zlib stream of `unpackedMiB` MiB of zeros, in base64; about a thousandth of that size. It repeats one packed MiB, which a full
 * flush allows, so that the unpacked bytes are never in memory.
 */
function bomb(unpackedMiB: number): string {
  let packed = bombs.get(unpackedMiB);
  if (packed === undefined) {
    const block = deflateRawSync(Buffer.alloc(MIB), { level: 9, finishFlush: constants.Z_FULL_FLUSH });
    const adler = Buffer.alloc(4);
    // Adler-32 of n zeros (RFC 1950, section 8.2): the low half is 1, the high half is n.
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

/** Values for the DAG param with the packed metadata: bad blobs, no blobs, and objects around one. `proper` is a valid blob. */
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
