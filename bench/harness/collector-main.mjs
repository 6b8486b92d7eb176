// The process of collector.mjs. It ends when the channel to its parent closes.
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createNetServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { createDistance } from './distance.mjs';

const counts = { events: 0, requests: 0, sockets: 0 };
const bodies = [];
const START = { get: startGet, batch: startBatch, silent: startSilent };

process.once('disconnect', () => process.exit());
process.on('message', ({ start }) => {
  if (start === undefined) {
    for (const body of bodies.splice(0)) counts.events += eventsIn(body);
    process.send(counts);
    return;
  }
  const server = START[start.kind](start);
  listen(server, (port) => {
    if (start.distanceMs > 0) listen(createDistance(port, start.distanceMs), tellPort);
    else tellPort(port);
  });
});

function listen(server, use) {
  server.listen(0, '127.0.0.1', () => use(server.address().port));
}

function tellPort(port) {
  process.send({ port });
}

const HEAD_END = Buffer.from('\r\n\r\n');
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';

/** A request without a body ends with an empty line, so a GET endpoint only counts those. */
function startGet({ latencyMs, tls }) {
  const serve = (socket) => {
    let rest = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const read = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let answers = '';
      let from = 0;
      for (let end = read.indexOf(HEAD_END); end !== -1; end = read.indexOf(HEAD_END, from)) {
        from = end + HEAD_END.length;
        counts.requests += 1;
        counts.events += 1;
        answers += ANSWER;
      }
      rest = read.subarray(from);
      if (answers === '') return;
      if (latencyMs > 0) setTimeout(() => socket.write(answers), latencyMs);
      else socket.write(answers);
    });
  };
  return countSockets(tls === undefined ? createNetServer({ noDelay: true }, serve) : createTlsServer({ noDelay: true, ...tls }, serve));
}

/** Keeps the bodies and parses them when the counts are requested, so that parsing takes no time from the measured client. */
function startBatch({ latencyMs, tls }) {
  const serve = (request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      counts.requests += 1;
      const { 'content-encoding': encoding, 'content-type': type } = request.headers;
      bodies.push({ bytes: Buffer.concat(chunks), zipped: encoding === 'gzip', hasEventLines: type === 'application/x-ndjson' });
      if (latencyMs > 0) setTimeout(acknowledge, latencyMs, response);
      else acknowledge(response);
    });
  };
  const server = tls === undefined ? createHttpServer(serve) : createHttpsServer(tls, serve);
  server.keepAliveTimeout = 60_000;
  return countSockets(server);
}

function acknowledge(response) {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
}

function startSilent() {
  return countSockets(
    createNetServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
    }),
  );
}

function countSockets(server) {
  return server.on('connection', () => (counts.sockets += 1));
}

/** The number of events in a body: the batch of PostHog and Segment, Sentry's envelope, Application Insights' list, the log records of OTLP. */
function eventsIn({ bytes, zipped, hasEventLines }) {
  const text = String(zipped ? gunzipSync(bytes) : bytes);
  if (hasEventLines) return text.split('\n').filter((line) => line !== '' && JSON.parse(line).event !== undefined).length;
  // An envelope has a line of JSON for its head, then one for each item's head and one for its content.
  const lines = text.split('\n');
  if (lines.length > 1) return lines.slice(1).reduce((sum, line) => sum + (line === '' ? 0 : (JSON.parse(line).item_count ?? 0)), 0);
  const body = JSON.parse(text);
  if (Array.isArray(body)) return body.length;
  const { batch, resourceLogs = [] } = body;
  if (batch !== undefined) return batch.length;
  return resourceLogs.flatMap(({ scopeLogs }) => scopeLogs).reduce((sum, { logRecords }) => sum + logRecords.length, 0);
}
