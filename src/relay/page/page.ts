/** The relay's page: which requests are for it, and their answers. It only shows: no request to it changes anything. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.js';
import { bareHost, isLoopback } from '../../wire/host.js';
import type { Answers } from '../http/answers.js';
import type { RelayStatus } from '../status.js';
import { documentOf, PAGE_HEADERS } from './document.js';
import { partsOf } from './parts.js';
import type { PageView } from './parts.js';
import type { RecentEvents } from './recent-events.js';
import { Watchers } from './watchers.js';

/** What a page needs. */
interface PageOptions {
  readonly status: () => RelayStatus;
  /** The last events, if they may be shown. */
  readonly recent: Pick<RecentEvents, 'shown'> | undefined;
  /** Whether it is on the address of the events: it is then for connections from this machine only. */
  readonly isOnLoopbackOnly: boolean;
  /** The most pages that may follow at a time. */
  readonly maxWatchers: number;
  readonly answers: Answers;
  readonly clock: Clock;
}

/** The path of the page. Its links are relative to it, so a secret prefix may come before. */
const PAGE = '/';

/** The path of the stream that an open page follows. */
const STREAM = '/status/events';

const MAPPED_IPV4 = /^::ffff:(?=\d+\.)/;

/** Answers requests for the page and its stream. */
export class StatusPage {
  readonly #options: PageOptions;
  readonly #watchers: Watchers;
  /** The page as this turn of the event loop has it: a client may ask many times in one write. */
  #document: Buffer | undefined;

  constructor(options: PageOptions) {
    this.#options = options;
    this.#watchers = new Watchers(options.clock, () => partsOf(this.#view()), options.maxWatchers);
  }

  /** How many pages follow the stream. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Whether a request is one for the page. */
  isFor(path: string, { socket, rawHeaders }: Pick<IncomingMessage, 'socket' | 'rawHeaders'>): boolean {
    if (path !== PAGE && path !== STREAM) return false;
    if (!this.#options.isOnLoopbackOnly) return true;
    // A handler may be mounted in a server that other machines can reach, and a proxy on this machine may pass their requests on.
    return isLoopback(bareHost((socket.localAddress ?? '').replace(MAPPED_IPV4, ''))) && !isPassedOn(rawHeaders);
  }

  /** Answers a request for which `isFor` is true. */
  answer(path: string, { method }: Pick<IncomingMessage, 'method'>, response: ServerResponse): void {
    const { answers } = this.#options;
    if (path === PAGE) {
      const body = (this.#document ??= this.#render());
      answers.count(200);
      const headers = ['content-type', 'text/html; charset=utf-8', 'content-length', String(body.length), ...PAGE_HEADERS];
      response.writeHead(200, headers).end(body);
      return;
    }
    if (method !== 'GET') answers.send(response, 'not_get');
    else if (this.#watchers.add(response)) answers.count(200);
    else answers.send(response, this.#watchers.isClosed ? 'closing' : 'too_many_watchers');
  }

  /** Ends the pages that follow. */
  close(): void {
    this.#watchers.close();
  }

  #render(): Buffer {
    this.#options.clock.defer(() => (this.#document = undefined));
    return Buffer.from(documentOf(this.#view()));
  }

  #view(): PageView {
    const { status, recent } = this.#options;
    return { status: status(), events: recent?.shown() };
  }
}

/** The headers by which a proxy says that it passes a request on. */
const PROXY_HEADERS = /^(?:forwarded|via|x-real-ip|x-forwarded-.+)$/i;

function isPassedOn(rawHeaders: readonly string[]): boolean {
  return rawHeaders.some((name, index) => index % 2 === 0 && PROXY_HEADERS.test(name));
}
