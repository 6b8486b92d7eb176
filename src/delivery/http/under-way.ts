/** What of ours keeps the process alive: connects and name queries under way, which Node cannot unref. */

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

/** For all transports of the process: what is under way for one of them keeps the process alive for each. */
export const underWay = {
  /** TCP connects. */
  connects: new Counter(),
  /** Connections to a proxy that has not opened its tunnel yet. Their library holds the socket. */
  tunnels: new Counter(),
  /** Questions to name servers, which `getActiveResourcesInfo` does not list (seen in Node 20 to 26). */
  queries: new Counter(),
};

/** Streams whose handle is listed although it keeps nothing alive: standard output and standard error. */
const OUTPUTS: ReadonlySet<unknown> = new Set([1, 2]);

/** What may not be documented, or not exist in another runtime. */
interface Undocumented {
  getActiveResourcesInfo?: () => string[];
  _getActiveHandles?: () => { fd?: unknown; _isStdio?: unknown }[];
}

/**
 * Whether nothing keeps the process alive but what of ours is under way. `beforeExit` would tell, but it does not come before a connect
 * has ended.
 */
export function hostHasEnded(inspect: Undocumented = process): boolean {
  const { connects, tunnels, queries } = underWay;
  if (connects.count + tunnels.count + queries.count === 0) return false;
  if (typeof inspect.getActiveResourcesInfo !== 'function') return false;
  const left = new Map<string, number>();
  for (const kind of inspect.getActiveResourcesInfo()) left.set(kind, (left.get(kind) ?? 0) + 1);
  const outputs = (inspect._getActiveHandles?.() ?? []).filter(({ fd, _isStdio: isStdio }) => isStdio === true && OUTPUTS.has(fd)).length;
  return (
    take(left, ['ConnectWrap', 'TCPConnectWrap'], connects.count + tunnels.count) &&
    take(left, ['TCPSocketWrap', 'TLSWrap'], tunnels.count) &&
    take(left, ['PipeWrap', 'TTYWrap'], outputs) &&
    left.size === 0
  );
}

/** Takes up to `most` resources of these kinds away. @returns Whether none of them is left. */
function take(from: Map<string, number>, kinds: readonly string[], most: number): boolean {
  let count = 0;
  for (const kind of kinds) {
    count += from.get(kind) ?? 0;
    from.delete(kind);
  }
  return count <= most;
}
