import type { Socket } from 'node:net';
import type { Clock } from '../../timing.js';
import type { StartLimit } from './limit.js';
import type { Lookup } from './name-lookup.js';

/** Node's own pause before it tries an address of the other family, where the time allows it. */
const OTHER_FAMILY_MS = 250;

/** What all connections of a transport have in common. */
export interface ConnectionSettings {
  /** The longest that look-up, proxy, TCP and TLS may take together, in milliseconds. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly startLimit: StartLimit;
}

/** The options of `net.connect` and `tls.connect` that bound a connect. */
export interface ConnectOptions {
  readonly lookup: (...args: Parameters<Lookup>) => void;
  readonly autoSelectFamily: true;
  readonly autoSelectFamilyAttemptTimeout: number;
}

/** A connect under way. */
export interface ConnectWatch {
  readonly options: ConnectOptions;
  /** To be called once it has ended, well or not; again is harmless. */
  readonly done: () => void;
}

/**
 * Watches over connections: none holds the process, none takes longer to open than it may, and each is known to have been open
 * or not, since a request whose connection never opened was not written for certain.
 */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #opened = new WeakSet<object>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** Whether a connection was ever ready to be written to. */
  wasOpen(socket: object): boolean {
    return this.#opened.has(socket);
  }

  /** Notes that a connection is ready: from here on, what is written to it may have been read. */
  opened(socket: Socket): void {
    this.#opened.add(socket);
    // Where two families were tried, the socket got another handle on the way, and that one is not unref'd yet.
    socket.unref();
  }

  /** Bounds a connect: `cut` is called when its time is up, and `done` ends its interest in a look-up. */
  watch(cut: () => void): ConnectWatch {
    const { clock, connectTimeoutMs, lookup, startLimit } = this.#settings;
    let release: (() => void) | undefined;
    const stop = startLimit(clock, connectTimeoutMs, cut);
    return {
      options: {
        lookup: (...args) => {
          release = lookup(...args) ?? undefined;
        },
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: Math.max(10, Math.min(OTHER_FAMILY_MS, Math.floor(connectTimeoutMs / 2))),
      },
      done: () => {
        stop();
        release?.();
      },
    };
  }

  /**
   * Opens a connection.
   *
   * @param start begins the connect with these options and returns its socket
   * @param readyEvent `connect`, or `secureConnect` for TLS
   */
  connect(start: (options: ConnectOptions) => Socket, readyEvent: 'connect' | 'secureConnect'): Socket {
    const watch = this.watch(() => socket.destroy(new Error('connect timeout')));
    const socket = start(watch.options);
    socket.unref();
    socket.once(readyEvent, () => {
      watch.done();
      this.opened(socket);
    });
    socket.once('close', watch.done);
    return socket;
  }
}
