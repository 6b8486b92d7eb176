/** Objects of HTTP that a polluted `Object.prototype` does not make throw: Node uses them in callbacks, where nothing can catch it. */
import { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * A message that takes no option of a stream, and whose listeners are in an object without a prototype. Node gives its own class an
 * object with one: `signal: 1` on `Object.prototype` makes the constructor throw in a callback of Node's parser, and `timeout: 1` is
 * taken for a listener. Either ends the process.
 */
export class BareMessage extends IncomingMessage {
  constructor(socket: Socket) {
    // Without a socket there are no options. The types of Node do not say that it may be missing.
    super(undefined as unknown as Socket);
    this.socket = socket;
    // Not documented: the same as `socket`.
    Object.assign(this, { client: socket });
    hardenListeners(this);
  }
}

/**
 * Takes the prototype away from the object in which a stream keeps its listeners: nothing on a polluted `Object.prototype` is taken for a
 * listener then. Node does so itself for what is no stream.
 */
export function hardenListeners(stream: object): void {
  const { _events: listeners } = stream as { _events?: unknown };
  if (typeof listeners === 'object' && listeners !== null) Object.setPrototypeOf(listeners, null);
}

/** What Node's parser reads of a connection: the class of the messages on it, which is the documented option of a server. */
let holder: object | undefined;

/** Hardens a connection of a client, and has Node make the answers on it as {@link BareMessage}. */
export function harden(socket: Socket): void {
  hardenListeners(socket);
  try {
    holder ??= holderOf(BareMessage);
    Object.assign(socket, { server: holder });
  } catch {
    // Node cannot make a server while `Object.prototype` is polluted. The next connection tries again.
  }
}

/** Node keeps the class under a symbol of its own. A runtime that has none makes its own answers. */
function holderOf(message: typeof BareMessage): object {
  const server = new Server({ IncomingMessage: message }) as unknown as Record<symbol, unknown>;
  const found = Object.create(null) as Record<symbol, unknown>;
  for (const symbol of Object.getOwnPropertySymbols(server)) if (server[symbol] === message) found[symbol] = message;
  return found;
}
