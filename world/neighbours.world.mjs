// Real APM agents in one process with us. Their requests carry the trace of the user whose request the host serves; ours must not, and
// none of their spans may be one of ours. A request that the host makes itself at the same time shows that the agent is at work.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { headerNames, startRaw } from './lib/raw-servers.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const ROUNDS = 3;
const EVENTS = 2 * ROUNDS;
const OURS = ['accept', 'connection', 'host', 'user-agent'];

/** The trace of the person whose requests the host serves. */
const USER = '4bf92f3577b34da6a3ce929d0e0e4736';
const USER_HEADERS = {
  traceparent: `00-${USER}-00f067aa0ba902b7-01`,
  'sentry-trace': `${USER}-00f067aa0ba902b7-1`,
};

const DD = { DD_TRACE_EXPERIMENTAL_EXPORTER: 'log', DD_INSTRUMENTATION_TELEMETRY_ENABLED: 'false', DD_TRACE_STARTUP_LOGS: 'false' };
const NEW_RELIC = {
  NEW_RELIC_SERVERLESS_MODE_ENABLED: 'true',
  NEW_RELIC_ACCOUNT_ID: '1',
  NEW_RELIC_TRUSTED_ACCOUNT_KEY: '1',
  NEW_RELIC_PRIMARY_APPLICATION_ID: '1',
  NEW_RELIC_APP_NAME: 'host',
  NEW_RELIC_NO_CONFIG_FILE: 'true',
  NEW_RELIC_LOG_ENABLED: 'false',
};

/** How each neighbour is loaded, as its own manual says, and on which Nodes. */
const NEIGHBOURS = [
  {
    name: 'dd-trace 5',
    on: ['20', '24'],
    args: [`--import=${here('node_modules/dd-trace-5/initialize.mjs')}`, `--import=${here('neighbours/dd.mjs')}`],
    env: DD,
  },
  {
    name: 'dd-trace 6',
    on: ['24'],
    args: [`--import=${here('node_modules/dd-trace/initialize.mjs')}`, `--import=${here('neighbours/dd.mjs')}`],
    env: DD,
  },
  {
    name: 'newrelic 13',
    on: ['20', '24'],
    args: [`--import=${here('node_modules/newrelic-13/esm-loader.mjs')}`, `--require=${here('neighbours/newrelic.cjs')}`],
    env: { ...NEW_RELIC, NEIGHBOUR_PACKAGE: 'newrelic-13' },
  },
  {
    name: 'newrelic 14',
    on: ['24'],
    args: [`--import=${here('node_modules/newrelic/esm-loader.mjs')}`, `--require=${here('neighbours/newrelic.cjs')}`],
    env: { ...NEW_RELIC, NEIGHBOUR_PACKAGE: 'newrelic' },
  },
  {
    name: 'elastic-apm-node 4',
    on: ['20', '24'],
    args: [
      `--require=${here('neighbours/elastic.cjs')}`,
      `--experimental-loader=${here('node_modules/elastic-apm-node/loader.mjs')}`,
      '--no-warnings',
    ],
    env: {
      ELASTIC_APM_API_REQUEST_TIME: '1s',
      ELASTIC_APM_LOG_LEVEL: 'off',
      ELASTIC_APM_METRICS_INTERVAL: '0s',
      ELASTIC_APM_CENTRAL_CONFIG: 'false',
      ELASTIC_APM_CLOUD_PROVIDER: 'none',
      ELASTIC_APM_SPAN_COMPRESSION_ENABLED: 'false',
      ELASTIC_APM_EXIT_SPAN_MIN_DURATION: '0ms',
    },
  },
  {
    name: 'opentelemetry http 0.223',
    on: ['20', '24'],
    args: [`--import=${here('neighbours/otel.mjs')}`],
    env: { NEIGHBOUR_PACKAGE: 'old' },
  },
  { name: 'opentelemetry http 0.301', on: ['24'], args: [`--import=${here('neighbours/otel.mjs')}`], env: { NEIGHBOUR_PACKAGE: 'new' } },
  { name: 'sentry 11', on: ['20', '24'], args: [`--import=${here('neighbours/sentry.mjs')}`], env: {} },
];

/** The names of the spans in what an agent said, sorted, without the digits of ports and paths. */
function spanNames(text) {
  return [...text.matchAll(/"name":"([^"]*)"/g)]
    .map(([, name]) => name.replaceAll(/\d+/g, 'N'))
    .toSorted((one, other) => (one < other ? -1 : 1));
}

const failures = [];
const check = (holds, what) => {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}`);
  if (!holds) failures.push(what);
};

for (const neighbour of NEIGHBOURS) {
  if (process.argv[2] !== undefined && !neighbour.name.includes(process.argv[2])) continue;
  for (const version of neighbour.on) {
    const node = here(`node_modules/node-${version}/bin/node`);
    if (existsSync(node)) await meet(neighbour, version, node);
    else console.log(`(left out: ${neighbour.name} on Node ${version}, whose binary is for Linux on x64)`);
  }
}
process.exitCode = failures.length === 0 ? 0 : 1;

async function meet(neighbour, version, node) {
  const title = `${neighbour.name}, Node ${version}`;
  const without = await serve(neighbour, node, { DO_NOT_TRACK: '1' });
  const { report, spans, collected, own, ports } = await serve(neighbour, node);
  const traced = own.filter(({ headers }) => headers.some((line) => line.includes(USER)));
  check(traced.length === ROUNDS, `${title}: the host's own requests carry the trace of the user (${traced.length} of ${ROUNDS})`);
  const names = spanNames(spans);
  check(spans.includes('/control') || spans.includes(ports.own), `${title}: and are in its ${names.length} spans`);
  check(report?.sent === EVENTS && collected.length === EVENTS, `${title}: ${report?.sent} of ${EVENTS} events are sent`);
  const foreign = new Set(collected.flatMap(headerNames).filter((header) => !OURS.includes(header)));
  check(foreign.size === 0, `${title}: headers beside ours: ${foreign.size === 0 ? 'none' : [...foreign].join(', ')}`);
  const all = collected.every((request) => headerNames(request).join() === OURS.join());
  check(all, `${title}: each request has each of our headers once`);
  const ours = [...spans.matchAll(new RegExp(String.raw`.{0,80}(?:\b${ports.collector}\b|/v3/).{0,40}`, 'g'))].map(([text]) => text);
  check(
    ours.length === 0,
    `${title}: spans that lead to our endpoint: ${ours.length === 0 ? 'none' : `${ours.length}, such as ${ours[0]}`}`,
  );
  const plain = spanNames(without.spans);
  check(names.join() === plain.join(), `${title}: spans with us: ${names.length}, without us: ${plain.length}`);
  if (names.join() !== plain.join()) console.log(`       with us: ${names.join(', ')}\n       without: ${plain.join(', ')}`);
}

/** Runs the host between an endpoint, a server of its own and the intake of its agent, and asks it as a user does. */
async function serve({ args, env }, node, more = {}) {
  const collector = await startRaw();
  const own = await startRaw();
  const intake = await startIntake();
  try {
    const { report, said } = await runHost(node, args, {
      ...env,
      ...more,
      ENDPOINT: collector.url,
      CONTROL: own.url,
      INTAKE_PORT: String(intake.port),
      ELASTIC_APM_SERVER_URL: `http://127.0.0.1:${intake.port}`,
    });
    const ports = { collector: collector.port, own: String(own.port) };
    return { report, spans: [said, ...intake.bodies].join('\n'), collected: collector.requests, own: own.requests, ports };
  } finally {
    for (const server of [collector, own, intake]) server.close();
  }
}

/** Runs the host in a process of its own. Returns its report and all that it printed, spans included. */
async function runHost(node, args, env) {
  const child = spawn(node, [...args, here('neighbours/host.mjs')], {
    cwd: here('.'),
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const said = [];
  const asking = [];
  for await (const line of createInterface(child.stdout)) {
    const { port } = line.startsWith('{"port":') ? JSON.parse(line) : {};
    if (port === undefined) said.push(line);
    else asking.push(ask(port).finally(() => child.stdin.end()));
  }
  await Promise.all(asking);
  clearTimeout(limit);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  if (child.exitCode !== 0) console.log(`       the host ended with ${child.exitCode ?? child.signalCode}`);
  const end = said.find((line) => line.startsWith('{"report":'));
  return { report: end && JSON.parse(end).report, said: said.join('\n') };
}

async function ask(port) {
  for (let round = 0; round < ROUNDS; round += 1) {
    await fetch(`http://127.0.0.1:${port}/page`, { headers: USER_HEADERS }).then((response) => response.text());
  }
}

/** What an agent sends its findings to: keeps all of it as text. */
async function startIntake() {
  const bodies = [];
  const server = createServer((request, response) => void receive(request, response));
  async function receive(request, response) {
    const chunks = [];
    // An agent keeps its request open until it has no more to say, and its process may end before.
    for await (const chunk of request.on('error', () => {}).iterator({ destroyOnReturn: false })) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    bodies.push((request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('latin1'));
    response.end('{}');
  }
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: server.address().port, bodies, close };
}
