import { createHook } from 'node:async_hooks';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** What happened in the process between `watchTraces()` and `stop()`. */
export interface Traces {
  /** All asynchronous resources except promises: sockets, name look-ups, timers, immediates, file system requests. */
  resources: string[];
  /** All calls of node:fs. @example 'openSync /etc/hosts' */
  files: string[];
  /** The events for which a listener was added to the process. */
  listeners: string[];
}

/** Promises and the nextTick queue leave no trace. */
const HARMLESS = new Set(['PROMISE', 'TickObject', 'Microtask']);

type Callable = (...args: unknown[]) => unknown;
type Holder = Record<string, unknown>;

function wrap(holder: Holder, name: string, onCall: (args: unknown[]) => void): () => void {
  const original = holder[name] as Callable;
  holder[name] = function (this: unknown, ...args: unknown[]): unknown {
    onCall(args);
    return original.apply(this, args);
  };
  Object.assign(holder[name] as object, original);
  return () => {
    holder[name] = original;
  };
}

/** Watches the whole process, so the test must run alone. */
export function watchTraces(): { stop(): Traces } {
  const traces: Traces = { resources: [], files: [], listeners: [] };
  const undo: (() => void)[] = [];
  for (const holder of [fs, fs.promises] as unknown as Holder[]) {
    // Names first: reading a constant such as fs.F_OK prints a warning in newer versions of Node.
    const names = Object.keys(holder).filter((name) => /^[a-z]/.test(name) && typeof holder[name] === 'function');
    for (const name of names) undo.push(wrap(holder, name, ([first]) => traces.files.push(`${name} ${String(first)}`)));
  }
  for (const name of ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener']) {
    undo.push(wrap(process as unknown as Holder, name, ([event]) => traces.listeners.push(String(event))));
  }
  syncBuiltinESMExports();
  const hook = createHook({
    init: (_id, type) => {
      if (!HARMLESS.has(type)) traces.resources.push(type);
    },
  }).enable();
  return {
    stop: () => {
      hook.disable();
      for (const restore of undo) restore();
      syncBuiltinESMExports();
      return traces;
    },
  };
}
