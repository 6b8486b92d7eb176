// An OTLP receiver for gRPC on loopback, by HTTP/2 of Node: a port for each way to answer. It keeps what it has read.
import { once } from 'node:events';
import { createServer } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import { readRecords } from './otlp-collector.mjs';

const PATH = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
/** A byte that says whether the message is compressed, and its length. */
const PREFIX_BYTES = 5;

/** The statuses of gRPC that it answers with. */
const STATUSES = { ok: 0, partial: 0, invalid: 3, exhausted: 8, unavailable: 14, unauthenticated: 16 };

/** Protobuf: field 1 is a message whose field 1, the number of rejected records, is 1. */
const REJECTED = Buffer.from([0x0a, 0x02, 0x08, 0x01]);

function framed(message) {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function answer(stream, how) {
  const status = STATUSES[how];
  if (how === 'silent') return;
  if (how === 'reset') {
    stream.session.socket.resetAndDestroy();
    return;
  }
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  const end = { 'grpc-status': String(status), ...(status !== 0 && { 'grpc-message': 'hunter2' }) };
  if (status !== 0) {
    stream.respond({ ...head, ...end }, { endStream: true });
    return;
  }
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(end));
  stream.end(framed(how === 'partial' ? REJECTED : Buffer.alloc(0)));
}

/** Starts it. @returns the URL for each way to answer, and what has been read, with the way that was asked for */
export async function startGrpcCollector() {
  const requests = [];
  const sessions = new Set();
  const servers = [];
  const urls = {};
  for (const how of [...Object.keys(STATUSES), 'silent', 'reset']) {
    const server = createServer();
    server.on('session', (session) => {
      sessions.add(session);
      session.on('error', () => {}).on('close', () => sessions.delete(session));
    });
    server.on('stream', (stream, headers) => {
      const chunks = [];
      stream.on('error', () => {}).on('data', (chunk) => chunks.push(chunk));
      stream.on('end', () => {
        const body = Buffer.concat(chunks);
        const isWhole = headers[':path'] === PATH && body[0] === 0 && body.readUInt32BE(1) === body.length - PREFIX_BYTES;
        if (!isWhole) throw new Error(`This is no export of logs: ${headers[':path']}, ${body.length} bytes`);
        requests.push({ url: `/${how}`, isJson: false, records: readRecords(body.subarray(PREFIX_BYTES)) });
        answer(stream, how);
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    servers.push(server);
    urls[how] = `http://127.0.0.1:${server.address().port}`;
  }
  const sockets = new Set();
  const stalled = createTcpServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  const refused = createTcpServer();
  for (const each of [stalled, refused]) await once(each.listen(0, '127.0.0.1'), 'listening');
  urls.stalled = `http://127.0.0.1:${stalled.address().port}`;
  urls.refused = `http://127.0.0.1:${refused.address().port}`;
  refused.close();
  return {
    requests,
    urls,
    close: () => {
      for (const session of sessions) session.destroy();
      for (const server of [...servers, stalled]) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
