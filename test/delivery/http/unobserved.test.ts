// What of a request of ours a host can change or observe that replaces or patches Node's HTTP, or listens to its diagnostics channels.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { freePort, startHttp } from '../../helpers/loopback.js';
import type { LoopbackServer } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { send, transportTo, unconnected } from '../../helpers/sending.js';

type Method = (this: http.ClientRequest, ...args: unknown[]) => unknown;

/** Replaces a method of a class until the end of the test. */
function patch(t: ExecutionContext, holder: object, name: string, wrap: (original: Method) => Method): void {
  const original = Reflect.get(holder, name) as Method;
  const own = Object.getOwnPropertyDescriptor(holder, name);
  Object.defineProperty(holder, name, { value: wrap(original), configurable: true, writable: true });
  t.teardown(() => (own === undefined ? Reflect.deleteProperty(holder, name) : Object.defineProperty(holder, name, own)));
}

/** A server that says what it got: the target, then each header. */
async function startEcho(t: ExecutionContext): Promise<LoopbackServer & { heads: string[][] }> {
  const heads: string[][] = [];
  const server = await startHttp(t, ({ method, url, rawHeaders }, response) => {
    const headers = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name.toLowerCase()}: ${rawHeaders[index + 1]}`] : []));
    heads.push([`${method} ${url}`, ...headers.toSorted()]);
    response.end();
  });
  return Object.assign(server, { heads });
}

function headOf(port: number): string[] {
  return ['GET /base/v3/dag_run', 'accept: */*', 'connection: keep-alive', `host: 127.0.0.1:${port}`, 'user-agent: cosmos-telemetry'];
}

const outgoing = http.OutgoingMessage.prototype;

/** What a host may patch, and how: each of them would change what is written. */
const PATCHES: Readonly<Record<string, (t: ExecutionContext) => void>> = {
  setHeader: (t) =>
    patch(
      t,
      outgoing,
      'setHeader',
      (original) =>
        function (name, value) {
          return original.call(this, name, String(name).toLowerCase() === 'user-agent' ? 'host/1.0' : value);
        },
    ),
  getHeader: (t) => patch(t, outgoing, 'getHeader', () => () => 'elsewhere.example'),
  getRawHeaderNames: (t) => patch(t, outgoing, 'getRawHeaderNames', () => () => []),
  _implicitHeader: (t) =>
    patch(
      t,
      http.ClientRequest.prototype,
      '_implicitHeader',
      (original) =>
        function () {
          this.path += '&user=1';
          this.method = 'POST';
          return original.call(this);
        },
    ),
  _storeHeader: (t) =>
    patch(
      t,
      outgoing,
      '_storeHeader',
      (original) =>
        function (firstLine, headers) {
          return original.call(this, firstLine, { ...(headers as object), traceparent: '00-1-1-01' });
        },
    ),
};

for (const [name, apply] of Object.entries(PATCHES)) {
  test.serial(proves('requests-own-headers', `a request is written as it was asked for, whatever ${name} does`), async (t) => {
    const server = await startEcho(t);
    const transport = transportTo(t, server.port);
    apply(t);
    t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
    t.deepEqual(server.heads, [headOf(server.port)]);
  });
}

/** Until the end of the test nobody can assign to these, as in a class that is frozen. */
function freeze(t: ExecutionContext, holder: object, names: readonly string[]): void {
  for (const name of names) {
    const own = Object.getOwnPropertyDescriptor(holder, name);
    if (own === undefined || own.value === undefined) continue;
    Object.defineProperty(holder, name, { ...own, writable: false });
    t.teardown(() => Object.defineProperty(holder, name, own));
  }
}

/** Until the end of the test an assignment is lost, or throws. */
function makeAccessor(t: ExecutionContext, holder: object, name: string, set: (() => void) | undefined): void {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  const value: unknown = Reflect.get(holder, name);
  Object.defineProperty(holder, name, { get: () => value, configurable: true, ...(set === undefined ? {} : { set }) });
  t.teardown(() => (own === undefined ? Reflect.deleteProperty(holder, name) : Object.defineProperty(holder, name, own)));
}

const LOCKED: Readonly<Record<string, (t: ExecutionContext) => void>> = {
  'the classes are frozen': (t) => {
    for (const { prototype } of [http.ClientRequest, http.OutgoingMessage, http.Agent, Socket, Duplex]) {
      freeze(t, prototype, Object.getOwnPropertyNames(prototype));
    }
  },
  '`write` has no setter': (t) => makeAccessor(t, Socket.prototype, 'write', undefined),
  '`write` has a setter that does nothing': (t) => makeAccessor(t, Socket.prototype, 'write', () => undefined),
};

for (const [how, apply] of Object.entries(LOCKED)) {
  test.serial(proves('requests-own-headers', `a request is written as it was asked for, although ${how}`), async (t) => {
    const server = await startEcho(t);
    apply(t);
    const transport = transportTo(t, server.port);
    t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
    t.deepEqual(server.heads, [headOf(server.port)]);
  });
}

test.serial(proves('requests-own-headers', 'a class of requests that makes another request of it changes nothing'), async (t) => {
  const server = await startEcho(t);
  const elsewhere = await startEcho(t);
  const transport = transportTo(t, server.port);
  const { ClientRequest } = http;
  const Base = ClientRequest as unknown as new (url: URL, options: http.RequestOptions) => http.ClientRequest;
  t.teardown(() => Object.assign(http, { ClientRequest }));
  Object.assign(http, {
    ClientRequest: class extends Base {
      constructor(url: URL, options: http.RequestOptions) {
        const headers = { 'user-agent': 'host/1.0', host: 'elsewhere.example', 'x-user': '1' };
        super(url, { ...options, headers, host: '127.0.0.1', port: elsewhere.port, path: '/v3/dag_run?user=1', method: 'POST' });
      }
    },
  });
  t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
  t.deepEqual([server.heads, elsewhere.heads], [[headOf(server.port)], []]);
});

/** What would be written is changed below the head. */
const BELOW: Readonly<Record<string, (t: ExecutionContext) => void>> = {
  _send: (t) =>
    patch(
      t,
      outgoing,
      '_send',
      (original) =>
        function (data, ...more) {
          return original.call(this, `${String(data)}the user`, ...more);
        },
    ),
  _writeRaw: (t) =>
    patch(
      t,
      outgoing,
      '_writeRaw',
      (original) =>
        function (data, ...more) {
          return original.call(this, String(data).replace('cosmos-telemetry', 'host/1.0'), ...more);
        },
    ),
};

for (const [name, apply] of Object.entries(BELOW)) {
  test.serial(proves('requests-own-headers', `a request that ${name} changes is not written, and may be sent later`), async (t) => {
    const server = await startEcho(t);
    const transport = transportTo(t, server.port);
    t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
    await t.notThrowsAsync(async () => {
      apply(t);
      t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'retryable', reason: 'connect' });
    });
    t.is(server.heads.length, 1);
  });
}

test.serial(proves('requests-own-headers', 'a request that a host writes twice is written once'), async (t) => {
  const server = await startEcho(t);
  const transport = transportTo(t, server.port);
  patch(
    t,
    http.ClientRequest.prototype,
    '_writeRaw',
    (original) =>
      function (data, ...more) {
        original.call(this, data, ...more);
        return original.call(this, data, ...more);
      },
  );
  t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
  t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
  t.is(server.heads.length, 2);
});

const CHANNELS = [
  'http.client.request.created',
  'http.client.request.start',
  'http.client.request.error',
  'http.client.response.finish',
  'net.client.socket',
];

test.serial(proves('requests-untraced', 'no subscriber of a channel of Node hears of a request or a socket of ours'), async (t) => {
  const server = await startEcho(t);
  const closed = await freePort();
  const heard: string[] = [];
  const listener = (message: unknown, name: string | symbol): void => {
    const { request, socket } = message as { request?: http.ClientRequest; socket?: Socket };
    if (request !== undefined || socket !== undefined) heard.push(`${String(name)} ${request?.path ?? ''}`.trim());
  };
  for (const name of CHANNELS) subscribe(name, listener);
  t.teardown(() => {
    for (const name of CHANNELS) unsubscribe(name, listener);
  });
  t.deepEqual(await send(transportTo(t, server.port), '/v3/dag_run'), { kind: 'sent' });
  t.deepEqual(await send(transportTo(t, closed)), unconnected('refused'));
  t.deepEqual(heard, []);

  const [response] = (await once(http.get({ port: server.port, path: '/own', agent: false }), 'response')) as [http.IncomingMessage];
  await once(response.resume(), 'end');
  await once(http.get({ port: closed, path: '/refused', agent: false }), 'error');
  t.true(heard.includes('net.client.socket'), 'the sockets of the host are heard of');
  t.true(heard.includes('http.client.response.finish /own'), 'and its requests');
  t.true(heard.includes('http.client.request.error /refused'), 'and their errors');
});
