import { Worker } from 'node:worker_threads';
import test from 'ava';
import { startDnsServer } from '../helpers/dns-server.js';
import { startHttpProxy } from '../helpers/http-proxy.js';
import { freePort, startHttp, startTcp, tlsPath } from '../helpers/loopback.js';
import { runSender } from '../helpers/run-sender.js';

/** So long a process may take to load what it needs and to end, on a machine under load; idle connections live for 4 s. */
const AT_ONCE_MS = 2500;

/** A limit that would show if anything waited for it. */
const LONG = { connectTimeoutMs: 10_000, attemptTimeoutMs: 20_000 };

const TRUST = { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname };

test.serial('a script that sends, waits and ends is ended at once, though its connections are kept alive', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end('ok'));
  const end = await runSender(t, { options: { endpoint: `http://127.0.0.1:${server.port}`, ...LONG }, sends: 5 });
  t.deepEqual(
    end.outcomes,
    Array.from({ length: 5 }, () => ({ kind: 'sent' })),
  );
  t.is(server.connections.length, 1);
  t.is(end.code, 0);
  t.true(end.lingeredMs < AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('the same over TLS', async (t) => {
  const server = await startHttp(t, (_request, response) => response.end('ok'), true);
  const job = { options: { endpoint: `https://localhost:${server.port}`, ...LONG }, sends: 5, names: 'own' as const };
  const end = await runSender(t, job, TRUST);
  t.deepEqual(
    end.outcomes,
    Array.from({ length: 5 }, () => ({ kind: 'sent' })),
  );
  t.true(end.lingeredMs < AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a server that never answers holds nobody, on a new connection or a used one', async (t) => {
  const fresh = await startHttp(t, () => {});
  const first = await runSender(t, {
    options: { endpoint: `http://127.0.0.1:${fresh.port}`, ...LONG },
    sends: 3,
    waitFor: 0,
    aliveMs: 300,
  });
  t.is(fresh.targets.length, 3);
  t.true(first.lingeredMs < 300 + AT_ONCE_MS, String(first.lingeredMs));

  for (const secure of [false, true]) {
    const used = await startHttp(
      t,
      (_request, response) => {
        if (used.targets.length === 1) response.end();
      },
      secure,
    );
    const endpoint = `${secure ? 'https' : 'http'}://collector.test:${used.port}`;
    const end = await runSender(t, { options: { endpoint, ...LONG }, sends: 2, waitFor: 1, aliveMs: 300 }, TRUST);
    t.is(used.targets.length, 2);
    t.is(used.connections.length, 1);
    t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
  }
});

test.serial('a tunnel that is used again holds nobody either', async (t) => {
  const server = await startHttp(
    t,
    (_request, response) => {
      if (server.targets.length === 1) response.end();
    },
    true,
  );
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const options = { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${proxy.port}`, ...LONG };
  const end = await runSender(t, { options, sends: 2, waitFor: 1, aliveMs: 300 }, TRUST);
  t.is(server.targets.length, 2);
  t.is(proxy.connections.length, 1);
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a handshake that never ends holds nobody', async (t) => {
  const server = await startTcp(t, (socket) => socket.resume());
  const end = await runSender(t, { options: { endpoint: `https://127.0.0.1:${server.port}`, ...LONG }, waitFor: 0, aliveMs: 300 });
  t.is(server.connections.length, 1);
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));

  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const options = { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${proxy.port}`, ...LONG };
  const tunnelled = await runSender(t, { options, waitFor: 0, aliveMs: 300 });
  t.is(server.connections.length, 2);
  t.true(tunnelled.lingeredMs < 300 + AT_ONCE_MS, String(tunnelled.lingeredMs));
});

test.serial('a body that drips holds nobody', async (t) => {
  const server = await startHttp(t, (_request, response) => {
    const timer = setInterval(() => response.write('x'), 20);
    response.once('close', () => clearInterval(timer));
  });
  const end = await runSender(t, { options: { endpoint: `http://127.0.0.1:${server.port}`, ...LONG }, waitFor: 0, aliveMs: 300 });
  t.is(server.targets.length, 1);
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a refused connection holds nobody', async (t) => {
  const end = await runSender(t, { options: { endpoint: `http://127.0.0.1:${await freePort()}`, ...LONG }, waitFor: 0 });
  t.is(end.code, 0);
  t.true(end.lingeredMs < AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a connect that nobody takes holds no longer than the connect timeout', async (t) => {
  // Its backlog full and its thread asleep, a server takes no further connection: the SYN goes unanswered.
  const worker = new Worker(
    `const { createServer, connect } = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 0);
     });`,
    { eval: true },
  );
  t.teardown(() => worker.terminate());
  const port = await new Promise<number>((resolve) => {
    worker.once('message', resolve);
  });
  const options = { endpoint: `http://127.0.0.1:${port}`, connectTimeoutMs: 300, attemptTimeoutMs: 20_000 };
  const end = await runSender(t, { options, sends: 8, waitFor: 0 });
  t.is(end.code, 0);
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a connection whose first address refused is let go of like any other', async (t) => {
  const server = await startHttp(t, () => {});
  const options = { endpoint: `http://collector.test:${server.port}`, ...LONG };
  const end = await runSender(t, { options, waitFor: 0, aliveMs: 300, names: 'both-families' });
  t.is(server.targets.length, 1);
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a name server that never answers holds no longer than the attempt lasts', async (t) => {
  const dns = await startDnsServer(t, () => 'silent');
  const options = { endpoint: 'http://collector.test', connectTimeoutMs: 20_000, attemptTimeoutMs: 300 };
  const end = await runSender(t, { options, waitFor: 0, aliveMs: 100, names: { server: dns.address } });
  t.is(end.code, 0);
  t.true(dns.questions.includes('A collector.test'));
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a look-up of the host that never ends holds nobody', async (t) => {
  const end = await runSender(t, { options: { endpoint: 'http://collector.test', ...LONG }, waitFor: 0, names: 'silent' });
  t.is(end.code, 0);
  t.true(end.lingeredMs < AT_ONCE_MS, String(end.lingeredMs));
});

test.serial('a proxy that never answers holds no longer than the connect timeout', async (t) => {
  const silent = await startTcp(t, (socket) => socket.resume());
  const options = { connectTimeoutMs: 300, attemptTimeoutMs: 20_000, proxy: `http://127.0.0.1:${silent.port}` };
  const tunnel = await runSender(t, { options: { ...options, endpoint: 'https://collector.test' }, waitFor: 0, aliveMs: 100 });
  t.true(tunnel.lingeredMs < 300 + AT_ONCE_MS, String(tunnel.lingeredMs));
  const plain = await runSender(t, { options: { ...options, endpoint: 'http://collector.test' }, waitFor: 0, aliveMs: 100 });
  t.true(plain.lingeredMs < 100 + AT_ONCE_MS, String(plain.lingeredMs));
  t.is(silent.connections.length, 2);
});
