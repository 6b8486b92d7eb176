// Counts the traces of code in this process, for act 3: sockets, name look-ups, calls to the file system, timers.
import { createHook } from 'node:async_hooks';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const KINDS = {
  sockets: /^(TCP|PIPE|UDP|TLS)(SERVER)?WRAP$/,
  lookups: /^(GETADDRINFO|GETNAMEINFO|QUERY|DNS)/,
  timers: /^Timeout$/,
};

type Functions = Record<string, (...args: unknown[]) => unknown>;

/** Wraps each function of an object. @returns A function that restores them. */
function onEachCall(holder: Functions, onCall: () => void): () => void {
  // Filter by name before reading: reading a constant such as fs.F_OK warns in newer versions of Node.
  const names = Object.keys(holder).filter((name) => /^[a-z]/.test(name) && typeof holder[name] === 'function');
  const functions = Object.fromEntries(names.map((name) => [name, holder[name] as Functions[string]]));
  for (const [name, call] of Object.entries(functions)) {
    const counted = (...args: unknown[]) => {
      onCall();
      return call(...args);
    };
    holder[name] = Object.assign(counted, call);
  }
  return () => void Object.assign(holder, functions);
}

/** Counts the traces of `run`: node:async_hooks reports asynchronous resources, and each function of node:fs is wrapped. */
export async function countTraces(run: () => Promise<void>) {
  const traces = { sockets: 0, lookups: 0, files: 0, timers: 0 };
  const hook = createHook({
    init: (_id, type) => {
      for (const kind of ['sockets', 'lookups', 'timers'] as const) if (KINDS[kind].test(type)) traces[kind] += 1;
    },
  });
  const undo = [fs, fs.promises].map((holder) => onEachCall(holder as object as Functions, () => (traces.files += 1)));
  syncBuiltinESMExports();
  hook.enable();
  try {
    await run();
  } finally {
    hook.disable();
    for (const restore of undo) restore();
    syncBuiltinESMExports();
  }
  return traces;
}
