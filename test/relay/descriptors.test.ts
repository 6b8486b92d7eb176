// A relay that has few file descriptors keeps enough of them to deliver, and says when it has none.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import path from 'node:path';
import test from 'ava';
import { connectionsWithin, hasFreeDescriptor } from '../../src/relay/descriptors.js';
import { startHttp, until } from '../helpers/loopback.js';
import { proves } from '../helpers/promises.js';
import { makeFolder, RelayChild } from './helpers/relay-child.js';
import { startRig } from './helpers/relay-rig.js';

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max processes             unlimited            unlimited            processes
Max open files            96                   4096                 files
`;
const limits = (soft: string) => () => LIMITS.replace('96  ', soft.padEnd(4));

const failing = (code: string) => () => {
  throw Object.assign(new Error(code), { code });
};

test('connections of clients leave 40 descriptors for the relay, 8 for look-ups and those for sending', (t) => {
  t.deepEqual(connectionsWithin(512, 24, limits('96')), { most: 24, limit: 96 });
  t.deepEqual(connectionsWithin(512, 24, limits('1024')), { most: 512, limit: 1024 });
  t.deepEqual(connectionsWithin(8, 24, limits('96')), { most: 8, limit: 96 });
  t.deepEqual(connectionsWithin(512, 24, limits('50')), { most: 4, limit: 50 });
});

test('without a limit, and where the system does not tell it, the option decides', (t) => {
  const none = { most: 512, limit: Infinity };
  t.deepEqual(connectionsWithin(512, 24, limits('unlimited')), none);
  t.deepEqual(connectionsWithin(512, 24, failing('ENOENT')), none);
});

test('a descriptor is free unless the process or the system has too many', (t) => {
  t.true(hasFreeDescriptor());
  t.false(hasFreeDescriptor(failing('EMFILE')));
  t.false(hasFreeDescriptor(failing('ENFILE')));
  t.true(hasFreeDescriptor(failing('EACCES')));
});

test(
  proves('relay-descriptors', 'without a free descriptor /readyz says that nothing can be sent, until there is one again'),
  async (t) => {
    let isFree = false;
    const { get } = await startRig(t, {}, { hasFreeDescriptor: () => isFree });
    const { status, text } = await get('/readyz');
    t.is(status, 200);
    t.is(text, 'ready, but nothing can be sent: no file descriptor is free\n');
    isFree = true;
    t.is((await get('/readyz')).text, 'ready\n');
  },
);

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux(
  proves('relay-descriptors', 'a relay with 96 descriptors delivers while clients take every connection that they get'),
  async (t) => {
    let delivered = 0;
    const endpoint = await startHttp(t, (_request, response) => {
      delivered += 1;
      response.end();
    });
    // No connection is too slow for a machine under load.
    const patience = ['--headers-timeout-ms', '60000', '--request-timeout-ms', '60000', '--keep-alive-timeout-ms', '60000'];
    const args = ['--listen', '127.0.0.1:0', '--forward', `http://127.0.0.1:${endpoint.port}/up`, ...patience];
    const child = new RelayChild(t, [...args, '--spool', path.join(makeFolder(t), 'spool')], {}, 96);
    const port = await child.port();
    await child.says(/connections_limited.*the limit of open files \(96\) leaves room for 24 connections/);
    const clients = Array.from({ length: 120 }, () => client(port));
    t.teardown(() => clients.forEach(({ socket }) => socket.destroy()));
    await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
    // Each one sends an event, and keeps its connection.
    for (const { socket } of clients) socket.write('GET /astronomer-cosmos/v3/dag_run?status=success HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => clients.every(({ seen, isClosed }) => isClosed() || seen().startsWith('HTTP/1.1 204')));
    const accepted = clients.filter(({ seen }) => seen().startsWith('HTTP/1.1 204')).length;
    t.is(accepted, 24);
    await until(() => delivered === accepted);
    t.pass();
  },
);

function client(port: number): { socket: Socket; seen: () => string; isClosed: () => boolean } {
  let seen = '';
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('latin1').on('error', () => undefined);
  socket.on('data', (text: string) => (seen += text));
  return { socket, seen: () => seen, isClosed: () => socket.destroyed };
}
