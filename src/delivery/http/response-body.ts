/** So much of a body is read to keep its connection for the next event; a longer one costs less by a new connection. */
export const MAX_BODY_BYTES = 65_536;

/**
 * Reads a body and throws it away, undecoded: what an endpoint says beyond its status is not ours to know, and a small gzip
 * file may unpack to anything.
 *
 * @param body the body as it came over the wire
 * @param done hears once whether it ended, so that its connection can be used again; false when it broke off
 * or was cut at `MAX_BODY_BYTES`, and the connection is for the caller to destroy
 */
export function discardBody(body: NodeJS.ReadableStream | null, done: (isWhole: boolean) => void): void {
  if (body === null) return done(true);
  let bytes = 0;
  let isOver = false;
  const end = (isWhole: boolean): void => {
    if (isOver) return;
    isOver = true;
    done(isWhole);
  };
  body.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) end(false);
  });
  body.once('end', () => end(true));
  body.once('close', () => end(false));
}
