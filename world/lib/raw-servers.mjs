// Servers that keep what they read as it came: no HTTP library stands between a test and the bytes.
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * A server on loopback for requests without a body.
 *
 * @param answer what it writes for a request, given its lines and its socket; undefined for nothing
 */
export async function startRaw(answer = () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok') {
  const requests = [];
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const [line, ...headers] = text.slice(0, end).split('\r\n');
        text = text.slice(end + 4);
        requests.push({ line, headers });
        const bytes = answer({ line, headers }, socket);
        if (bytes !== undefined) socket.write(bytes);
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: server.address().port, url: `http://127.0.0.1:${server.address().port}`, requests, close };
}

/** The names of a request's headers, in lower case and sorted. */
export function headerNames({ headers }) {
  return headers.map((line) => line.slice(0, line.indexOf(':')).toLowerCase()).sort();
}
