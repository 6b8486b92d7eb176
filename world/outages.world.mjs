// Bad minutes, in the network lab: the wire is cut for a while, one family of addresses is broken, the first name server is dead, the
// endpoint comes up late, the host blocks its event loop. Everything is delivered at default options.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NAME_SERVERS, NOWHERE, openLab, SERVER, SERVER6 } from './network/lab.mjs';

const SENDER = join(import.meta.dirname, 'network', 'sender.mjs');
const SELDOM = join(import.meta.dirname, 'network', 'seldom.mjs');
const EVENTS = 8;
const PORT = 8080;
const SECURE_PORT = 8443;

const failures = [];
function expect(holds, what) {
  if (!holds) failures.push(what);
}

/** @param job as for sender.mjs; repeated once if it fails, since other work on the machine may have kept a process from running */
async function deliver(lab, title, job, isLast = false) {
  const { stdout } = await lab.run([SENDER, JSON.stringify({ aliveMs: 15_000, ...job })], {
    env: { NODE_EXTRA_CA_CERTS: lab.tls.authority },
  });
  const { published, sent, tookMs, reasons } = JSON.parse(stdout);
  console.log(`${title}: ${sent} of ${published} delivered, ${Math.round(tookMs)} ms, ${JSON.stringify(reasons)}`);
  if (sent < EVENTS && !isLast) return deliver(lab, `${title}, once more`, job, true);
  expect(sent === EVENTS, `${title}: ${sent} of ${EVENTS} delivered`);
}

/** A cut of all packets at 200 events a second. What is being read by the server at that moment may be lost, and nothing else. */
async function outage(cutMs) {
  const lab = await openLab({ roundTripMs: 10 });
  try {
    await lab.startServer({ kind: 'http', port: PORT });
    const [beforeMs, afterMs, everyMs] = [1500, 6000, 5];
    const rounds = (beforeMs + cutMs + afterMs) / everyMs;
    const job = { endpoints: [`http://${SERVER}:${PORT}/e`], rounds, everyMs, trace: true, settleMs: 30_000 };
    const child = lab.start([SELDOM, JSON.stringify(job)]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await sleep(beforeMs);
    await lab.cut(true);
    await sleep(cutMs);
    await lab.cut(false);
    const mendedAtMs = Date.now();
    const { stdout, stderr } = await child.exit;
    expect(stderr === '', `outage of ${cutMs} ms: ${stderr}`);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { sent, pending, failed, dropped, reasons, wanted } = lines.at(-1);
    const first = lines.find(({ atMs }) => atMs >= mendedAtMs);
    const firstMs = first === undefined ? Infinity : first.atMs - mendedAtMs;
    const what = `outage of ${cutMs} ms at 200 events/s`;
    console.log(
      `${what}: ${sent} of ${wanted} delivered, ${failed} failed, ${dropped} dropped, ${pending} wait, ${JSON.stringify(reasons)}; ` +
        `the first ${firstMs} ms after its end`,
    );
    expect(firstMs <= 5000, `${what}: the first confirmed ${firstMs} ms after its end`);
    // Requests that were written when the wire was cut may have been read: they are not sent again.
    expect(sent >= wanted - MOST_IN_FLIGHT, `${what}: ${wanted - sent} of ${wanted} not delivered`);
    expect(dropped === 0, `${what}: ${dropped} dropped`);
  } finally {
    await lab.close();
  }
}

/** `concurrency` */
const MOST_IN_FLIGHT = 6;

/** One family of addresses is broken: its packets vanish. */
async function addresses() {
  const lab = await openLab({ roundTripMs: 40, ipv6: true, names: ['both.example.test'] });
  try {
    lab.setFiles({ resolvConf: `nameserver ${NAME_SERVERS[0]}\n` });
    await lab.startDns({ records: { 'both.example.test': { A: [SERVER], AAAA: [SERVER6] } } });
    for (const address of [SERVER, SERVER6]) {
      await lab.startServer({ kind: 'http', port: PORT, address });
      await lab.startServer({ kind: 'https', port: SECURE_PORT, address });
    }
    for (const [name, address] of Object.entries({ IPv4: SERVER, IPv6: SERVER6 })) {
      await lab.drop([{ protocol: 'tcp', address }]);
      await deliver(lab, `${name} broken, http`, { endpoint: `http://both.example.test:${PORT}/e` });
      await deliver(lab, `${name} broken, https`, { endpoint: `https://both.example.test:${SECURE_PORT}/e` });
    }
  } finally {
    await lab.close();
  }
}

async function hosts() {
  const lab = await openLab({ roundTripMs: 40, names: ['api.example.test'] });
  try {
    const named = 'api.example.test';
    lab.setFiles({ resolvConf: `nameserver ${NOWHERE}\nnameserver ${NAME_SERVERS[0]}\n` });
    await lab.startDns({ records: { [named]: { A: [SERVER] } } });
    await lab.startServer({ kind: 'http', port: PORT });
    await lab.startServer({ kind: 'https', port: SECURE_PORT });
    await deliver(lab, 'first name server dead, https', { endpoint: `https://${named}:${SECURE_PORT}/e` });
    await lab.setRoundTrip(200);
    await deliver(lab, 'first name server dead, 200 ms away, https', { endpoint: `https://${named}:${SECURE_PORT}/e` });
    await lab.setRoundTrip(0);
    lab.setFiles({ resolvConf: `nameserver ${NAME_SERVERS[0]}\n` });
    for (const turnMs of [60, 80]) {
      await deliver(lab, `turns of ${turnMs} ms, http`, { endpoint: `http://${named}:${PORT}/e`, turnMs });
      await deliver(lab, `turns of ${turnMs} ms, https`, { endpoint: `https://${named}:${SECURE_PORT}/e`, turnMs });
    }
    await closeAfterRefusals(lab);
    for (const lateMs of [200, 500, 1000]) await late(lab, `http://${named}:${9000 + lateMs}/e`, 9000 + lateMs, lateMs);
  } finally {
    await lab.close();
  }
}

/** The circuit is open, and the endpoint is there again when the host calls `close()`. */
async function closeAfterRefusals(lab) {
  const child = lab.start([SENDER, JSON.stringify({ endpoint: `http://${SERVER}:9999/e`, end: 'close', liveOnMs: 2500 })]);
  await sleep(2300);
  await lab.startServer({ kind: 'http', port: 9999 });
  const { sent, published } = JSON.parse((await child.exit).stdout);
  console.log(`close() after 2 s of refusals: ${sent} of ${published} delivered`);
  expect(sent === published, `close() after 2 s of refusals: ${sent} of ${published} delivered`);
}

/** The endpoint refuses for the first while of the host's life. */
async function late(lab, endpoint, port, lateMs) {
  const title = `an endpoint that refuses for the first ${lateMs} ms`;
  const child = lab.start([SELDOM, JSON.stringify({ endpoints: [endpoint], rounds: 40, everyMs: 50, trace: true })]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await sleep(lateMs);
  await lab.startServer({ kind: 'http', port });
  const { stdout } = await child.exit;
  const { sent, wanted, reasons } = JSON.parse(stdout.trim().split('\n').at(-1));
  console.log(`${title}: ${sent} of ${wanted} delivered, ${JSON.stringify(reasons)}`);
  expect(sent === wanted, `${title}: ${sent} of ${wanted} delivered`);
}

// Each lab is a wire of its own, and all of them wait most of the time.
const ends = await Promise.allSettled([outage(100), outage(1000), outage(10_000), addresses(), hosts()]);
for (const { reason } of ends) if (reason !== undefined) failures.push(reason.stack);
for (const what of failures) console.log(`FAILED: ${what}`);
process.exitCode = failures.length === 0 ? 0 : 1;
