// One server of the lab, in a process of its own inside the server's namespace. lab.mjs forks it, hands it its options, and asks it
// for its counts; all of them are sums since the start.
import { readFileSync } from 'node:fs';
import { createServer as createHttp, request as requestHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, createServer as createTcp } from 'node:net';
import { startDns } from './dns.mjs';

const options = JSON.parse(process.argv[2]);
const counts = { connections: 0, requests: 0, urls: [], questions: [] };

function later(delayMs, run) {
  if (delayMs > 0) setTimeout(() => run(), delayMs);
  else run();
}

function answer(request, response) {
  clearTimeout(request.socket.idleTimer);
  request.socket.idleTimer = undefined;
  counts.requests += 1;
  counts.urls.push(request.url);
  request.resume();
  later(options.lateMs ?? 0, () => {
    // A server that does not announce its idle time is the harder case.
    const idle = options.announceIdle === true ? { 'keep-alive': `timeout=${Math.round(options.idleMs / 1000)}` } : {};
    response.writeHead(options.status ?? 200, { connection: 'keep-alive', ...idle, ...options.headers });
    response.end(options.body ?? '');
    if (options.idleMs !== undefined) closeWhenIdle(request, response);
  });
}

/** Not by Node's `keepAliveTimeout`, to which Node 20 adds a second. */
function closeWhenIdle({ socket }, response) {
  response.once('finish', () => {
    clearTimeout(socket.idleTimer);
    const timer = setTimeout(() => {
      // A timer that is late, on a busy machine, must not close on a request that has arrived meanwhile.
      setImmediate(() => setImmediate(() => socket.idleTimer === timer && socket.destroy()));
    }, options.idleMs);
    socket.idleTimer = timer;
  });
}

/** http or https. `idleMs` closes a connection that was idle for so long, by default never. */
function web() {
  const tls = () => ({
    key: readFileSync(options.key),
    cert: readFileSync(options.certificate),
    minVersion: options.tls,
    maxVersion: options.tls,
  });
  const settings = { keepAliveTimeout: 0, ...(options.kind === 'https' ? tls() : {}) };
  const server = options.kind === 'https' ? createHttps(settings, answer) : createHttp(settings, answer);
  server.on(options.kind === 'https' ? 'secureConnection' : 'connection', () => (counts.connections += 1));
  return server;
}

/** A forward proxy: CONNECT and plain requests, each passed on after `lateMs`. Every name leads to its own host. */
function proxy() {
  const server = createHttp((request, response) => {
    counts.connections += 1;
    const { port, pathname, search } = new URL(request.url);
    const path = `${pathname}${search}`;
    request.resume();
    response.on('error', () => {});
    later(options.lateMs ?? 0, () => {
      const onward = requestHttp({ host: options.address, port, path, agent: false }, (answered) => {
        response.writeHead(answered.statusCode);
        answered.pipe(response);
      });
      onward.on('error', () => response.destroy());
      onward.end();
    });
  });
  server.on('connect', (request, socket, head) => {
    counts.connections += 1;
    socket.on('error', () => {});
    const port = request.url.split(':').at(-1);
    later(options.lateMs ?? 0, () => {
      const target = connect(Number(port), options.address, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        target.write(head);
        socket.pipe(target).pipe(socket);
      });
      target.on('error', () => socket.destroy());
      socket.on('close', () => target.destroy());
    });
  });
  return server;
}

/** Takes connections and bytes, and never says a word. */
function silent() {
  return createTcp((socket) => {
    counts.connections += 1;
    socket.on('error', () => {});
    socket.resume();
  });
}

async function listen(server, port) {
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, options.address, resolve);
  });
}

if (options.kind === 'dns') await startDns(options, counts);
else {
  const make = { http: web, https: web, proxy, silent }[options.kind];
  for (let port = options.port; port < options.port + (options.ports ?? 1); port += 1) await listen(make(), port);
}

process.on('message', (message) => {
  if (message.do === 'count') process.send({ counts });
  else if (message.do === 'set') process.send({ set: Object.assign(options, message.options) });
});
process.on('disconnect', () => process.exit());
process.send({ ready: true });
