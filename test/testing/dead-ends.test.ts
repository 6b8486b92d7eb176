import test from 'ava';

import { refusedPort, silentServer } from '../../src/testing/index.js';
import { RawClient, until } from '../helpers/raw-client.js';

test('a refused port refuses', async (t) => {
  t.is(await new RawClient(await refusedPort()).closed, 'ECONNREFUSED');
});

test('a silent server takes the connection and not a byte', async (t) => {
  const server = await silentServer();
  t.teardown(() => server.close());
  t.is(server.url, `http://127.0.0.1:${server.port}`);
  const client = new RawClient(server.port).get();
  client.socket.write(Buffer.alloc(64 * 1024 * 1024));
  await until(() => server.connections === 1);
  const second = new RawClient(server.port);
  await until(() => server.connections === 2);
  t.is(server.openConnections, 2);
  t.is(client.received, '');
  t.true(client.socket.writableLength > 0);
  await server.close();
  await Promise.all([client.closed, second.closed]);
  t.is(server.openConnections, 0);
});
