/** What of ours keeps the process alive: Node cannot unref a connect or a name query, and an exit waits for its deadline. */
import { systemClock } from '../base/clock.js';

/** Counts what is under way in this process. */
class Counter {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @returns Reports the end; a second call does nothing. */
  begin(): () => void {
    this.#count += 1;
    let isOver = false;
    return () => {
      if (!isOver) this.#count -= 1;
      isOver = true;
    };
  }
}

/** What is under way. What one client of a process does keeps the process alive for each of them. */
export interface UnderWay {
  /** TCP connects. */
  readonly connects: Counter;
  /** Connections to a proxy that has not opened its tunnel yet. Their library holds the socket. */
  readonly tunnels: Counter;
  /** Questions to name servers, which `getActiveResourcesInfo` does not list (seen in Node 20 to 26). */
  readonly queries: Counter;
  /** Timers that hold the process for what is left of an exit's deadline. */
  readonly waits: Counter;
}

/**
 * A process may have loaded the package twice, and neither copy may take the other one for the host. The counters are at Node's own
 * `process`: test runners give each file a realm with globals of its own, of which `process` is one.
 */
const KEY = Symbol.for('cosmos-telemetry.under-way');

function ofThisProcess(): UnderWay {
  const all = process.getBuiltinModule('node:process') as { [KEY]?: UnderWay };
  if (!Object.hasOwn(all, KEY)) {
    const value = { connects: new Counter(), tunnels: new Counter(), queries: new Counter(), waits: new Counter() };
    Object.defineProperty(all, KEY, { __proto__: null, value } as PropertyDescriptor);
  }
  return all[KEY] as UnderWay;
}

export const underWay: UnderWay = ofThisProcess();

/** What of a stream tells if it keeps the process alive. */
interface Handle {
  pause?: unknown;
  connecting?: unknown;
  _handle?: { reading?: unknown } | null;
}

/** What may not be documented, or not exist in another runtime. */
interface Undocumented {
  getActiveResourcesInfo?: () => string[];
  _getActiveHandles?: () => Handle[];
}

/** As `getActiveResourcesInfo` names the streams behind these classes. */
const STREAMS: Readonly<Record<string, string>> = { Pipe: 'PipeWrap', TCP: 'TCPSocketWrap', TTY: 'TTYWrap' };

/**
 * Whether nothing that Node lists keeps the process alive but what of ours is under way. `beforeExit` would tell, but it does not come
 * before a connect has ended. It may be wrong: Node lists neither a worker thread without listeners nor what its thread pool computes.
 */
export function isHeldByUs(inspect: Undocumented = process): boolean {
  const { connects, tunnels, queries, waits } = underWay;
  if (connects.count + tunnels.count + queries.count + waits.count === 0) return false;
  if (typeof inspect.getActiveResourcesInfo !== 'function') return false;
  // Bun (seen in 1.4.5) lists nothing, whatever there is. A timer shows it.
  const timer = systemClock.setTimeout(() => undefined, 1000);
  const listed = inspect.getActiveResourcesInfo();
  systemClock.clearTimeout(timer);
  const left = new Map<string, number>();
  const add = (kind: string, by: number): unknown => left.set(kind, (left.get(kind) ?? 0) + by);
  for (const kind of listed) add(kind, 1);
  if (!left.has('Timeout')) return false;
  for (const handle of inspect._getActiveHandles?.() ?? []) {
    const kind = kindOfIdle(handle);
    if (kind !== undefined) add(kind, -1);
  }
  take(left, ['Timeout'], waits.count + 1);
  take(left, ['ConnectWrap', 'TCPConnectWrap'], connects.count + tunnels.count);
  take(left, ['TCPSocketWrap', 'TLSWrap'], tunnels.count);
  return Math.max(0, ...left.values()) === 0;
}

/** The kind of a stream that is listed but neither reads nor connects: standard output, or a standard input that is paused. */
function kindOfIdle({ pause, connecting, _handle: handle }: Handle): string | undefined {
  if (typeof pause !== 'function' || connecting === true || handle?.reading === true) return undefined;
  const name = handle?.constructor.name ?? '';
  return Object.hasOwn(STREAMS, name) ? STREAMS[name] : undefined;
}

/** Takes up to `most` resources of these kinds away. */
function take(from: Map<string, number>, kinds: readonly string[], most: number): void {
  let left = most;
  for (const kind of kinds) {
    const count = from.get(kind) ?? 0;
    const taken = Math.min(Math.max(0, count), left);
    left -= taken;
    from.set(kind, count - taken);
  }
}
