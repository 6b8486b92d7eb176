/*
 * Types of the platform, as the public declarations name them. They need neither `@types/node` nor the lib `dom`: a user may compile with
 * neither. Where one of them is there, what we hand to a user has its own type.
 */

/** Environment variables by name. `process.env` is one. */
export type Environment = Record<string, string | undefined>;

/** A URL object of any realm or library. `searchParams` tells it from other objects with an `href`, such as `location`. */
export interface UrlObject {
  readonly href: string;
  readonly searchParams: object;
}

/** The name of a platform: the type of `process.platform` if the compiler knows that, else any text. */
export type Platform = typeof globalThis extends { process: { platform: infer P extends string } } ? P : string;

/** The part of an `AbortSignal` that a transport needs. */
interface BasicSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
  throwIfAborted(): void;
}

/** `AbortSignal` if the compiler knows that, so that `fetch` takes it; else the part of it that a transport needs. */
export type SendSignal = typeof globalThis extends { AbortSignal: { prototype: infer S extends { readonly aborted: boolean } } }
  ? S
  : BasicSignal;

/** A request that a server of node:http received (`IncomingMessage`): as much of it as tells it from other objects. */
export interface HttpRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
  readonly socket: object;
}

/** The answer of a server of node:http (`ServerResponse`). One of node:http2 has no `shouldKeepAlive`. */
export interface HttpResponse {
  readonly headersSent: boolean;
  shouldKeepAlive: boolean;
  statusCode: number;
}

/** `AsyncDisposable`, for `await using`, if the compiler knows `Symbol.asyncDispose`; else an object without it. */
export type AwaitUsing = SymbolConstructor extends { readonly asyncDispose: infer S extends symbol }
  ? { readonly [K in S]: () => PromiseLike<void> }
  : object;
