// A receiver of lines of JSON on the loopback interface.
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A request as the receiver read it. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: number;
  readonly lines: readonly string[];
  readonly endsWithNewline: boolean;
}

export type Answer = (request: Received, response: ServerResponse) => void;

export const ok: Answer = (_request, response) => void response.writeHead(200).end();
export const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (_request, response) =>
    void response.writeHead(code, headers).end(body);

/** A receiver on the loopback interface that decodes what it is sent. A list of answers is used in order; the last one repeats. */
export async function receiver(t: { teardown(end: () => void): unknown }, answers: Answer | Answer[] = ok, tls?: object) {
  const requests: Received[] = [];
  const script = [answers].flat();
  const server = (tls === undefined ? createServer() : createSecureServer(tls)).on('request', (message, response) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.on('end', () => {
      const raw = Buffer.concat(chunks);
      const text = (message.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString();
      const { method = '', url = '', headers } = message;
      const received = { method, url, headers, bytes: raw.length, lines: text.trimEnd().split('\n'), endsWithNewline: text.endsWith('\n') };
      requests.push(received);
      const answer = script.length > 1 ? script.shift() : script[0];
      answer?.(received, response);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  // It holds the process until its test is over: a transport does not.
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}/ingest?source=acme`, port, requests };
}
