import { createServer } from 'node:http';
import net from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { childQueue } from '../helpers/at-a-time.js';
import { blockedPort } from '../helpers/blocked-port.js';
import { startDnsServer } from '../helpers/dns-server.js';
import type { ChildReport, ChildSettings } from '../helpers/exit-child.js';
import type { PartReport } from '../helpers/isolation-child.js';
import { addsUp } from '../helpers/telemetry-rig.js';
import { runChild } from '../helpers/run-child.js';
import { proves } from '../helpers/promises.js';

async function listen(t: ExecutionContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/**
 * An endpoint that refuses connections. Its port belongs to the client's end of a connection, so that no other test gets it while
 * this one runs.
 */
async function refusing(t: ExecutionContext): Promise<string> {
  const endpoint = await listen(
    t,
    net.createServer(() => undefined),
  );
  const client = net.connect(Number(new URL(endpoint).port), '127.0.0.1');
  t.teardown(() => client.destroy());
  await new Promise<void>((resolve) => {
    client.once('connect', resolve);
  });
  return `http://127.0.0.1:${client.localPort}`;
}

/** An endpoint that accepts connections and never answers. */
function silent(t: ExecutionContext): Promise<string> {
  return listen(
    t,
    net.createServer(() => undefined),
  );
}

/** An endpoint that answers every request. */
async function alive(t: ExecutionContext): Promise<{ endpoint: string; requests: () => number }> {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    response.end();
  });
  return { endpoint: await listen(t, server), requests: () => requests };
}

async function run(t: ExecutionContext, settings: ChildSettings): Promise<ChildReport> {
  // The code of the exit hook is covered only in a process that exits.
  const coverage = { NODE_V8_COVERAGE: process.env['NODE_V8_COVERAGE'] };
  const { code, stdout, stderr } = await childQueue(() => runChild('exit-child', [JSON.stringify(settings)], coverage));
  t.is(stderr, '');
  t.is(code, 0);
  const report = JSON.parse(stdout) as ChildReport;
  t.true(addsUp(report.stats), JSON.stringify(report.stats));
  t.deepEqual(report.listeners[1], report.listeners[0], 'no signal handlers');
  // What a host publishes in the very last `beforeExit` still waits.
  t.true(report.beforeExitListeners.atExit <= (settings.publishBeforeExit === true ? 1 : 0));
  return report;
}

/** Loading node-fetch and opening a socket may take this long on a machine under load. */
const SLOW_MACHINE_MS = 400;

test(proves('exit-delivers', 'a script that publishes and ends delivers its events and exits by itself'), async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 20, end: 'return', options: { endpoint, exitDeadlineMs: 2000 } });
  t.like(report.stats, { published: 20, sent: 20, pending: 0 });
  t.is(requests(), 20);
  t.is(report.beforeExitListeners.whileWaiting, 1);
  t.true(report.afterEndMs < 2000, `${report.afterEndMs} ms`);
});

test(proves('exit-no-delay', 'a script that ends while connections are refused is not held up'), async (t) => {
  const report = await run(t, { events: 20, end: 'return', options: { endpoint: await refusing(t), exitDeadlineMs: 5000 } });
  t.is(report.stats.sent, 0);
  t.true(report.afterEndMs < 150 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test(proves('exit-no-delay', 'a script that ends while the circuit is open is not held up either'), async (t) => {
  const report = await run(t, {
    events: 20,
    end: 'return',
    liveOnMs: 1500,
    options: { endpoint: await refusing(t), exitDeadlineMs: 5000 },
  });
  t.is(report.stats.sent, 0);
  t.true(report.stats.pending > 0, JSON.stringify(report.stats));
  t.true(report.afterEndMs < 150 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test(proves('exit-silent-endpoint', 'a script that ends while the endpoint is silent is held for the exit deadline at most'), async (t) => {
  const endpoint = await silent(t);
  const report = await run(t, { events: 20, end: 'return', options: { endpoint, exitDeadlineMs: 300, attemptTimeoutMs: 10_000 } });
  t.is(report.stats.sent, 0);
  t.true(report.afterEndMs + report.starvedMs >= 290, `${report.afterEndMs} ms`);
  t.true(report.afterEndMs < 300 + 50 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test(proves('exit-silent-endpoint', 'with drainOnExit: false it ends at once and adds no listener'), async (t) => {
  const endpoint = await silent(t);
  const report = await run(t, { events: 20, end: 'return', options: { endpoint, drainOnExit: false, attemptTimeoutMs: 10_000 } });
  t.like(report.stats, { published: 20, sent: 0, pending: 20 });
  t.is(report.beforeExitListeners.whileWaiting, 0);
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

/** Where no connection is made, though nothing refuses it. */
const UNANSWERED = {
  'a port that does not answer a SYN': async (t) => ({ options: { endpoint: `http://127.0.0.1:${await blockedPort(t)}` } }),
  'a server that answers no TLS handshake': async (t) => ({ options: { endpoint: (await silent(t)).replace('http:', 'https:') } }),
  'a proxy that answers no CONNECT': async (t) => ({ options: { endpoint: 'https://collector.test', proxy: await silent(t) } }),
  'a name that no server answers': async (t) => ({
    options: { endpoint: 'http://collector.test' },
    nameServer: (await startDnsServer(t, () => 'silent')).address,
  }),
  'a proxy whose name no server answers': async (t) => ({
    options: { endpoint: 'https://collector.test', proxy: 'http://proxy.test:3128' },
    nameServer: (await startDnsServer(t, () => 'silent')).address,
  }),
} as const satisfies Record<string, (t: ExecutionContext) => Promise<Pick<ChildSettings, 'options' | 'nameServer'>>>;

for (const [where, begin] of Object.entries(UNANSWERED)) {
  test(
    proves('exit-connect', `a script that ends while it connects to ${where} is held for the exit deadline and 50 ms at most`),
    async (t) => {
      const { options, ...names } = await begin(t);
      const report = await run(t, { events: 20, end: 'return', ...names, options: { ...options, exitDeadlineMs: 250 } });
      t.like(report.stats, { sent: 0, pending: 20 });
      t.true(report.afterEndMs < 250 + 50 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
    },
  );

  test(proves('exit-connect', `with drainOnExit: false it is not held by ${where}`), async (t) => {
    const { options, ...names } = await begin(t);
    const report = await run(t, { events: 20, end: 'return', liveOnMs: 300, ...names, options: { ...options, drainOnExit: false } });
    t.like(report.stats, { sent: 0, pending: 20 });
    t.true(report.afterEndMs < 50 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
  });

  test(`close() while it connects to ${where} ends at its deadline`, async (t) => {
    const report = await run(t, { events: 20, end: 'close', deadlineMs: 300, ...(await begin(t)) });
    t.like(report.stats, { sent: 0, pending: 0, reasons: { deadline: 20 } });
    t.true(report.afterEndMs < 50 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
  });
}

test(
  proves('exit-delivers', "an event that is published in the host's own beforeExit is delivered, though nothing waited before"),
  async (t) => {
    const { endpoint, requests } = await alive(t);
    const report = await run(t, { events: 0, end: 'return', publishBeforeExit: true, options: { endpoint, exitDeadlineMs: 500 } });
    t.true(report.stats.sent >= 1, JSON.stringify(report.stats));
    t.true(requests() >= report.stats.sent && requests() <= report.stats.published, `${requests()} requests`);
    // The delivery brings `beforeExit` back, and the host publishes again: that must end, too.
    t.true(report.afterEndMs < 500 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
  },
);

for (const [where, start] of Object.entries({ 'a silent endpoint': silent, 'an endpoint that refuses': refusing })) {
  test(proves('exit-delivers', `a host that publishes in each beforeExit ends, with ${where}, and each event is counted`), async (t) => {
    const report = await run(t, {
      events: 0,
      end: 'return',
      publishBeforeExit: true,
      options: { endpoint: await start(t), exitDeadlineMs: 300 },
    });
    t.true(report.stats.published >= 1);
    t.like(report.stats, { sent: 0, failed: 0, dropped: 0, pending: report.stats.published });
    t.true(report.afterEndMs < 300 + 50 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
  });
}

test('close delivers, and the process ends right after it', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 200, end: 'close', deadlineMs: 20_000, options: { endpoint } });
  t.like(report.stats, { published: 200, sent: 200, pending: 0 });
  t.is(requests(), 200);
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test('drain keeps the process alive until it is done, and needs no exit hook', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 50, end: 'drain', deadlineMs: 20_000, options: { endpoint } });
  t.like(report.stats, { sent: 50, pending: 0 });
  t.is(requests(), 50);
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test('a host that keeps running delivers without a drain', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 5, end: 'return', liveOnMs: 1500, options: { endpoint, drainOnExit: false } });
  t.is(report.stats.sent, 5);
  t.is(requests(), 5);
});

test('close against a refused port ends at once and reports what it could not send', async (t) => {
  const report = await run(t, { events: 100, end: 'close', deadlineMs: 5000, options: { endpoint: await refusing(t) } });
  t.is(report.stats.pending, 0);
  t.is(report.stats.sent, 0);
  t.deepEqual(report.stats.reasons, { deadline: 100 });
});

test('close against a silent port ends at its deadline', async (t) => {
  const endpoint = await silent(t);
  const report = await run(t, { events: 100, end: 'close', deadlineMs: 300, options: { endpoint, attemptTimeoutMs: 10_000 } });
  // On a slow machine nothing is written within the deadline.
  const { aborted = 0, deadline } = report.stats.reasons;
  t.like(report.stats, { sent: 0, pending: 0 });
  t.true(aborted <= 24 && deadline === 100 - aborted, JSON.stringify(report.stats.reasons));
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test("a close() in the host's own beforeExit handler has its own deadline instead of the exit deadline", async (t) => {
  const server = createServer((_request, response) => {
    setTimeout(() => response.end(), 400);
  });
  const endpoint = await listen(t, server);
  const report = await run(t, { events: 30, end: 'closeBeforeExit', deadlineMs: 20_000, options: { endpoint, attemptTimeoutMs: 10_000 } });
  t.like(report.stats, { published: 30, sent: 30, pending: 0 });
});

const PARTS = { thread: 'worker threads', cluster: 'cluster workers', fork: 'forked processes' } as const;

for (const [kind, words] of Object.entries(PARTS)) {
  test(proves('exit-isolation', `${words} have their own queue and report, and deliver at their own exit`), async (t) => {
    const collector = await startCollector();
    t.teardown(() => collector.close());
    const { code, stdout, stderr } = await childQueue(() =>
      runChild('isolation-child', [collector.url, kind], { NODE_V8_COVERAGE: undefined }),
    );
    t.is(stderr, '');
    t.is(code, 0);
    const reports = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PartReport & { isMainThread: boolean });
    t.log(reports.map(({ part, lingeredMs }) => `${part} ${Math.round(lingeredMs)} ms`).join(', '));
    t.deepEqual(reports.map(({ part }) => part).toSorted(), ['first', kind, kind].toSorted());
    t.deepEqual(
      reports.map(({ stats }) => stats.published).toSorted((a, b) => a - b),
      [3, 4, 5],
    );
    for (const { part, stats, listeners, beforeExit, isMainThread } of reports) {
      t.is(stats.sent, stats.published, part);
      t.is(stats.pending, 0, part);
      t.is(listeners[1], listeners[0], 'no signal handlers');
      t.is(beforeExit[1] - beforeExit[0], 1, 'one exit hook while events wait');
      t.is(beforeExit[2], beforeExit[0], 'and none after they were sent');
      t.is(isMainThread, part !== 'thread');
    }
    t.is(collector.answered2xx, 12);
  });
}
