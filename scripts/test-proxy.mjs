// Sends events through a real proxy: tinyproxy with basic authentication, to an http endpoint and through a tunnel to an https endpoint.
// Loopback is never proxied, so the endpoint has a name that only the proxy can resolve. Run `npm run build` first: `npm run test:proxy`.
// TINYPROXY=/usr/sbin/tinyproxy selects another program than `tinyproxy` of the PATH.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createTelemetry } from '../dist/index.js';
import { refusedPort, startCollector } from '../dist/testing/index.js';

const EVENTS = 50;
const PASSWORD = 'hunter2';
const tls = (name) => fileURLToPath(new URL(`../test/vectors/tls/${name}`, import.meta.url));

if (process.argv[2] === undefined) await testAll();
else await publish(process.argv[2]);

/** The host runs in its own process: certificate authorities and proxy come from its environment, as an operator sets them. */
async function publish(endpoint) {
  const lines = [];
  const logger = { debug: (line) => lines.push(line), warn: (line) => lines.push(line) };
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, endpoint, logger });
  for (let event = 0; event < EVENTS; event += 1) {
    telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
  }
  await telemetry.drain({ deadlineMs: 10_000 });
  process.stdout.write(JSON.stringify({ report: await telemetry.close({ deadlineMs: 0 }), lines }));
}

async function testAll() {
  const folder = mkdtempSync(path.join(tmpdir(), 'proxy-'));
  const plain = await startCollector();
  const secure = await startCollector({ tls: { key: readFileSync(tls('server-key.pem')), cert: readFileSync(tls('server.pem')) } });
  const way = await startWay(plain, secure);
  const port = await refusedPort();
  const proxy = await startProxy(folder, port, way.address().port);
  const failures = [];
  const check = (holds, what) => {
    console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}`);
    if (!holds) failures.push(what);
  };
  try {
    const good = `http://me:${PASSWORD}@127.0.0.1:${port}`;
    const http = await run('http://collector.test', { HTTP_PROXY: good });
    check(
      http.report.sent === EVENTS && plain.answered2xx === EVENTS,
      `${EVENTS} events to an http endpoint: ${http.report.sent} sent, ${plain.answered2xx} answered, ` +
        JSON.stringify(http.report.reasons),
    );
    const https = await run('https://collector.test', { HTTPS_PROXY: good });
    check(
      https.report.sent === EVENTS && secure.answered2xx === EVENTS,
      `${EVENTS} events to an https endpoint, through a tunnel: ${https.report.sent} sent, ${secure.answered2xx} answered`,
    );
    check(secure.connections < EVENTS, `tunnels are kept: ${secure.connections} for ${EVENTS} events`);
    for (const [scheme, credentials] of [
      ['http', ''],
      ['https', ''],
      ['http', 'me:wrong@'],
      ['https', 'me:wrong@'],
    ]) {
      const name = scheme === 'http' ? 'HTTP_PROXY' : 'HTTPS_PROXY';
      const { report, lines } = await run(`${scheme}://collector.test`, { [name]: `http://${credentials}127.0.0.1:${port}` });
      // tinyproxy answers wrong credentials with 401, which only an endpoint should do, and missing credentials with 407.
      const told = lines.some((line) => /\] (connect|circuit_open|http_401): /.test(line));
      check(
        report.sent === 0 && told,
        `${scheme} with ${credentials === '' ? 'no' : 'wrong'} credentials: ${JSON.stringify(report.reasons)}`,
      );
    }
    check(plain.requests.length === EVENTS && secure.requests.length === EVENTS, 'no other request arrives');
    check(
      plain.requests.every(({ headers }) => headers['proxy-authorization'] === undefined),
      "the proxy's credentials stay with the proxy",
    );
  } finally {
    proxy.kill();
    way.closeAllConnections();
    way.close();
    await Promise.all([plain.close(), secure.close()]);
    rmSync(folder, { recursive: true, force: true });
  }
  process.exitCode = failures.length === 0 ? 0 : 1;
}

async function run(endpoint, env) {
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', fileURLToPath(import.meta.url), endpoint], {
    env: { ...env, NODE_EXTRA_CA_CERTS: tls('authority.pem') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const [code] = await once(child, 'close');
  if (code !== 0 || errors !== '' || output.includes(PASSWORD)) throw new Error(`the host ended with ${code}: ${errors}`);
  return JSON.parse(output);
}

/** The upstream of the proxy for `collector.test`: no name look-up and no system file is needed. */
async function startWay(plain, secure) {
  const pass = async (request, response) => {
    const { pathname, search } = new URL(request.url, 'http://collector.test');
    const answer = await fetch(`${plain.url}${pathname}${search}`, { headers: { 'user-agent': request.headers['user-agent'] ?? '' } });
    response.writeHead(answer.status).end();
  };
  const way = createServer((request, response) => void pass(request, response));
  way.on('connect', (_request, client) => {
    const inner = connect(secure.port, '127.0.0.1', () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
    for (const [one, other] of [
      [client, inner],
      [inner, client],
    ])
      one
        .on('error', () => {})
        .on('close', () => other.destroy())
        .pipe(other);
  });
  await once(way.listen(0, '127.0.0.1'), 'listening');
  return way;
}

async function startProxy(folder, port, wayPort) {
  const file = path.join(folder, 'tinyproxy.conf');
  const log = path.join(folder, 'tinyproxy.log');
  const lines = [
    `Port ${port}`,
    'Listen 127.0.0.1',
    'Timeout 30',
    'MaxClients 100',
    `BasicAuth me ${PASSWORD}`,
    `LogFile "${log}"`,
    `Upstream http 127.0.0.1:${wayPort} "collector.test"`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const proxy = spawn(process.env.TINYPROXY ?? 'tinyproxy', ['-d', '-c', file], { stdio: 'ignore' });
  let ended = '';
  proxy.once('error', () => (ended = 'it is not installed (Debian: apt-get install tinyproxy)'));
  proxy.once('exit', (code) => (ended ||= `it ended with ${code}`));
  for (;;) {
    if (ended !== '') throw new Error(`tinyproxy does not run: ${ended}`);
    const reached = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false)).on('close', () => resolve(false));
      setTimeout(() => socket.destroy(), 100);
    });
    if (reached) return proxy;
    await sleep(50);
  }
}
