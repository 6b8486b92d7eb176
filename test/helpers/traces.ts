import { createHook } from 'node:async_hooks';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** What a process did and left behind between `watchTraces()` and `stop()`. */
export interface Traces {
  /** Every asynchronous resource except promises: sockets, connections, name look-ups, timers, immediates, file system requests. */
  resources: string[];
  /** Calls of node:fs, each as `openSync /path`, synchronous ones included. */
  files: string[];
  /** Listeners added to the process, by event. */
  listeners: string[];
}

/** Promises and the nextTick queue hold nothing and end by themselves. */
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

/** Starts to watch this process. It records everything in the process, so nothing else may run meanwhile. */
export function watchTraces(): { stop(): Traces } {
  const traces: Traces = { resources: [], files: [], listeners: [] };
  const undo: (() => void)[] = [];
  for (const holder of [fs, fs.promises] as unknown as Holder[]) {
    // By name first: reading a constant such as fs.F_OK warns in newer versions of Node.
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
