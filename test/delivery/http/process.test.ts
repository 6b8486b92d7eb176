// What a transport does to the process of its host: it holds it at no time, and loads HTTP at the first send.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { childQueue } from '../../helpers/at-a-time.js';
import { sleepingListener } from '../../helpers/blocked-port.js';
import { startDnsServer } from '../../helpers/dns-server.js';
import { startHttpProxy } from '../../helpers/http-proxy.js';
import { freePort, startHttp, startTcp, tlsPath } from '../../helpers/loopback.js';
import { runSender } from '../../helpers/run-sender.js';
import type { SenderJob } from '../../helpers/run-sender.js';
import { proves } from '../../helpers/promises.js';

/** The most time a process may take to end, on a machine under load. Idle connections live longer: 4 s. */
const AT_ONCE_MS = 2500;

/** Time limits that are longer than any test: a process that waits for them is noticed. */
const LONG = { connectTimeoutMs: 10_000, attemptTimeoutMs: 20_000 };

const TRUST = { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname };

/** Defines a test that starts a child process. Three of them run at the same time. */
function childTest(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  test(title, (t) => childQueue(() => run(t)));
}

/** Runs a sender that does not wait for its sends and has other work for a while; checks that it then ends at once. */
async function endsAtOnce(t: ExecutionContext, job: SenderJob, aliveMs = 300): Promise<void> {
  const end = await runSender(t, { waitFor: 0, aliveMs, ...job }, TRUST);
  t.is(end.code, 0);
  t.true(end.lingeredMs < aliveMs + AT_ONCE_MS, String(end.lingeredMs));
}

for (const scheme of ['http', 'https'] as const) {
  childTest(`a script that sends over ${scheme}, waits and ends is not held by its kept-alive connection`, async (t) => {
    const server = await startHttp(t, (_request, response) => response.end('ok'), scheme === 'https');
    const job = { options: { endpoint: `${scheme}://localhost:${server.port}`, ...LONG }, sends: 5, names: 'own' as const };
    const end = await runSender(t, job, TRUST);
    t.deepEqual(
      end.outcomes,
      Array.from({ length: 5 }, () => ({ kind: 'sent' })),
    );
    // A busy machine may take longer than a connection waits for its next request.
    t.true(server.connections.length < 5);
    t.is(end.code, 0);
    t.true(end.lingeredMs < AT_ONCE_MS, String(end.lingeredMs));
  });
}

childTest('a server that never answers does not hold the process', async (t) => {
  const server = await startHttp(t, () => {});
  await endsAtOnce(t, { options: { endpoint: `http://127.0.0.1:${server.port}`, ...LONG }, sends: 3 }, 1000);
  t.is(server.targets.length, 3);
});

for (const scheme of ['http', 'https']) {
  childTest(`a server that never answers on a reused ${scheme} connection does not hold the process`, async (t) => {
    const server = await startHttp(
      t,
      (_request, response) => {
        if (server.targets.length === 1) response.end();
      },
      scheme === 'https',
    );
    await endsAtOnce(t, {
      options: { endpoint: `${scheme}://collector.test:${server.port}`, ...LONG },
      sends: 2,
      waitFor: 1,
      isStill: true,
    });
    t.is(server.targets.length, 2);
    t.is(server.connections.length, 1);
  });
}

childTest('a reused tunnel does not hold the process', async (t) => {
  const server = await startHttp(
    t,
    (_request, response) => {
      if (server.targets.length === 1) response.end();
    },
    true,
  );
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const options = { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${proxy.port}`, ...LONG };
  await endsAtOnce(t, { options, sends: 2, waitFor: 1, isStill: true });
  t.is(server.targets.length, 2);
  t.is(proxy.connections.length, 1);
});

childTest('a handshake that never ends does not hold the process', async (t) => {
  const server = await startTcp(t, (socket) => socket.resume());
  await endsAtOnce(t, { options: { endpoint: `https://127.0.0.1:${server.port}`, ...LONG } });
  t.is(server.connections.length, 1);
});

childTest('a handshake that never ends in a tunnel does not hold the process', async (t) => {
  const server = await startTcp(t, (socket) => socket.resume());
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  await endsAtOnce(t, { options: { endpoint: 'https://collector.test', proxy: `http://127.0.0.1:${proxy.port}`, ...LONG } });
  t.is(server.connections.length, 1);
});

childTest('a body that drips does not hold the process', async (t) => {
  const server = await startHttp(t, (_request, response) => {
    const timer = setInterval(() => response.write('x'), 20);
    response.once('close', () => clearInterval(timer));
  });
  await endsAtOnce(t, { options: { endpoint: `http://127.0.0.1:${server.port}`, ...LONG } });
  t.is(server.targets.length, 1);
});

childTest('a refused connection does not hold the process', async (t) => {
  await endsAtOnce(t, { options: { endpoint: `http://127.0.0.1:${await freePort()}`, ...LONG } }, 0);
});

childTest(proves('exit-connect', 'a connect that is never accepted holds the process no longer than the connect timeout'), async (t) => {
  // A server whose backlog is full and whose thread sleeps accepts no further connection: the SYN is not answered.
  const port = await sleepingListener(t);
  const options = { endpoint: `http://127.0.0.1:${port}`, connectTimeoutMs: 300, attemptTimeoutMs: 20_000 };
  const end = await runSender(t, { options, sends: 8, waitFor: 0 });
  t.is(end.code, 0);
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

childTest('a connection whose first address refused does not hold the process', async (t) => {
  const server = await startHttp(t, () => {});
  await endsAtOnce(t, { options: { endpoint: `http://collector.test:${server.port}`, ...LONG }, names: 'both-families' });
  t.is(server.targets.length, 1);
});

childTest(proves('exit-connect', 'a name server that never answers holds the process no longer than the attempt'), async (t) => {
  const dns = await startDnsServer(t, () => 'silent');
  const options = { endpoint: 'http://collector.test', connectTimeoutMs: 20_000, attemptTimeoutMs: 300 };
  const end = await runSender(t, { options, waitFor: 0, aliveMs: 100, names: { server: dns.address } });
  t.is(end.code, 0);
  t.true(dns.questions.includes('A collector.test'));
  t.true(end.lingeredMs < 300 + AT_ONCE_MS, String(end.lingeredMs));
});

childTest('a look-up of the host that never ends does not hold the process', async (t) => {
  await endsAtOnce(t, { options: { endpoint: 'http://collector.test', ...LONG }, names: 'silent' }, 0);
});

for (const scheme of ['http', 'https']) {
  childTest(`a proxy that never answers for ${scheme} holds the process no longer than the connect timeout`, async (t) => {
    const silent = await startTcp(t, (socket) => socket.resume());
    const options = { connectTimeoutMs: 300, attemptTimeoutMs: 20_000, proxy: `http://127.0.0.1:${silent.port}` };
    const end = await runSender(t, { options: { ...options, endpoint: `${scheme}://collector.test` }, waitFor: 0, aliveMs: 100 });
    // A plain connection is unref'd: it does not hold the process at all.
    t.true(end.lingeredMs < (scheme === 'https' ? 300 : 100) + AT_ONCE_MS, String(end.lingeredMs));
    t.is(silent.connections.length, 1);
  });
}

const entry = new URL('../../../src/delivery/http/fetch-transport.js', import.meta.url).href;

/** Runs a script in a process of its own and parses its output as JSON. */
async function runScript(script: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env: {} });
  return JSON.parse(stdout);
}

test('the entry point of the package loads no other file of the package', async (t) => {
  const text = await readFile(new URL('../../../../dist/index.js', import.meta.url), 'utf8');
  t.deepEqual(text.match(/\b(?:from|import)\s*['"]\.[^'"]*/g), null);
});

childTest('before the first send, nothing of HTTP is loaded and no timer runs', async (t) => {
  const [before, timers, after] = (await runScript(`
    const HEAVY = /^NativeModule (http|https|net|tls|dns)$/;
    // Node itself loads some of them, for example net for a stream that is a pipe.
    void [process.stdin, process.stdout, process.stderr];
    const own = new Set(process.moduleLoadList.filter((name) => HEAVY.test(name)));
    const { fetchTransport } = await import(${JSON.stringify(entry)});
    const heavy = () => process.moduleLoadList.filter((name) => HEAVY.test(name) && !own.has(name));
    const transport = fetchTransport({ endpoint: 'http://127.0.0.1:9' });
    const before = heavy();
    const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'Immediate');
    await transport.send([{ id: '1', type: 'x', metrics: {}, requestTarget: () => '/x' }], new AbortController().signal);
    process.stdout.write(JSON.stringify([before, timers, heavy().length + own.size]));
  `)) as [string[], string[], number];
  t.deepEqual(before, []);
  t.deepEqual(timers, []);
  t.is(after, 5);
});

const tunnelUses: readonly (readonly [string, boolean, object])[] = [
  ['https without a proxy', false, { endpoint: 'https://127.0.0.1:9' }],
  ['http through a proxy', false, { endpoint: 'http://collector.test', proxy: 'http://127.0.0.1:9' }],
  ['https through a proxy', true, { endpoint: 'https://collector.test', proxy: 'http://127.0.0.1:9' }],
];

for (const [name, isLoaded, options] of tunnelUses) {
  childTest(`a send by ${name} ${isLoaded ? 'loads' : 'does not load'} the library for tunnels`, async (t) => {
    // The library for tunnels loads the package `debug`, which is CommonJS.
    const loaded = await runScript(`
      import { createRequire } from 'node:module';
      const { fetchTransport } = await import(${JSON.stringify(entry)});
      const transport = fetchTransport({ connectTimeoutMs: 100, ...${JSON.stringify(options)} });
      const held = setInterval(() => {}, 1000);
      await transport.send([{ id: '1', type: 'x', metrics: {}, requestTarget: () => '/x' }], new AbortController().signal);
      clearInterval(held);
      process.stdout.write(JSON.stringify(Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('debug'))));
    `);
    t.is(loaded, isLoaded);
  });
}
