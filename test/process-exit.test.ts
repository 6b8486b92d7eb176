import { createServer } from 'node:http';
import net from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { ChildReport, ChildSettings } from './helpers/exit-child.js';
import { addsUp } from './helpers/telemetry-rig.js';
import { runChild } from './helpers/run-child.js';

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

/** A port on which nobody listens: it was free a moment ago. */
async function refusing(): Promise<string> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

async function alive(t: ExecutionContext): Promise<{ endpoint: string; requests: () => number }> {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    response.end();
  });
  return { endpoint: await listen(t, server), requests: () => requests };
}

async function run(t: ExecutionContext, settings: ChildSettings): Promise<ChildReport> {
  const { code, stdout, stderr } = await runChild('exit-child', [JSON.stringify(settings)], {
    // What a process does at its end can only be covered in one that ends.
    NODE_V8_COVERAGE: process.env['NODE_V8_COVERAGE'],
  });
  t.is(stderr, '');
  t.is(code, 0);
  const report = JSON.parse(stdout) as ChildReport;
  t.true(addsUp(report.stats), JSON.stringify(report.stats));
  t.deepEqual(report.listeners[1], report.listeners[0], 'no signal handler, ever');
  t.is(report.beforeExitListeners.atExit, 0);
  return report;
}

/** Loading node-fetch and starting a socket take a machine under load longer than any promise of ours. */
const SLOW_MACHINE_MS = 400;

test.serial('a script that publishes and ends delivers what it can and exits by itself', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 20, end: 'return', options: { endpoint, exitDeadlineMs: 2000 } });
  t.like(report.stats, { published: 20, sent: 20, pending: 0 });
  t.is(requests(), 20);
  t.is(report.beforeExitListeners.whileWaiting, 1);
  t.true(report.afterEndMs < 2000, `${report.afterEndMs} ms`);
});

test.serial('a script that ends while connections are refused is not held up', async (t) => {
  const report = await run(t, { events: 20, end: 'return', options: { endpoint: await refusing(), exitDeadlineMs: 5000 } });
  t.is(report.stats.sent, 0);
  t.true(report.afterEndMs < 150 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial('a script that ends while the circuit is open is not held up either', async (t) => {
  const report = await run(t, { events: 20, end: 'return', liveOnMs: 1500, options: { endpoint: await refusing(), exitDeadlineMs: 5000 } });
  t.is(report.stats.sent, 0);
  t.true(report.stats.pending > 0, JSON.stringify(report.stats));
  t.true(report.afterEndMs < 150 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial('a script that ends while nobody answers is held for the exit deadline at most', async (t) => {
  const endpoint = await listen(
    t,
    net.createServer(() => undefined),
  );
  const report = await run(t, { events: 20, end: 'return', options: { endpoint, exitDeadlineMs: 300, attemptTimeoutMs: 10_000 } });
  t.is(report.stats.sent, 0);
  t.true(report.afterEndMs + report.starvedMs >= 290, `${report.afterEndMs} ms`);
  t.true(report.afterEndMs < 300 + 50 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial('with drainOnExit: false it ends at once and adds no listener', async (t) => {
  const endpoint = await listen(
    t,
    net.createServer(() => undefined),
  );
  const report = await run(t, { events: 20, end: 'return', options: { endpoint, drainOnExit: false, attemptTimeoutMs: 10_000 } });
  t.like(report.stats, { published: 20, sent: 0, pending: 20 });
  t.is(report.beforeExitListeners.whileWaiting, 0);
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial('close delivers, and the process ends right after it', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 200, end: 'close', deadlineMs: 20_000, options: { endpoint } });
  t.like(report.stats, { published: 200, sent: 200, pending: 0 });
  t.is(requests(), 200);
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial('drain holds the process until it is over, and a live host needs no exit hook', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 50, end: 'drain', deadlineMs: 20_000, options: { endpoint } });
  t.like(report.stats, { sent: 50, pending: 0 });
  t.is(requests(), 50);
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial('a host that lives on delivers without being asked', async (t) => {
  const { endpoint, requests } = await alive(t);
  const report = await run(t, { events: 5, end: 'return', liveOnMs: 1500, options: { endpoint, drainOnExit: false } });
  t.is(report.stats.sent, 5);
  t.is(requests(), 5);
});

test.serial('close against a refused port is over at once and says what it could not send', async (t) => {
  const report = await run(t, { events: 100, end: 'close', deadlineMs: 5000, options: { endpoint: await refusing() } });
  t.is(report.stats.pending, 0);
  t.is(report.stats.sent, 0);
  t.true((report.stats.reasons['connect'] ?? 0) >= 1);
  t.true((report.stats.reasons['deadline'] ?? 0) >= 70, JSON.stringify(report.stats.reasons));
});

test.serial('close against a silent port ends at its deadline', async (t) => {
  const endpoint = await listen(
    t,
    net.createServer(() => undefined),
  );
  const report = await run(t, { events: 100, end: 'close', deadlineMs: 300, options: { endpoint, attemptTimeoutMs: 10_000 } });
  t.like(report.stats, { sent: 0, pending: 0, reasons: { aborted: 24, deadline: 76 } });
  t.true(report.afterEndMs < 100 + SLOW_MACHINE_MS, `${report.afterEndMs} ms`);
});

test.serial("a close() in the host's own beforeExit handler has its own deadline, not that of the exit hook", async (t) => {
  const server = createServer((_request, response) => {
    setTimeout(() => response.end(), 400);
  });
  const endpoint = await listen(t, server);
  const report = await run(t, { events: 30, end: 'closeBeforeExit', deadlineMs: 20_000, options: { endpoint, attemptTimeoutMs: 10_000 } });
  t.like(report.stats, { published: 30, sent: 30, pending: 0 });
});
