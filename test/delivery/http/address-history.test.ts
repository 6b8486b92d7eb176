// Which address of a host is tried first, after what became of each.
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Lookup } from '../../../src/delivery/http/name-lookup.js';
import type { SendOutcome } from '../../../src/delivery/transport.js';
import { startHttp } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { send, transportTo } from '../../helpers/sending.js';

const SENT: SendOutcome = { kind: 'sent' };
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };

const both: Lookup = (_name, _options, callback) => {
  const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
  process.nextTick(callback, null, addresses);
};

/** Servers on two addresses of loopback and one port, both of one name: the first address is the one that look-ups name first. */
async function twoAddresses(t: ExecutionContext, onFirst: (socket: Socket) => void) {
  const second = await startHttp(t, (_request, response) => response.end('ok'));
  const first = createServer((socket) => {
    socket.on('error', () => undefined);
    onFirst(socket);
  });
  // The other loopback addresses of this port are free: only one of them is taken.
  await new Promise<void>((resolve) => first.listen(second.port, '127.0.0.2', resolve));
  const sockets: Socket[] = [];
  first.on('connection', (socket) => sockets.push(socket));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    first.close();
  });
  return { sockets, second, parts: { lookup: both } };
}

test(
  proves('addresses-race', 'an address that takes connections and gives no answer costs one event; the next one goes to another address'),
  async (t) => {
    const { parts, second, sockets } = await twoAddresses(t, (socket) => socket.end());
    const transport = transportTo(t, second.port, { endpoint: `http://collector.test:${second.port}` }, parts);
    t.like(await send(transport, '/v3/dag_run'), { kind: 'rejected', reason: 'network' });
    for (let event = 0; event < 5; event += 1) t.deepEqual(await send(transport, '/v3/dag_run'), SENT);
    t.is(sockets.length, 1);
  },
);

test(proves('addresses-race', 'an address that is silent costs one event, too'), async (t) => {
  const { parts, second, sockets } = await twoAddresses(t, () => undefined);
  const options = { endpoint: `http://collector.test:${second.port}`, attemptTimeoutMs: 1000 };
  const transport = transportTo(t, second.port, options, parts);
  t.deepEqual(await send(transport, '/v3/dag_run'), TIMEOUT);
  for (let event = 0; event < 5; event += 1) t.deepEqual(await send(transport, '/v3/dag_run'), SENT);
  t.is(sockets.length, 1);
});

test(proves('addresses-race', 'an address that fails in TLS costs a retry, and no event'), async (t) => {
  const { parts, second, sockets } = await twoAddresses(t, (socket) => socket.end('no TLS'));
  // The second one speaks no TLS either: it shows that it was tried.
  const transport = transportTo(t, second.port, { endpoint: `https://collector.test:${second.port}` }, parts);
  t.like(await send(transport, '/v3/dag_run'), { kind: 'retryable', reason: 'connect' });
  t.is(second.connections.length, 0);
  t.like(await send(transport, '/v3/dag_run'), { kind: 'retryable', reason: 'connect' });
  t.deepEqual([sockets.length, second.connections.length], [1, 1]);
});
