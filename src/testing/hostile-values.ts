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
    'Uint8Array': () => new Uint8Array(16),
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
    'toPrimitive that throws': () => ({ [Symbol.toPrimitive]: fail, get [Symbol.toStringTag]() { return fail(); } }),
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
