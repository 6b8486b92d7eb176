// The server that Cosmos sends to: a recorder with one port for the whole run, which forwards to the current server behind it.
import { once } from 'node:events';
import { Agent, createServer, request as ask } from 'node:http';

/** Headers that are not forwarded. `host` names the recorder; the server behind it has its own. */
const OWN_HEADERS = new Set(['host']);

/**
 * Starts the recorder. It keeps each request as `{ target, headers, status }`, with the target as on the wire. A status of null means that
 * Cosmos got no answer.
 */
export async function startFront() {
  const records = [];
  const connections = new Set();
  let behind = { kind: 'answer', status: 200, delayMs: 0 };
  const server = createServer({ keepAlive: false }, (request, response) => {
    const record = { target: request.url, method: request.method, headers: request.rawHeaders, status: null };
    records.push(record);
    response.once('close', () => response.writableFinished && (record.status = response.statusCode));
    if (behind.kind === 'forward') pass(request, response, behind.url);
    else if (behind.kind === 'answer') setTimeout(() => response.writeHead(behind.status ?? 200).end(), behind.delayMs);
    // 'hang': never an answer.
  });
  follow(server, connections);
  await listen(server, 0);
  const { port } = server.address();
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    records,
    /** The `records` that were answered with 2xx. */
    acknowledged: (from = 0) => records.slice(from).filter(({ status }) => status !== null && status >= 200 && status < 300),
    forwardTo: (url) => (behind = { kind: 'forward', url }),
    answerItself: (delayMs = 0) => (behind = { kind: 'answer', delayMs }),
    hang: () => (behind = { kind: 'hang' }),
    /** Refuses connections until `comeBack`. */
    goAway: () => stop(server, connections),
    comeBack: () => listen(server, port),
    close: () => stop(server, connections),
  };
}

/** Starts an endpoint that keeps the targets of its requests, and can be down for a while without losing its port. */
export async function startUpstream() {
  const targets = [];
  const connections = new Set();
  let delayMs = 0;
  const server = createServer((request, response) => {
    targets.push(request.url);
    setTimeout(() => response.writeHead(200).end(), delayMs);
  });
  follow(server, connections);
  await listen(server, 0);
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    targets,
    answerAfter: (ms) => (delayMs = ms),
    goAway: () => stop(server, connections),
    comeBack: () => listen(server, port),
    close: () => stop(server, connections),
  };
}

/** Starts a proxy that answers 200 to everything, like a captive portal, and keeps its requests. */
export async function startLyingProxy() {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(200).end();
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await listen(server, 0);
  return { url: `http://127.0.0.1:${server.address().port}`, asked, close: () => stop(server, new Set()) };
}

function pass(request, response, base) {
  const { hostname, port } = new URL(base);
  const headers = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    if (!OWN_HEADERS.has(request.rawHeaders[at].toLowerCase())) headers.push([request.rawHeaders[at], request.rawHeaders[at + 1]]);
  }
  const inner = ask({
    hostname,
    port,
    method: request.method,
    path: request.url,
    headers: Object.fromEntries([['host', `${hostname}:${port}`], ...headers]),
    agent: new Agent({ keepAlive: false }),
  });
  inner.once('response', (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
    answer.once('error', () => response.destroy());
  });
  // Cosmos must see what it would see without the recorder: a connection that ends.
  inner.once('error', () => response.destroy());
  request.pipe(inner);
}

async function listen(server, port) {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

async function stop(server, connections) {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  for (const socket of connections) socket.destroy();
  await closed;
}

/** Tracks the connections of a server, so that they can be closed with it. */
function follow(server, connections) {
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
}
