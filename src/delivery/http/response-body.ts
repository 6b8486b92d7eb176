/** So much of a body is read to keep its connection for the next event; a longer one costs less by a new connection. */
export const MAX_BODY_BYTES = 65_536;

/**
 * Reads a body and throws it away, undecoded: what an endpoint says beyond its status is not ours to know, and a small gzip
 * file may unpack to anything.
 *
 * @param body the body as it came over the wire
 * @returns whether it ended, so that its connection can be used again; false when it broke off or was cut at
 * `MAX_BODY_BYTES`, and the connection is for the caller to destroy
 */
export async function discardBody(body: NodeJS.ReadableStream | null): Promise<boolean> {
  if (body === null) return true;
  return new Promise((resolve) => {
    let bytes = 0;
    body.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) resolve(false);
    });
    body.once('end', () => resolve(true));
    body.once('close', () => resolve(false));
  });
}
