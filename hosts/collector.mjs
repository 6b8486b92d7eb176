// A server on loopback for the hosts: what arrives, one entry a request, with its type and its fields.
import { once } from 'node:events';
import { createServer } from 'node:http';

export async function startCollector() {
  const requests = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://collector');
    requests.push({ type: url.pathname.split('/').at(-1), ...Object.fromEntries(url.searchParams) });
    response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { requests, endpoint: `http://127.0.0.1:${server.address().port}`, close };
}
