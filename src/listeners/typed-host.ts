/*
 * Types for hosts with typed events: what `register` can tell at compile time. There is no code in this file.
 */
import type { HostEmitter, HostEvents } from './host.js';
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

/** The names that a registration listens to: those of its `map`, else of the events. `string` if the compiler does not know them. */
export type Listened<M extends string, E extends EventNames> = [M] extends [never]
  ? {
      [K in keyof HostEvents]: K extends keyof E ? (E[K] extends string ? E[K] : E[K] extends undefined ? K : string) : K;
    }[keyof HostEvents]
  : M;

/**
 * The names among `N` for which a listener can be added. Where `on` takes any name, its type says nothing: an emitter of node:events gives
 * its own names by `eventNames()`, one of mitt by `all`.
 */
type Emitted<H, N extends string> = H extends { eventNames(): readonly (infer E)[] } | { readonly all: { keys(): Iterable<infer E> } }
  ? Heard<H, Extract<N, E>>
  : Heard<H, N>;

type Heard<H, N extends string> = N extends string
  ? H extends
      | { on(name: N, handler: never): unknown }
      | { addListener(name: N, handler: never): unknown }
      | { addEventListener(name: N, handler: never): unknown }
    ? N
    : never
  : never;

/** A host, unless its type says that it never emits any of these names. */
export type EmittingHost<H extends HostEmitter, N extends string> = string extends N
  ? H
  : [Emitted<H, N>] extends [never]
    ? H & { readonly 'this host emits none of': N }
    : H;
