// An OTLP receiver on loopback that reads JSON and protobuf. The first part of the path says how it answers. It keeps what it has read.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import protobuf from 'protobufjs';

const field = (id, type, rule) => ({ id, type, ...(rule && { rule }) });
const repeated = (id, type) => field(id, type, 'repeated');

/** The part of OTLP that log records use, by the numbers of https://github.com/open-telemetry/opentelemetry-proto. */
const { nested: SCHEMA } = {
  nested: {
    AnyValue: {
      oneofs: { value: { oneof: ['stringValue', 'boolValue', 'intValue', 'doubleValue'] } },
      fields: {
        stringValue: field(1, 'string'),
        boolValue: field(2, 'bool'),
        intValue: field(3, 'int64'),
        doubleValue: field(4, 'double'),
      },
    },
    KeyValue: { fields: { key: field(1, 'string'), value: field(2, 'AnyValue') } },
    Scope: { fields: { name: field(1, 'string'), version: field(2, 'string') } },
    Resource: { fields: { attributes: repeated(1, 'KeyValue') } },
    LogRecord: {
      fields: {
        timeUnixNano: field(1, 'fixed64'),
        severityNumber: field(2, 'int32'),
        severityText: field(3, 'string'),
        attributes: repeated(6, 'KeyValue'),
        observedTimeUnixNano: field(11, 'fixed64'),
        eventName: field(12, 'string'),
      },
    },
    ScopeLogs: { fields: { scope: field(1, 'Scope'), logRecords: repeated(2, 'LogRecord') } },
    ResourceLogs: { fields: { resource: field(1, 'Resource'), scopeLogs: repeated(2, 'ScopeLogs') } },
    Request: { fields: { resourceLogs: repeated(1, 'ResourceLogs') } },
    PartialSuccess: { fields: { rejectedLogRecords: field(1, 'int64'), errorMessage: field(2, 'string') } },
    Response: { fields: { partialSuccess: field(1, 'PartialSuccess') } },
  },
};
const root = protobuf.Root.fromJSON({ nested: SCHEMA });
const Request = root.lookupType('Request');
const Response = root.lookupType('Response');

/** A number of 64 bits as text, from either format. A value without any field is null. */
function valuesOf(attributes = []) {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [kind, content] = Object.entries(value ?? {})[0] ?? ['none', null];
      return [key, [kind, kind === 'intValue' ? String(content) : content]];
    }),
  );
}

/** The records of one export. */
export function readRecords(body, isJson = false) {
  const request = isJson ? JSON.parse(body.toString()) : Request.toObject(Request.decode(body), { longs: String });
  return request.resourceLogs.flatMap(({ resource, scopeLogs }) =>
    scopeLogs.flatMap(({ scope, logRecords }) =>
      logRecords.map(({ attributes, timeUnixNano, observedTimeUnixNano, severityNumber, severityText, eventName }) => ({
        eventName,
        timeUnixNano: String(timeUnixNano),
        observedTimeUnixNano: String(observedTimeUnixNano),
        severity: `${severityNumber} ${severityText}`,
        scope: `${scope.name} ${scope.version}`,
        resource: valuesOf(resource.attributes),
        attributes: valuesOf(attributes),
      })),
    ),
  );
}

/** All records are rejected, with a success: partialSuccess. */
function partial(response, isJson) {
  const partialSuccess = { rejectedLogRecords: 1, errorMessage: 'not wanted' };
  response.end(isJson ? JSON.stringify({ partialSuccess }) : Response.encode(Response.fromObject({ partialSuccess })).finish());
}

const baseOf = (each) => `http://127.0.0.1:${each.address().port}`;

/** Starts it. `/ok`, `/partial`, `/silent`, `/reset` and `/{status}` answer so; the server at `stalled` reads nothing. */
export async function startOtlpCollector() {
  const requests = [];
  const answer = async (request, response) => {
    const how = request.url.split('/')[1];
    const chunks = [];
    request.on('error', () => {});
    for await (const chunk of request) chunks.push(chunk);
    const isJson = request.headers['content-type'] === 'application/json';
    requests.push({ url: request.url, isJson, records: readRecords(Buffer.concat(chunks), isJson) });
    response.setHeader('content-type', request.headers['content-type']);
    if (how === 'ok') response.end(isJson ? '{}' : '');
    else if (how === 'partial') partial(response, isJson);
    else if (how === 'reset') request.socket.resetAndDestroy();
    else if (how !== 'silent') response.writeHead(Number(how)).end('hunter2');
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  });
  const sockets = new Set();
  const stalled = createTcpServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  const refused = createTcpServer();
  for (const each of [server, stalled, refused]) await once(each.listen(0, '127.0.0.1'), 'listening');
  const bases = { base: baseOf(server), stalled: baseOf(stalled), refused: baseOf(refused) };
  refused.close();
  return {
    requests,
    ...bases,
    close: () => {
      server.closeAllConnections();
      server.close();
      for (const socket of sockets) socket.destroy();
      stalled.close();
    },
  };
}
