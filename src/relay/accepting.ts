// Servers of this package under a polluted prototype.
import { isPolluted } from '../delivery/http/pollution.js';

/** Where Node accepts connections: not documented. */
interface Accepting {
  readonly _handle?: { onconnection?: (error: number, connection?: { close(): void }) => void } | null;
}

/**
 * Node makes a socket in a callback of its own, and throws there if `Object.prototype` has a `signal`, for example (seen in Node 20 to 26).
 * That would end the process, so the connection is refused.
 *
 * @param server listens already
 * @param onRefused called for each connection that is refused
 */
export function guardAccepting(server: object, onRefused: () => void = () => undefined): void {
  const { _handle: handle } = server as Accepting;
  const accept = handle?.onconnection;
  if (handle === undefined || handle === null || accept === undefined) return;
  handle.onconnection = (code, connection) => {
    try {
      accept.call(handle, code, connection);
    } catch (error) {
      if (!isPolluted()) throw error;
      connection?.close();
      onRefused();
    }
  };
}
