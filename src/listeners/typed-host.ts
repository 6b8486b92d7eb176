/*
 * Types for hosts with typed events: what `register` can tell at compile time. There is no code in this file.
 */
import type { HostEvents } from './host.js';
import type { HostMap, Mapped } from './map.js';
import type { EventNames } from './register.js';

/**
 * The events of a host for the generics of node:events and eventemitter3. A host with events of its own extends it.
 * @example
 * import { EventEmitter } from 'node:events';
 * class Orchestrator extends EventEmitter<TypedHost & { started: [runId: string] }> {}
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * telemetry.register(new Orchestrator());
 */
export type TypedHost = { [K in keyof HostEvents]: [payload: HostEvents[K]] };

type IsAny<T> = 0 extends 1 & T ? true : false;

/** No value has this type, but `any`. */
interface Nothing {
  readonly 'no value': never;
}

/*
 * 1. The names that a host emits.
 */

/** The method that adds a listener: the first that there is, as `register` takes it. */
type Adder<H> = H extends { on: infer F }
  ? F
  : H extends { addListener: infer F }
    ? F
    : H extends { addEventListener: infer F }
      ? F
      : never;

/** Names and handlers of its overloads; the compiler gives the last eight. */
type Overloads<F> = F extends {
  (name: infer A, handler: infer P, ...rest: never[]): unknown;
  (name: infer B, handler: infer Q, ...rest: never[]): unknown;
  (name: infer C, handler: infer R, ...rest: never[]): unknown;
  (name: infer D, handler: infer S, ...rest: never[]): unknown;
  (name: infer E, handler: infer T, ...rest: never[]): unknown;
  (name: infer G, handler: infer U, ...rest: never[]): unknown;
  (name: infer I, handler: infer V, ...rest: never[]): unknown;
  (name: infer J, handler: infer W, ...rest: never[]): unknown;
}
  ? { name: A | B | C | D | E | G | I | J; handler: P | Q | R | S | T | U | V | W }
  : never;

/** Of any version, or `any` without `@types/node`: without this comment a program that has none would not compile. */
/** @ts-ignore */
// oxlint-disable-next-line typescript/consistent-type-imports -- an import could not be missing
type NodeEmitter<T> = import('node:events').EventEmitter<T>;

/** The events of an emitter of node:events. Only the class itself can be asked: one that extends it no longer says what they are. */
type NodeEvents<H> = [NodeEmitter<unknown>] extends [Nothing] ? unknown : H extends NodeEmitter<infer T> ? Declared<T> : unknown;
type Declared<T> = IsAny<T> extends true ? unknown : T extends unknown[] ? unknown : T;

/** An emitter of node:events takes any name and gives its own by its type or by `eventNames()`, one of mitt by `all`. */
type OwnNames<H> =
  unknown extends NodeEvents<H>
    ? H extends { eventNames(): readonly (infer E)[] } | { readonly all: { keys(): Iterable<infer E> } }
      ? E
      : unknown
    : keyof NodeEvents<H>;

/** The names of a host's events; `string` for a host that takes any. */
type Names<H> =
  IsAny<H> extends true
    ? string
    : string extends OwnNames<H>
      ? string extends Overloads<Adder<H>>['name']
        ? string
        : Extract<Overloads<Adder<H>>['name'], string>
      : Exclude<Extract<OwnNames<H>, string>, '*'>;

/** The names among `N` for which a listener can be added. */
type Emitted<H, N extends string> = Heard<H, Extract<N, OwnNames<H>>>;

type Heard<H, N extends string> = N extends string ? (Adder<H> extends (name: N, handler: never) => unknown ? N : never) : never;

/** The names that a registration listens to. `string` if the compiler does not know them. */
export type Listened<E extends EventNames> = {
  [K in keyof HostEvents]: K extends keyof E ? (E[K] extends string ? E[K] : E[K] extends undefined ? K : string) : K;
}[keyof HostEvents];

/** Nothing more, unless the host's type says that it never emits any of the names. */
export type CheckedNames<H, N extends string> = string extends N
  ? unknown
  : [Emitted<H, N>] extends [never]
    ? { readonly 'this host emits none of': N }
    : unknown;

/*
 * 2. The arguments that it emits.
 */

/** Whether the host takes such a handler for an event. If the method has overloads and generics, as in mitt, it takes all. */
type Takes<H, K, F> = Adder<H> extends (name: K, handler: F) => unknown ? true : false;

/** The arguments of handlers. `on<K extends keyof M>(name: K, handler: (event: M[K]) => void)` gives the events as one union. */
type Arguments<F> = F extends (...args: infer A) => unknown ? A | (A extends [infer P] ? (P extends unknown ? [P] : never) : never) : never;

/** Of the lists of arguments that the host emits with any event, those that a handler of this one may take. */
type Fitting<H, K, A> = A extends unknown[] ? (Takes<H, K, (...args: A) => void> extends true ? A : never) : never;

/** The longest and narrowest of them: a handler may take fewer arguments than there are, and wider ones. */
type Narrowest<A, All = A> = A extends unknown[] ? ([Handler<All>] extends [(...args: A) => void] ? A : never) : never;
type Handler<A> = A extends unknown[] ? (...args: A) => void : never;

/** What a host emits with an event; `unknown[]` if the compiler cannot tell. */
type Emits<H, K> = K extends keyof NodeEvents<H>
  ? Known<NodeEvents<H>[K]>
  : Takes<H, K, (payload: Nothing) => void> extends true
    ? unknown[]
    : Known<Narrowest<Fitting<H, K, Arguments<Overloads<Adder<H>>['handler']>>>>;

type Known<A> = [A] extends [never] ? unknown[] : IsAny<A> extends true ? unknown[] : A extends unknown[] ? A : unknown[];

/*
 * 3. The functions of a `map`.
 */

/** The functions that `map` may have for a host: this is where they get the types of their arguments from. */
export type HostFunctions<H> = string extends Names<H> ? HostMap : { readonly [K in Names<H>]?: HostFunction<Emits<H, K>> };

/** Where the arguments are not known, a function may say what they are (a method is compared both ways). */
type HostFunction<A> = [A] extends [unknown[]] ? (unknown[] extends A ? { of(...args: A): Mapped }['of'] : (...args: A) => Mapped) : never;

/** A map that has functions for events of the host only, for the arguments that it emits, and that returns no key without a meaning. */
export type CheckedMap<F, H> = {
  readonly [K in keyof F]: K extends string
    ? string extends K | Names<H>
      ? CheckedReturn<F[K]>
      : [Emitted<H, K>] extends [never]
        ? 'this host does not emit it'
        : CheckedReturn<F[K]>
    : never;
};

type CheckedReturn<F> = F extends (...args: never) => infer R ? ([R] extends [Exact<R>] ? unknown : (...args: never) => Exact<R>) : unknown;

/** What a function returns, with another type for each key that is not read. Undefined is left: the compiler adds such keys to unions. */
type Exact<R> =
  R extends PromiseLike<infer U>
    ? PromiseLike<Exact<U>>
    : R extends { readonly event: infer E extends keyof HostEvents; readonly payload: unknown }
      ? OnlyKeys<R, { event: unknown; payload: HostEvents[E] }>
      : R;

type OnlyKeys<T, S> =
  IsAny<T> extends true
    ? T
    : T extends string | number | boolean | null | undefined | Date | ((...args: never) => unknown)
      ? T
      : unknown extends S
        ? T
        : string extends Keys<S>
          ? T
          : T extends readonly (infer I)[]
            ? readonly OnlyKeys<I, At<S, number>>[]
            : { [K in keyof T]: K extends Keys<S> ? OnlyKeys<T[K], At<S, K>> : NoKey<T[K]> };

type NoKey<V> = IsAny<V> extends true ? never : V extends undefined ? V : 'not a key of a report';
type Keys<S> = S extends unknown ? keyof S : never;
type At<S, K> = S extends unknown ? (K extends keyof S ? S[K] : never) : never;
