/** The pages that follow a relay, by server-sent events: one snapshot a second for all of them, and none while there is none. */
import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../base/clock.js';
import { PAGE_HEADERS } from './document.js';
import type { PageParts } from './parts.js';

/** The most pages that follow at a time. Each holds a connection. */
export const MAX_WATCHERS = 16;

/** How often a snapshot is made. */
const SNAPSHOT_MS = 1000;

/** A page that has not read its last snapshot for so long is disconnected. */
const MAX_STUCK_MS = 30_000;

/** How long a page waits before it connects again. */
const RETRY_MS = 2000;

/** A page that follows. */
interface Watcher {
  readonly response: ServerResponse;
  /** Whether it has missed a snapshot: it gets all parts next, and not only those that have changed. */
  isBehind: boolean;
  /** Since when a snapshot waits for it in the memory of this process. */
  stuckSinceMs: number | undefined;
}

/** Sends what has changed to the pages that follow. */
export class Watchers {
  readonly #clock: Clock;
  readonly #snapshot: () => PageParts;
  readonly #most: number;
  readonly #watchers = new Set<Watcher>();
  #last: PageParts = new Map();
  #timer: Timer | undefined;
  #isClosed = false;

  /**
   * @param snapshot The parts of the page as they are now.
   * @param most The most pages that follow at a time.
   */
  constructor(clock: Clock, snapshot: () => PageParts, most = MAX_WATCHERS) {
    this.#clock = clock;
    this.#snapshot = snapshot;
    this.#most = most;
  }

  /** Whether all have been ended. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** How many pages follow. */
  get size(): number {
    return this.#watchers.size;
  }

  /** Has a page follow until one side ends it. @returns False if there is no room, or all have been ended: nothing was sent then. */
  add(response: ServerResponse): boolean {
    const { socket } = response;
    // An answer has no socket while another one of its connection comes first, and Node would not tell that the connection was closed.
    if (this.#isClosed || socket === null || this.#watchers.size >= this.#most) return false;
    const watcher: Watcher = { response, isBehind: false, stuckSinceMs: undefined };
    this.#watchers.add(watcher);
    response.on('close', () => this.#remove(watcher));
    // A page that closes ends its side. Without this, only the next snapshots would find that nobody reads them.
    socket.once('end', () => response.end());
    // It has time limits of its own: see `#send`.
    socket.setTimeout(0);
    response.writeHead(200, STREAM_HEADERS as string[]);
    // The first page of a second pays for a snapshot, which is then the shared one.
    if (this.#timer === undefined) {
      this.#last = this.#snapshot();
      this.#schedule();
    }
    response.write(`retry: ${RETRY_MS}\n\n${frame(this.#last)}`);
    return true;
  }

  /** Ends all pages, and takes no more. */
  close(): void {
    this.#isClosed = true;
    for (const { response } of this.#watchers) response.end();
  }

  #remove(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0 || this.#timer === undefined) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = new Map();
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(this.#beat, SNAPSHOT_MS);
    this.#timer.unref();
  }

  readonly #beat = (): void => {
    this.#schedule();
    const parts = this.#snapshot();
    const changed = frame(new Map([...parts].filter(({ 0: name, 1: source }) => this.#last.get(name) !== source)));
    this.#last = parts;
    let all: string | undefined;
    for (const watcher of this.#watchers) this.#send(watcher, () => (watcher.isBehind ? (all ??= frame(parts)) : changed));
  };

  /** Sends a snapshot, unless the one before is still in the memory of this process: a slow page holds at most one. */
  #send(watcher: Watcher, text: () => string): void {
    const { response, stuckSinceMs } = watcher;
    if (response.writableLength === 0) {
      if (response.writableEnded) return;
      response.write(text());
      watcher.isBehind = false;
      watcher.stuckSinceMs = undefined;
      return;
    }
    const nowMs = this.#clock.now();
    watcher.isBehind = true;
    watcher.stuckSinceMs = stuckSinceMs ?? nowMs;
    if (nowMs - watcher.stuckSinceMs >= MAX_STUCK_MS) response.destroy();
  }
}

const STREAM_HEADERS: readonly string[] = [
  'content-type',
  'text/event-stream',
  ...PAGE_HEADERS,
  // A proxy that collects answers would keep the page waiting.
  'x-accel-buffering',
  'no',
  'connection',
  'close',
];

/** An event of the stream. JSON has no line breaks of its own. A comment, if there are no parts: it shows that the connection lives. */
function frame(parts: PageParts): string {
  return parts.size === 0 ? ':\n\n' : `data: ${JSON.stringify(Object.fromEntries(parts))}\n\n`;
}
