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

  constructor(options: PageOptions) {
    this.#options = options;
    this.#watchers = new Watchers(options.clock, () => partsOf(this.#view()));
  }

  /** How many pages follow the stream. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Whether a request is one for the page. */
  isFor(path: string, { socket }: Pick<IncomingMessage, 'socket'>): boolean {
    if (path !== PAGE && path !== STREAM) return false;
    // A handler may be mounted in a server that other machines can reach.
    return !this.#options.isOnLoopbackOnly || isLoopback(bareHost((socket.localAddress ?? '').replace(MAPPED_IPV4, '')));
  }

  /** Answers a request for which `isFor` is true. */
  answer(path: string, { method }: Pick<IncomingMessage, 'method'>, response: ServerResponse): void {
    const { answers } = this.#options;
    if (path === PAGE) {
      const body = Buffer.from(documentOf(this.#view()));
      answers.count(200);
      const headers = ['content-type', 'text/html; charset=utf-8', 'content-length', String(body.length), ...PAGE_HEADERS];
      response.writeHead(200, headers).end(body);
      return;
    }
    if (method !== 'GET') answers.send(response, 'not_get');
    else if (this.#watchers.add(response)) answers.count(200);
    else answers.send(response, 'too_many_watchers');
  }

  /** Ends the pages that follow. */
  close(): void {
    this.#watchers.close();
  }

  #view(): PageView {
    const { status, recent } = this.#options;
    return { status: status(), events: recent?.shown() };
  }
}
