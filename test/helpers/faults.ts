import type { ExecutionContext } from 'ava';
import { refusedPort, startCollector } from '../../src/testing/index.js';
import type { Collector, CollectorOptions, Fault } from '../../src/testing/index.js';
import { blockedPort } from './blocked-port.js';
import { selfSignedCertificate } from './certificate.js';
import { startDnsServer } from './dns-server.js';
import type { DnsAnswer } from './dns-server.js';
import { BAD_MINUTES } from './bad-minutes.js';
import type { NetworkFault } from './fault-types.js';
import { startHttpProxy } from './http-proxy.js';
import { tlsFile } from './loopback.js';

/** The breaker opens after a few failures, so an event has either reason. */
const UNREACHABLE = ['connect', 'circuit_open'];

/** Sends in flight at the deadline of `close()` are aborted. */
const SILENT = ['timeout', 'aborted'];

async function collector(t: ExecutionContext, options: CollectorOptions): Promise<Collector> {
  const started = await startCollector(options);
  t.teardown(() => started.close());
  return started;
}

function misbehaving(fault: Fault | (() => Fault), told: readonly string[], name: string): NetworkFault {
  return {
    name,
    told,
    begin: async (t) => {
      const server = await collector(t, { faults: typeof fault === 'function' ? fault() : fault });
      return { where: { endpoint: server.url }, answered2xx: () => server.answered2xx };
    },
  };
}

function names(answer: DnsAnswer, name: string): NetworkFault {
  return {
    name,
    // Until the deadline of close() a silent server says nothing.
    told: answer === 'silent' ? ['deadline', ...UNREACHABLE] : UNREACHABLE,
    begin: async (t) => {
      const { address } = await startDnsServer(t, () => answer);
      return { where: { endpoint: 'http://collector.test', nameServers: [address] }, answered2xx: () => 0 };
    },
  };
}

function proxyRefuses(endpoint: string, name: string): NetworkFault {
  return {
    name,
    told: UNREACHABLE,
    begin: async (t) => {
      const { port } = await startHttpProxy(t, { refusal: 407 });
      return { where: { endpoint, proxy: `http://me:secret@127.0.0.1:${port}` }, answered2xx: () => 0 };
    },
  };
}

function variant(fault: NetworkFault): NetworkFault {
  return { ...fault, variant: true };
}

/** The ways in which a network fails, each on loopback alone. {@link BAD_MINUTES} has more of them. */
const ALWAYS: readonly NetworkFault[] = [
  names('unknown', 'a name that does not exist'),
  names('silent', 'a name server that never answers'),
  {
    name: 'a port that refuses',
    told: UNREACHABLE,
    begin: async () => ({ where: { endpoint: `http://127.0.0.1:${await refusedPort()}` }, answered2xx: () => 0 }),
  },
  {
    name: 'a firewall that drops the SYN',
    // Until the deadline of close() nothing is known.
    told: ['deadline', ...UNREACHABLE],
    begin: async (t) => ({ where: { endpoint: `http://127.0.0.1:${await blockedPort(t)}` }, answered2xx: () => 0 }),
  },
  misbehaving({ kind: 'reset', when: 'connect' }, ['network', ...UNREACHABLE], 'a reset right after the connect'),
  misbehaving({ kind: 'reset', when: 'request' }, ['network'], 'a reset after the request'),
  variant(misbehaving({ kind: 'reset', when: 'body' }, [], 'a reset in the middle of the body')),
  {
    name: 'a certificate that nobody vouches for',
    told: UNREACHABLE,
    begin: async (t) => {
      const server = await collector(t, { tls: selfSignedCertificate() });
      return { where: { endpoint: server.url }, answered2xx: () => server.answered2xx };
    },
  },
  {
    name: 'TLS to a port that speaks none',
    told: UNREACHABLE,
    begin: async (t) => {
      const server = await collector(t, {});
      return { where: { endpoint: server.url.replace('http:', 'https:') }, answered2xx: () => server.answered2xx };
    },
  },
  {
    name: 'plain HTTP to a port that speaks TLS',
    told: ['network'],
    begin: async (t) => {
      const server = await collector(t, { tls: { key: tlsFile('server-key.pem'), cert: tlsFile('server.pem') } });
      return { where: { endpoint: server.url.replace('https:', 'http:') }, answered2xx: () => server.answered2xx };
    },
  },
  misbehaving({ kind: 'not_http' }, ['network'], 'an answer that is no HTTP'),
  variant(misbehaving({ kind: 'hang', after: 'connect' }, SILENT, 'a connection that is never read')),
  misbehaving({ kind: 'hang', after: 'headers' }, SILENT, 'a request that is never answered'),
  variant(misbehaving({ kind: 'drip', part: 'head', intervalMs: 20 }, SILENT, 'a head that drips')),
  misbehaving({ kind: 'drip', part: 'body', intervalMs: 20 }, [], 'a body that drips'),
  misbehaving({ kind: 'endless' }, [], 'a body without an end'),
  misbehaving({ kind: 'bomb' }, [], 'a gzip bomb'),
  variant(misbehaving({ kind: 'truncated' }, [], 'a body that is cut off')),
  misbehaving({ kind: 'status', status: 500 }, ['http_500'], 'status 500'),
  misbehaving(
    { kind: 'status', status: 503, headers: { 'retry-after': '3600' } },
    ['http_503'],
    'status 503 with a Retry-After of an hour',
  ),
  misbehaving(
    { kind: 'status', status: 429, headers: { 'retry-after': 'soon; or -1e9 ÿ' } },
    ['http_429'],
    'status 429 with a Retry-After of garbage',
  ),
  misbehaving({ kind: 'status', status: 414 }, ['http_414'], 'status 414'),
  misbehaving({ kind: 'redirect', to: 'self' }, ['redirect_refused'], 'redirects in a circle'),
  {
    name: 'a redirect to somebody else',
    told: ['redirect_refused'],
    begin: async (t) => {
      const elsewhere = await collector(t, {});
      const server = await collector(t, { faults: { kind: 'redirect', location: `${elsewhere.url}/v3/dag_run?status=success` } });
      return { where: { endpoint: server.url }, answered2xx: () => server.answered2xx, strayConnections: () => elsewhere.connections };
    },
  },
  proxyRefuses('https://collector.test', 'a proxy that refuses the tunnel with 407'),
  variant(proxyRefuses('http://collector.test', 'a proxy that answers 407')),
];

/** All of them. */
export const NETWORK_FAULTS: readonly NetworkFault[] = [...ALWAYS, ...BAD_MINUTES.map(variant)];
