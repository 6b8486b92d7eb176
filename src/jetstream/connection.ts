/**
 * One connection to the server of NATS, made anew when it is lost. The client does not reconnect by itself: what is published while it
 * dials would be thrown away without an error, and after some attempts it would give up.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { errorCode } from '../base/describe.js';
import { causeOfCode } from '../delivery/http/causes.js';
import type { Cause } from '../delivery/transport.js';
import { JetstreamError } from './client.js';
import type { JetstreamSettings, NatsConnection, NatsHeaders, NatsMessage } from './client.js';
import { readAccess, tlsFor } from './credentials.js';

/** The sockets that a dial opens. The client hands none of them out, and a dial that hangs must not hold the process. */
const dialing = new AsyncLocalStorage<Set<Socket>>();
let isWatching = false;

function watchSockets(): void {
  if (isWatching) return;
  isWatching = true;
  subscribe('net.client.socket', (message) => {
    const sockets = dialing.getStore();
    if (sockets === undefined) return;
    const { socket } = message as { socket: Socket };
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
}

/** The part of the client's inside that holds the process: a timer that pings. */
interface Insides {
  readonly protocol?: { readonly heartbeats?: { cancel?: () => void } };
}

/** Why a request got no answer. */
export type LinkFailure = 'connect' | 'timeout' | 'network' | 'no_stream' | 'too_large' | 'unauthorized';

/** Thrown by the methods of {@link Link}. Its message is never logged. */
export class LinkError extends Error {
  readonly reason: LinkFailure;
  /** More of a `connect` that failed, if it is known. */
  readonly why: Cause | undefined;

  constructor(reason: LinkFailure, options?: ErrorOptions & { why?: Cause | undefined }) {
    super(reason, options);
    this.reason = reason;
    this.why = options?.why;
  }
}

/** The options of a link. */
export interface LinkOptions {
  readonly settings: JetstreamSettings;
  readonly clock: Clock;
  /** Called when the connection is lost. */
  readonly onDown?: (() => void) | undefined;
}

/** After the time limit of the client for a step, a dial is ended by this link. */
const DIAL_GRACE_MS = 250;

/** A connection to the server, as long as it is needed. */
export class Link {
  readonly #options: LinkOptions;
  /** Of the current dial and connection. */
  #sockets = new Set<Socket>();
  #dial: Promise<NatsConnection> | undefined;
  #connection: NatsConnection | undefined;
  #inFlight = 0;
  #isClosed = false;
  /** Whether the client's own ping is stopped, so that an idle connection does not hold the process. */
  #isQuiet = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Whether a request would be written now. */
  get isUp(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether an idle connection holds the process. */
  get holdsWhenIdle(): boolean {
    return this.#connection !== undefined && !this.#isQuiet;
  }

  /** The longest message, in bytes; undefined while there is no connection. */
  get maxBytes(): number | undefined {
    return this.#connection?.info?.max_payload;
  }

  /** The connection; it is made if there is none. @throws (rejects) LinkError; JetstreamError `credentials_unusable` */
  connect(): Promise<NatsConnection> {
    if (this.#isClosed) return Promise.reject(new LinkError('connect'));
    if (this.#connection !== undefined) return Promise.resolve(this.#connection);
    this.#dial ??= this.#connect().finally(() => {
      this.#dial = undefined;
    });
    return this.#dial;
  }

  /** Sends a request on the current connection. @throws (rejects) LinkError */
  async request(subject: string, payload: string, timeoutMs: number, headers?: NatsHeaders): Promise<NatsMessage> {
    const connection = this.#connection;
    if (connection === undefined) throw new LinkError('connect');
    this.#inFlight += 1;
    this.#hold();
    try {
      return await connection.request(subject, payload, { timeout: timeoutMs, ...(headers && { headers }) });
    } catch (error) {
      const isSame = this.#connection === connection;
      throw new LinkError(isSame ? reasonOf(error) : 'network', { cause: error });
    } finally {
      this.#inFlight -= 1;
      this.#hold();
    }
  }

  /** Sends a message that gets no answer. Does nothing without a connection. Never throws. */
  publish(subject: string, payload: string, reply?: string): void {
    try {
      this.#connection?.publish(subject, payload, reply === undefined ? undefined : { reply });
    } catch {
      this.drop();
    }
  }

  /** Fulfils once the server has all that was published, or the connection is lost. Never rejects. */
  async flush(): Promise<void> {
    await this.#connection?.flush().catch(() => undefined);
  }

  /**
   * Subscribes for as long as the current connection lasts. Never throws.
   *
   * @returns Ends the subscription: it fulfils once all messages have come that the server sent before. It never rejects.
   */
  subscribe(subject: string, onMessage: (message: NatsMessage) => void): () => Promise<void> {
    try {
      const subscription = this.#connection?.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) onMessage(message);
        },
      });
      return async () => subscription?.drain().catch(() => undefined);
    } catch {
      this.drop();
      return () => Promise.resolve();
    }
  }

  /** Ends the connection and a dial at once: the next `connect()` makes a new one. Never throws. */
  drop(): void {
    const sockets = this.#sockets;
    this.#sockets = new Set();
    for (const socket of sockets) socket.destroy();
    this.#lost(this.#connection);
  }

  /** Ends a dial, which holds the process. Never throws. */
  endDial(): void {
    if (!this.isUp) this.drop();
  }

  /** Ends the connection for good, at once. Never throws. */
  close(): void {
    this.#isClosed = true;
    this.drop();
  }

  async #connect(): Promise<NatsConnection> {
    const { clock, settings } = this.#options;
    const { connectTimeoutMs, servers } = settings;
    const sockets = new Set<Socket>();
    this.#sockets = sockets;
    watchSockets();
    const limitMs = (connectTimeoutMs + DIAL_GRACE_MS) * servers.length;
    let timer: Timer | undefined;
    try {
      const dial = dialing.run(sockets, () => dialOne(settings, () => this.#sockets === sockets && !this.#isClosed));
      const overdue = new Promise<never>((_, reject) => {
        timer = clock.setTimeout(() => reject(new LinkError('connect')), limitMs);
        timer.unref();
      });
      // A connection that comes too late is closed.
      dial.then(
        (late) => void ((this.#sockets !== sockets || this.#isClosed) && late.close().catch(() => undefined)),
        () => undefined,
      );
      const connection = await Promise.race([dial, overdue]);
      if (this.#sockets !== sockets || this.#isClosed) throw new LinkError('connect');
      this.#up(connection);
      return connection;
    } catch (error) {
      if (this.#sockets === sockets) this.drop();
      else for (const socket of sockets) socket.destroy();
      throw error instanceof LinkError || error instanceof JetstreamError ? error : connectError(error);
    } finally {
      if (timer !== undefined) clock.clearTimeout(timer);
    }
  }

  #up(connection: NatsConnection): void {
    this.#connection = connection;
    this.#isQuiet = stopPings(connection);
    this.#hold();
    const onClosed = (): void => this.#lost(connection);
    void connection.closed().then(onClosed, onClosed);
  }

  #lost(connection: NatsConnection | undefined): void {
    if (connection === undefined || connection !== this.#connection) return;
    this.#connection = undefined;
    void connection.close().catch(() => undefined);
    this.#options.onDown?.();
  }

  /** A connection holds the process only while something is in flight. */
  #hold(): void {
    for (const socket of this.#sockets) {
      // That of a server which was tried before. The client takes away our listener for its end.
      if (socket.destroyed) this.#sockets.delete(socket);
      else if (this.#inFlight > 0) socket.ref();
      else socket.unref();
    }
  }
}

/** Connects to one of the servers. @throws (rejects) JetstreamError; the errors of the client. */
async function dialOne(settings: JetstreamSettings, isWanted: () => boolean): Promise<NatsConnection> {
  const { client, connectTimeoutMs, servers } = settings;
  const { options, tls } = await readAccess(settings);
  const common = { ...options, timeout: connectTimeoutMs, reconnect: false, waitOnFirstConnect: false, noAsyncTraces: true };
  if (tls === undefined && isWanted()) return client.connect({ ...common, servers: [...servers] });
  let failure: unknown = new LinkError('connect');
  // Each by itself, since the options of TLS differ. Not all relays begin with the same one.
  const first = Math.floor(Math.random() * servers.length);
  for (const server of [...servers.slice(first), ...servers.slice(0, first)]) {
    if (tls === undefined || !isWanted()) break;
    try {
      return await client.connect({ ...common, servers: [server], tls: tlsFor(server, tls) });
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** @returns Whether they are stopped. Requests have time limits, so a connection that is dead is found without them. */
function stopPings(connection: NatsConnection): boolean {
  try {
    const heartbeats = (connection as Insides).protocol?.heartbeats;
    if (typeof heartbeats?.cancel !== 'function') return false;
    heartbeats.cancel();
    return true;
  } catch {
    return false;
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function isAuthorization(error: unknown): boolean {
  return /^(?:Authorization|PermissionViolation|UserAuthenticationExpired)Error$/.test(nameOf(error));
}

function connectError(error: unknown): LinkError {
  if (isAuthorization(error)) return new LinkError('unauthorized', { cause: error });
  const { cause, message } = error instanceof Error ? error : { cause: undefined, message: '' };
  // The server speaks no TLS.
  const isPlain = message === "server does not support 'tls'";
  const why = isPlain ? 'tls' : (causeOfCode(errorCode(error)) ?? causeOfCode(errorCode(cause)));
  return new LinkError('connect', { cause: error, why });
}

/** Nobody listens on the subject: there is no such stream, it has no leader now, or the server has no JetStream. */
const NO_RESPONDERS = /^NoResponders(?:Error)?$/;

function reasonOf(error: unknown): LinkFailure {
  const name = nameOf(error);
  const inner = error instanceof Error ? error.cause : undefined;
  if (NO_RESPONDERS.test(name) || NO_RESPONDERS.test(nameOf(inner))) return 'no_stream';
  if (name === 'TimeoutError') return 'timeout';
  if (name === 'InvalidArgumentError') return 'too_large';
  return isAuthorization(error) || isAuthorization(inner) ? 'unauthorized' : 'network';
}
