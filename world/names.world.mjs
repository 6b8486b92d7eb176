// Names, in the network lab: what getaddrinfo finds by files and DNS is found, and events are delivered at default options, with search
// domains, a dead first name server, lost packets, and a thread pool that is full.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NAME_SERVERS, NOWHERE, openLab, SERVER, SERVER6 } from './network/lab.mjs';

const SENDER = join(import.meta.dirname, 'network', 'sender.mjs');
const LOOKUP = join(import.meta.dirname, 'network', 'lookup.mjs');
const [FIRST, SECOND] = NAME_SERVERS;
const EVENTS = 8;

const failures = [];
function expect(holds, what) {
  if (!holds) failures.push(what);
}

const lab = await openLab({ roundTripMs: 20 });
const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-names-'));
const pipe = join(folder, 'pipe');
execFileSync('mkfifo', [pipe]);

const KUBERNETES = 'search airflow.svc.cluster.test svc.cluster.test cluster.test\noptions ndots:5\n';
const records = {
  'collector.airflow.svc.cluster.test': { A: [SERVER] },
  'relay.airflow.svc.cluster.test': { A: [SERVER] },
  'api.example.test': { A: [SERVER] },
  'late.cluster.test': { A: [SERVER] },
  'broken.airflow.svc.cluster.test': 'SERVFAIL',
  'broken.svc.cluster.test': { A: [SERVER] },
  'refused.airflow.svc.cluster.test': 'REFUSED',
  'refused.svc.cluster.test': { A: [SERVER] },
  'empty.airflow.svc.cluster.test': {},
  'empty.svc.cluster.test': { A: [SERVER] },
  toplevel: { A: [SERVER] },
};

/**
 * Publishes events for a name, and expects all of them to be delivered.
 *
 * @param dns name servers, as for `lab.startDns`
 * @param given the files, rules for the wire, and what the sender is told
 */
async function deliver(title, dns, { host = 'collector', files = {}, drop = [], ...job }) {
  const servers = [];
  for (const options of dns) servers.push(await lab.startDns({ records, ...options }));
  lab.setFiles({ resolvConf: `nameserver ${FIRST}\n${KUBERNETES}`, ...files });
  await lab.drop(drop);
  const { stdout } = await lab.run([SENDER, JSON.stringify({ endpoint: `http://${host}:8080/e`, events: EVENTS, ...job })]);
  const { sent, tookMs } = JSON.parse(stdout);
  console.log(`${title}: ${sent} of ${EVENTS} delivered, ${Math.round(tookMs)} ms`);
  expect(sent === EVENTS, title);
  await lab.drop([]);
  for (const server of servers) await server.stop();
}

/** Expects a look-up of ours to find what getaddrinfo finds, in its order. */
async function compare(title, host, { files = {}, env = {} } = {}) {
  lab.setFiles({ resolvConf: `nameserver ${FIRST}\n${KUBERNETES}`, ...files });
  const theirs = await lab.getent(host, env);
  const { stdout } = await lab.run([LOOKUP, host], { env });
  const ours = JSON.parse(stdout);
  const same = JSON.stringify(ours) === JSON.stringify(theirs);
  console.log(`${title}: ${host} is ${theirs.join(' ') || 'unknown'}${same ? '' : `, but we say ${ours.join(' ') || 'unknown'}`}`);
  expect(same, `${title} (${host})`);
}

/** The same addresses as getaddrinfo where there is IPv6; its order is another one (RFC 6724). */
async function withIpv6() {
  const other = await openLab({ ipv6: true });
  const both = { both: { A: [SERVER], AAAA: [SERVER6] }, only6: { AAAA: [SERVER6] }, only4: { A: [SERVER] } };
  await other.startDns({ records: both });
  for (const host of Object.keys(both)) {
    const theirs = await other.getent(host);
    const ours = JSON.parse((await other.run([LOOKUP, host])).stdout);
    console.log(`with IPv6: ${host} is ${ours.join(' ')}; getaddrinfo says ${theirs.join(' ')}`);
    expect(ours.length === theirs.length && theirs.length > 0 && theirs.every((each) => ours.includes(each)), `with IPv6 (${host})`);
  }
  await other.close();
}

try {
  const web = await lab.startServer({ kind: 'http', port: 8080 });

  // The search domains of a pod.
  await deliver('a short name, by the search list', [{}], {});
  await deliver('a name with two dots and ndots:5', [{}], { host: 'relay.airflow.svc' });
  await deliver('the third search domain', [{}], { host: 'late' });
  await deliver('a complete name after three search domains', [{}], { host: 'api.example.test' });

  // From here on a complete name, without search domains, so that each fault shows alone.
  const one = { resolvConf: `nameserver ${FIRST}\n` };
  const both = { resolvConf: `nameserver ${FIRST}\nnameserver ${SECOND}\n` };
  const nowhere = { resolvConf: `nameserver ${NOWHERE}\nnameserver ${SECOND}\n` };
  const complete = 'api.example.test';
  await deliver('a first name server whose packets vanish', [{ address: SECOND }], { host: complete, files: nowhere });
  await deliver('a first name server that is silent', [{ silent: true }, { address: SECOND }], { host: complete, files: both });
  await deliver('a first name server that is not running', [{ address: SECOND }], { host: complete, files: both });
  await deliver('a first name server that fails', [{ everything: 'SERVFAIL' }, { address: SECOND }], { host: complete, files: both });
  await deliver('the first packet to the name server is lost', [{}], {
    host: complete,
    files: one,
    drop: [{ protocol: 'udp', to: 53, count: 1 }],
  });
  await deliver('the first packet from the name server is lost', [{}], {
    host: complete,
    files: one,
    drop: [{ protocol: 'udp', from: 53, count: 1 }],
  });
  await deliver('answers over TCP only', [{ truncate: true }], { host: complete, files: one });
  const pool = { host: complete, warmUp: `http://${SERVER}:8080/warm-up`, fullPool: pipe };
  await deliver('a full thread pool, the name in DNS', [{}], { ...pool, files: one });
  await deliver('a full thread pool, the name in the hosts file', [], { ...pool, files: { ...one, hosts: `${SERVER} ${complete}\n` } });

  await lab.setRoundTrip(0);
  const names = await lab.startDns({ records });
  for (const host of Object.keys(records)) await compare('complete', host);
  for (const host of ['collector', 'relay', 'relay.airflow', 'relay.airflow.svc', 'late', 'toplevel', 'nobody'])
    await compare('short', host);
  for (const host of ['broken', 'refused', 'empty']) await compare('by way of a domain that says no', host);
  for (const host of ['collector.', 'api.example.test.', 'toplevel.']) await compare('a final dot', host);
  const resolvConf = (text) => ({ files: { resolvConf: `nameserver ${FIRST}\n${text}\n` } });
  await compare('domain', 'collector', resolvConf('domain airflow.svc.cluster.test'));
  await compare('the last of search and domain', 'late', resolvConf('search cluster.test\ndomain svc.cluster.test'));
  await compare('an empty search', 'collector', resolvConf('search'));
  await compare('the root', 'toplevel', resolvConf('search . cluster.test'));
  await compare('no-tld-query', 'toplevel', resolvConf('search cluster.test\noptions no-tld-query'));
  await compare('ndots:1', 'relay.airflow', resolvConf('search svc.cluster.test'));
  await compare('indented', 'late', resolvConf(' search cluster.test'));
  await compare('LOCALDOMAIN', 'late', { env: { LOCALDOMAIN: 'nowhere.test cluster.test' } });
  await compare('an empty LOCALDOMAIN', 'late', { env: { LOCALDOMAIN: '' } });
  await compare('RES_OPTIONS', 'relay.airflow', { env: { RES_OPTIONS: 'ndots:1' } });
  const hosts = `192.0.2.1 collector.airflow.svc.cluster.test\n192.0.2.2 late\n192.0.2.3 only-here\n192.0.2.4 only-here\n`;
  for (const nsswitch of ['files dns', 'dns files', 'files', 'dns', 'dns [NOTFOUND=return] files', 'dns [!UNAVAIL=return] files']) {
    for (const host of ['collector.airflow.svc.cluster.test', 'late', 'only-here']) {
      await compare(`hosts: ${nsswitch}`, host, { files: { hosts, nsswitch: `hosts: ${nsswitch}\n` } });
    }
  }
  // A host without IPv6 asks for no IPv6 addresses, as getaddrinfo with AI_ADDRCONFIG; one with both has them sorted IPv4 first.
  const { questions } = await names.count();
  expect(questions.length > 0 && questions.every((question) => question.startsWith('A ')), 'a host without IPv6 asks for IPv4 alone');
  await withIpv6();

  const { requests } = await web.count();
  console.log(`${requests} requests arrived`);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true });
}
for (const what of failures) console.log(`FAILED: ${what}`);
process.exitCode = failures.length === 0 ? 0 : 1;
