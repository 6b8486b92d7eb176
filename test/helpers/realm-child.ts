// A host whose globals are not Node's. Argument: a realm. `browser`: those of a page, as jsdom and Jest's environment for it install them
// before the package is loaded. `fake timers`: installed after it is loaded, as test runners do; no timer ever fires. It prints a
// `RealmReport`.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { DrainReport } from '../../src/index.js';

export type Realm = 'browser' | 'fake timers';

/** What the child prints. */
export interface RealmReport {
  /** The report of `close()`, or the error that it rejected with. */
  closed: DrainReport | string;
  /** What `emitUsageMetrics` returned. */
  emitted: boolean;
  /** What came back from packing and unpacking metadata. */
  unpacked: unknown;
  requests: number;
}

const realm = process.argv[2] as Realm | undefined;
if (realm !== undefined) await run(realm, process.argv[3] === 'silent');

async function run(kind: Realm, isSilent: boolean): Promise<void> {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    if (!isSilent) response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  if (kind === 'browser') becomeBrowser();
  const index = await import('../../src/index.js');
  if (kind === 'fake timers') fakeTimers();
  const product = { name: 'acme', version: '1.0.0' };
  const telemetry = index.createTelemetry({ product, dbt: true, endpoint, env: {}, connectTimeoutMs: 300, attemptTimeoutMs: 300 });
  for (let event = 0; event < 8; event += 1) {
    telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
  }
  const closed = await telemetry.close({ deadlineMs: isSilent ? 200 : 20_000 }).catch(String);
  const emitted = await index.emitUsageMetrics({ event_type: 'once', n: 1 }, { endpoint, product, env: {}, attemptTimeoutMs: 300 });
  const unpacked = index.decompressTelemetryMetadata(index.compressTelemetryMetadata({ database: 'postgres' }));
  const report: RealmReport = { closed, emitted, unpacked, requests };
  writeSync(1, JSON.stringify(report));
  // With fake timers Node's own server cannot close.
  process.exit(0);
}

function replace(globals: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true, enumerable: true });
  }
}

/** Timers are numbers, events and signals are of other classes, and some classes are missing. */
function becomeBrowser(): void {
  const { setTimeout: start, clearTimeout: stop } = globalThis;
  const timers = new Map<number, NodeJS.Timeout>();
  class PageEvent {
    readonly type: string;
    target: unknown;
    constructor(type: string) {
      this.type = type;
    }
  }
  class PageEventTarget {
    readonly #listeners = new Map<string, Set<(event: PageEvent) => void>>();
    addEventListener(type: string, listener: (event: PageEvent) => void): void {
      this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener));
    }
    removeEventListener(type: string, listener: (event: PageEvent) => void): void {
      this.#listeners.get(type)?.delete(listener);
    }
    dispatchEvent(event: PageEvent): boolean {
      event.target = this;
      for (const listener of this.#listeners.get(event.type) ?? []) listener.call(this, event);
      return true;
    }
  }
  class PageAbortSignal extends PageEventTarget {
    aborted = false;
    readonly [Symbol.toStringTag] = 'AbortSignal';
    throwIfAborted(): void {
      if (this.aborted) throw new Error('aborted');
    }
  }
  class PageAbortController {
    readonly signal = new PageAbortSignal();
    abort(): void {
      if (this.signal.aborted) return;
      this.signal.aborted = true;
      this.signal.dispatchEvent(new PageEvent('abort'));
    }
  }
  replace({
    setTimeout: (callback: () => void, delayMs: number): number => {
      const id = timers.size + 1;
      timers.set(id, start(callback, delayMs));
      return id;
    },
    clearTimeout: (id: number) => stop(timers.get(id)),
    setImmediate: undefined,
    Event: PageEvent,
    EventTarget: PageEventTarget,
    AbortController: PageAbortController,
    AbortSignal: PageAbortSignal,
    TextDecoder: undefined,
    TextEncoder: undefined,
    performance: { now: () => 0 },
  });
}

function nothing(): void {}

function never(): object {
  const timer = { ref: () => timer, unref: () => timer, hasRef: () => true, refresh: () => timer };
  return timer;
}

/** What libraries of fake timers replace: globals, and the exports of Node's modules. `process.nextTick` is left, since Node needs it. */
function fakeTimers(): void {
  const start = { setTimeout: never, setInterval: never, setImmediate: never };
  const stop = { clearTimeout: nothing, clearInterval: nothing, clearImmediate: nothing };
  const NodeDate = Date;
  class FakeDate extends NodeDate {
    static override now(): number {
      return 0;
    }
  }
  replace({ ...start, ...stop, queueMicrotask: nothing, Date: FakeDate, performance: { now: () => 0 } });
  Object.assign(createRequire(import.meta.url)('node:timers') as object, start, stop);
}
