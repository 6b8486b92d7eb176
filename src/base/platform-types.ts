/*
 * Types of the platform, as the public declarations name them. They need neither `@types/node` nor the lib `dom`: a user may compile with
 * neither. Where one of them is there, what we hand to a user has its own type.
 */

/**
 * Environment variables by name. `process.env` is one.
 *
 * @example
 * const env: Environment = { ...process.env, DO_NOT_TRACK: '1' };
 * console.log(shouldEmit(resolveSettings({ product: 'acme', env }))); // false
 */
export type Environment = Record<string, string | undefined>;

/**
 * A URL object of any realm or library. `searchParams` tells it from other objects with an `href`, such as `location`.
 *
 * @example
 * const endpoint: UrlObject = new URL('https://telemetry.acme.example');
 */
export interface UrlObject {
  /** The whole URL. */
  readonly href: string;
  /** Its query. */
  readonly searchParams: object;
}

/**
 * The name of a platform: the type of `process.platform` if the compiler knows that, else any text.
 *
 * @example
 * const platform: Platform = 'linux';
 * console.log(configFilePath('acme', { HOME: '/home/ada' }, platform)); // /home/ada/.config/acme/telemetry.json
 */
export type Platform = typeof globalThis extends { process: { platform: infer P extends string } } ? P : string;

/** The part of an `AbortSignal` that a transport needs. */
interface BasicSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
  throwIfAborted(): void;
}

/**
 * `AbortSignal` if the compiler knows that, so that `fetch` takes it; else the part of it that a transport needs.
 *
 * @example
 * const post = (signal: SendSignal) => fetch('https://telemetry.acme.example', { method: 'POST', signal });
 */
export type SendSignal = typeof globalThis extends { AbortSignal: { prototype: infer S extends { readonly aborted: boolean } } }
  ? S
  : BasicSignal;

/**
 * A request that a server of node:http received (`IncomingMessage`): as much of it as tells it from other objects.
 *
 * @example
 * const pathOf = ({ url = '' }: HttpRequest) => url.split('?', 1)[0];
 */
export interface HttpRequest {
  /** The method, such as `GET`. */
  readonly method?: string | undefined;
  /** Path and query, as they were received. */
  readonly url?: string | undefined;
  /** The version of HTTP, such as `1.1`. */
  readonly httpVersion: string;
  /** Names and values of the header fields, in turn. */
  readonly rawHeaders: readonly string[];
  /** The connection. */
  readonly socket: object;
}

/**
 * The answer of a server of node:http (`ServerResponse`). One of node:http2 has no `shouldKeepAlive`.
 *
 * @example
 * const isAnswered = ({ headersSent, statusCode }: HttpResponse) => headersSent && statusCode < 300;
 */
export interface HttpResponse {
  /** Whether the head was sent. */
  readonly headersSent: boolean;
  /** Whether the connection stays open after the answer. */
  shouldKeepAlive: boolean;
  /** The status of the answer. */
  statusCode: number;
}

/** `AsyncDisposable`, for `await using`, if the compiler knows `Symbol.asyncDispose`; else an object without it. */
export type AwaitUsing = SymbolConstructor extends { readonly asyncDispose: infer S extends symbol }
  ? { readonly [K in S]: () => PromiseLike<void> }
  : object;
