import { createServer } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { AddressInfo, Socket } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import type { Clock } from '../../../src/base/clock.js';
import { AddressHistory } from '../../../src/delivery/http/address-history.js';
import { dial } from '../../../src/delivery/http/dial.js';
import type { Lookup } from '../../../src/delivery/http/name-lookup.js';
import { startLimit } from '../../../src/delivery/pacing.js';
import { underWay } from '../../../src/delivery/under-way.js';
import { blockedPort } from '../../helpers/blocked-port.js';
import { until } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';

/** A server on one address of loopback that counts its connections. */
async function listen(t: ExecutionContext, address: string, port: number): Promise<Socket[]> {
  const connections: Socket[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  t.teardown(() => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  return connections;
}

async function freePortOn(address: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Dialled {
  error: NodeJS.ErrnoException | null;
  socket: Socket | undefined;
  tookMs: number;
}

function connectTo(
  t: ExecutionContext,
  port: number,
  addresses: readonly string[],
  more: { clock?: Clock; connectTimeoutMs?: number; history?: AddressHistory } = {},
) {
  const lookup: Lookup = (_name, _options, callback) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    process.nextTick(callback, found.length === 0 ? Object.assign(new Error('none'), { code: 'ENOTFOUND' }) : null, found);
  };
  const startedAtMs = performance.now();
  const settings = { clock: systemClock, connectTimeoutMs: 60_000, lookup, startLimit, underWay, history: new AddressHistory(), ...more };
  const ends: (() => void)[] = [];
  const dialled = new Promise<Dialled>((resolve) => {
    const end = dial(settings, { host: 'collector.test', port }, (error, socket) => {
      t.teardown(() => socket?.destroy());
      resolve({ error, socket, tookMs: performance.now() - startedAtMs });
    });
    ends.push(end);
  });
  return { dialled, end: () => ends[0]?.() };
}

// A connect does not keep the process alive.
const held = setInterval(() => {}, 60_000);
test.after.always(() => clearInterval(held));

test(
  proves('addresses-race', 'while the first address does not answer, the second is tried after 100 ms, and the first that answers wins'),
  async (t) => {
    const port = await blockedPort(t);
    const connections = await listen(t, '127.0.0.2', port);
    const { socket, tookMs } = await connectTo(t, port, ['127.0.0.1', '127.0.0.2']).dialled;
    t.is(socket?.remoteAddress, '127.0.0.2');
    t.true(tookMs >= 99 && tookMs < 10_000, `${tookMs} ms`);
    t.is(connections.length, 1);
    t.deepEqual([socket?.listenerCount('error'), socket?.listenerCount('close')], [0, 0], 'the winner is handed over as it was made');
  },
);

/** Connects of this process that have not ended, ours and those of the test. */
function connecting(): number {
  return process.getActiveResourcesInfo().filter((name) => name.endsWith('ConnectWrap')).length;
}

// In series: what is under way is counted for the whole process.
test.serial('when one address has answered, or at the end of the dial, the connects to the others end', async (t) => {
  const port = await blockedPort(t);
  await listen(t, '127.0.0.2', port);
  const before = connecting();
  const won = connectTo(t, port, ['127.0.0.1', '127.0.0.2']);
  await until(() => underWay.connects.count === 1);
  const { socket } = await won.dialled;
  t.is(socket?.remoteAddress, '127.0.0.2');
  t.is(underWay.connects.count, 0);
  await until(() => connecting() === before);

  const clock = new VirtualClock();
  const { end } = connectTo(t, port, ['127.0.0.1', '127.0.0.1', '127.0.0.2'], { clock });
  await until(() => underWay.connects.count === 1);
  await clock.advance(100);
  t.is(underWay.connects.count, 2);
  end();
  t.is(underWay.connects.count, 0);
  t.is(clock.pendingTimers, 0);
  await until(() => connecting() === before);
});

test.serial('a dial that ends while its name is looked up leaves no timer', (t) => {
  const clock = new VirtualClock();
  let cancelled = 0;
  const lookup: Lookup = () => () => {
    cancelled += 1;
  };
  const end = dial(
    { clock, connectTimeoutMs: 50, lookup, startLimit, underWay, history: new AddressHistory() },
    { host: 'collector.test', port: 9 },
    () => t.fail(),
  );
  t.is(clock.pendingTimers, 1);
  end();
  end();
  t.is(cancelled, 1);
  t.is(clock.pendingTimers, 0);
});

test(
  proves('addresses-race', 'the families of the addresses take turns: a broken one costs 100 ms, however many addresses it has'),
  async (t) => {
    const port = await blockedPort(t);
    // Another spelling of an IPv4 address, for a machine without IPv6.
    const other = '::ffff:127.0.0.2';
    await listen(t, '127.0.0.2', port);
    const clock = new VirtualClock();
    const { dialled } = connectTo(t, port, ['127.0.0.1', '127.0.0.1', '127.0.0.1', other], { clock });
    await setImmediate();
    await clock.advance(100);
    t.is((await dialled).socket?.remoteAddress, other);
  },
);

test(proves('addresses-race', 'after an address that refuses, the next is tried at once'), async (t) => {
  const port = await freePortOn('127.0.0.3');
  await listen(t, '127.0.0.3', port);
  // The time between two addresses does not pass.
  const clock: Clock = { ...systemClock, setTimeout: (callback, ms) => systemClock.setTimeout(callback, ms === 100 ? 3_600_000 : ms) };
  const { socket } = await connectTo(t, port, ['127.0.0.4', '127.0.0.5', '127.0.0.3'], { clock }).dialled;
  t.is(socket?.remoteAddress, '127.0.0.3');
});

test(proves('addresses-race', 'the address that answered last is tried first, and has 250 ms to itself'), async (t) => {
  const port = await blockedPort(t);
  await listen(t, '127.0.0.2', port);
  const history = new AddressHistory();
  history.worked('collector.test', '127.0.0.2');
  const addresses = ['127.0.0.1', '127.0.0.2'];
  // The time between two addresses does not pass.
  const clock = new VirtualClock();
  t.is((await connectTo(t, port, addresses, { history, clock }).dialled).socket?.remoteAddress, '127.0.0.2');
  history.worked('collector.test', '127.0.0.1');
  const { dialled } = connectTo(t, port, ['127.0.0.2', '127.0.0.1'], { history, clock });
  await setImmediate();
  await clock.advance(249);
  t.is(await Promise.race([dialled, setImmediate('nothing')]), 'nothing');
  await clock.advance(1);
  t.is((await dialled).socket?.remoteAddress, '127.0.0.2');
});

test(
  proves('addresses-race', 'an address that failed is tried last until it has answered again, and its name is looked up anew'),
  async (t) => {
    const port = await freePortOn('127.0.0.3');
    await listen(t, '127.0.0.3', port);
    const forgotten: string[] = [];
    const history = new AddressHistory((host) => forgotten.push(host));
    const orderOf = (...addresses: string[]): string[] =>
      history
        .order(
          'collector.test',
          addresses.map((address) => ({ address, family: 4 })),
        )
        .addresses.map(({ address }) => address);
    await connectTo(t, port, ['127.0.0.4', '127.0.0.3'], { history }).dialled;
    t.deepEqual(forgotten, ['collector.test']);
    t.deepEqual(orderOf('127.0.0.4', '127.0.0.3', '127.0.0.5'), ['127.0.0.3', '127.0.0.5', '127.0.0.4']);
    history.failed('collector.test', '127.0.0.3');
    t.deepEqual(
      orderOf('127.0.0.4', '127.0.0.3', '127.0.0.5'),
      ['127.0.0.5', '127.0.0.4', '127.0.0.3'],
      'the one that failed first comes first',
    );
    history.worked('collector.test', '127.0.0.4');
    t.deepEqual(orderOf('127.0.0.3', '127.0.0.5', '127.0.0.4'), ['127.0.0.4', '127.0.0.5', '127.0.0.3']);
    history.failed('collector.test', '127.0.0.4');
    t.deepEqual(orderOf('127.0.0.4', '127.0.0.5'), ['127.0.0.5', '127.0.0.4'], 'it is not the good one any more');
    history.failed('127.0.0.4', '127.0.0.4');
    t.is(forgotten.length, 3, 'an address has no name');
    for (let last = 0; last < 100; last += 1) history.failed('collector.test', `127.0.1.${last}`);
    t.deepEqual(orderOf('127.0.0.3', '127.0.1.99', '127.0.0.5'), ['127.0.0.3', '127.0.0.5', '127.0.1.99'], 'few are remembered');
  },
);

test('an address that answers late still wins if the later ones refuse', async (t) => {
  const port = await freePortOn('127.0.0.6');
  await listen(t, '127.0.0.6', port);
  const { socket } = await connectTo(t, port, ['127.0.0.6', '127.0.0.7']).dialled;
  t.is(socket?.remoteAddress, '127.0.0.6');
});

test('if every address fails, the error is that of the first', async (t) => {
  const port = await blockedPort(t);
  const { error } = await connectTo(t, port, ['127.0.0.8', '127.0.0.1'], { connectTimeoutMs: 400 }).dialled;
  t.is(error?.code, 'ECONNREFUSED');
  const late = await connectTo(t, port, ['127.0.0.1', '127.0.0.8'], { connectTimeoutMs: 400 }).dialled;
  t.is(late.error?.code, 'ECONNREFUSED', 'a later address may fail first');
  const { error: slow } = await connectTo(t, port, ['127.0.0.1'], { connectTimeoutMs: 50 }).dialled;
  t.is(slow?.code, 'ETIMEDOUT');
});

test('a name without an address, and a look-up that takes too long', async (t) => {
  t.is((await connectTo(t, 9, []).dialled).error?.code, 'ENOTFOUND');
  let cancelled = 0;
  const lookup: Lookup = () => () => {
    cancelled += 1;
  };
  const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    dial(
      { clock: systemClock, connectTimeoutMs: 50, lookup, startLimit, underWay, history: new AddressHistory() },
      { host: 'collector.test', port: 9 },
      resolve,
    );
  });
  t.is(error?.code, 'ETIMEDOUT');
  t.is(cancelled, 1);
});

test('after its end a dial calls nothing back and leaves no connection', async (t) => {
  const port = await freePortOn('127.0.0.9');
  const connections = await listen(t, '127.0.0.9', port);
  const { dialled, end } = connectTo(t, port, ['127.0.0.9']);
  await setImmediate();
  end();
  end();
  await until(() => connections.every((socket) => socket.destroyed));
  t.is(await Promise.race([dialled, setImmediate('nothing')]), 'nothing');
});
