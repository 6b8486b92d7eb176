// Values that foreign code hands in: hosts, subscribers, loggers. Their promises must not end the process as unhandled rejections.

/**
 * Tells the type of a value without running its code.
 *
 * `process.getBuiltinModule`, and not an import: `import ... from 'node:util'` loads about ten more internal modules of Node at
 * the start of each host process.
 */
export const { types } = process.getBuiltinModule('node:util');

/**
 * Whether `holder` inherits its value of `name` from a polluted `Object.prototype`. A value of a class of the holder is its own: a host may
 * pass an instance of a class, or `Object.create(process.env)`.
 */
export function isPolluted(holder: object, name: PropertyKey): boolean {
  if (!Object.hasOwn(Object.prototype, name) || Object.hasOwn(holder, name)) return false;
  return Object.is(Reflect.get(holder, name), Reflect.get(Object.prototype, name));
}

/** The value of an optional property of an object that foreign code made; undefined if it comes from a polluted `Object.prototype`. */
export function given<O extends object, K extends keyof O>(holder: O, name: K): O[K] | undefined {
  return isPolluted(holder, name) ? undefined : holder[name];
}

/**
 * A copy without a prototype, for options that other code reads: what is not in it is not there, whatever `Object.prototype` holds. Node
 * and the dependencies read options that we do not set.
 */
export function bare<O extends object>(options: O): O {
  return Object.assign(Object.create(null) as O, options);
}

/**
 * Options of Node's streams, each left out by an own property. Node copies the options of a socket and of zlib into new objects, so a
 * missing prototype is not enough: `signal: 1` on `Object.prototype` would make each of them throw.
 */
const NO_STREAM_OPTIONS = {
  construct: undefined,
  decodeStrings: undefined,
  destroy: undefined,
  encoding: undefined,
  fd: undefined,
  final: undefined,
  handle: undefined,
  highWaterMark: undefined,
  objectMode: undefined,
  onread: undefined,
  read: undefined,
  readable: undefined,
  readableObjectMode: undefined,
  signal: undefined,
  transform: undefined,
  writable: undefined,
  writableObjectMode: undefined,
  write: undefined,
  writev: undefined,
};

/** As {@link bare}, for options that reach a stream of Node. */
export function bareStreamOptions<O extends object>(options: O): O {
  return bare({ ...NO_STREAM_OPTIONS, ...options });
}

/**
 * Handles the rejection of a promise or thenable that nothing awaits: unhandled, it ends the process. Does nothing for any other
 * value. Never throws.
 */
export function onRejection(value: unknown, rejected: () => void): void {
  try {
    if (isThenable(value)) new Promise((resolve) => resolve(value)).catch(rejected);
  } catch {
    rejected();
  }
}

/**
 * Returns the value. If it is a promise, its rejection is ignored: a getter may create a promise each time it is read, and then
 * our read alone would end the process.
 */
export function ignoreRejection(value: unknown): unknown {
  // Not `instanceof`: it runs the traps of a proxy, and throws if the proxy is revoked.
  if (typeof value === 'object' && value !== null && types.isPromise(value)) handleRejection(value);
  return value;
}

/** The methods of the language: a host may have replaced them, also on the promise itself. */
const { apply } = Reflect;
// oxlint-disable-next-line typescript/unbound-method -- it is called by `apply`
const { then } = Promise.prototype;

function nothing(): void {}

/** At once: a promise of a vm context whose microtasks have run would be handled too late. */
function handleRejection(promise: Promise<unknown>): void {
  try {
    void apply(then, promise, [undefined, nothing]);
  } catch {
    // A getter of `constructor` threw.
    onRejection(promise, nothing);
  }
}

const RESOLVED = Promise.resolve();

/** Runs a function once the code that runs now has returned, before Node looks for unhandled rejections. It must not throw. */
export function soon(run: () => void): void {
  void apply(then, RESOLVED, [run]);
}

/** Whether a value is a promise, or an object with a `then` method. Its getter may throw. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
