// Who may use the queue: TLS, certificates, and each way to sign in, right and wrong. No secret is in a message or a log.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as client from '@nats-io/transport-node';
import { jetstreamTransport } from '../dist/jetstream/index.js';
import { makeCertificate } from '../world/network/certificate.mjs';
import { accountOf } from './accounts.mjs';
import { Checks, EVENT, event, never, quick, startRelay, until } from './lib.mjs';
import { startNats } from './server.mjs';

const folder = mkdtempSync(join(tmpdir(), 'cosmos-nats-access-'));
const checks = new Checks();
const { check } = checks;
const servers = [];

function file(name, text) {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
}

async function start(...args) {
  const nats = await startNats(args);
  servers.push(nats);
  return nats;
}

/** Everything that is logged, and the messages of errors. */
const said = [];
const logger = { debug: (text) => said.push(text), warn: (text) => said.push(text) };

/** An event goes through a relay, and one of a host through it, too. */
async function works(title, url, options) {
  const { ask, collector, end, relay } = await startRelay(url, { ...options, required: true }, { logger });
  const answer = await ask();
  const transport = jetstreamTransport({ ...quick, servers: url, ...options });
  const { kind } = await transport.send([event()], never);
  await until(() => collector.requests.length === 2);
  void transport.close();
  const { report, isBalanced } = await end(1000);
  check(
    answer[1].startsWith('accepted by the queue') && kind === 'sent' && report.sent === 2 && isBalanced && relay !== undefined,
    `${title}: an event of a client and one of a host are delivered`,
  );
}

/** Neither a relay nor a host may use the queue, and each says why. */
async function fails(title, url, options, { code, reason, cause }) {
  const error = await startRelay(url, { ...options, required: true }, { logger }).catch((caught) => caught);
  said.push(String(error.message));
  const transport = jetstreamTransport({ ...quick, servers: url, ...options });
  const outcome = await transport.send([event()], never);
  void transport.close();
  check(
    error.code === code && outcome.reason === reason && outcome.cause === cause,
    `${title}: ${error.code}, ${outcome.kind} ${outcome.reason} ${outcome.cause ?? ''}: ${error.message}`,
  );
}

/** Without `required` a relay starts, says why it has no queue, and counts what it loses. */
async function startsWithoutQueue(title, url, options, words) {
  const log = [];
  const relay = await startRelay(url, options, { logger: { debug: () => undefined, warn: (text) => log.push(text) } });
  said.push(...log);
  const answer = await relay.ask();
  const ready = await relay.ask('/readyz');
  const { report, isBalanced } = await relay.end(100);
  check(
    answer[1] === 'accepted in memory only' && ready[1].includes('cannot be reached') && log.some((line) => line.includes(words)),
    `${title}: a relay without \`required\` starts, and logs: ${log.find((line) => line.includes('queue_unreachable'))}`,
  );
  check(report.droppedBy.deadline === 1 && isBalanced, `${title}: what it had in memory is counted`);
}

const warnings = [];
process.on('warning', ({ message }) => warnings.push(message));

const UNAUTHORIZED = { code: 'unauthorized', reason: 'unauthorized' };
const UNTRUSTED = { code: 'unreachable', reason: 'connect', cause: 'tls_untrusted' };
const UNUSABLE = { code: 'credentials_unusable', reason: 'credentials_unusable' };
const seedOf = (pair) => Buffer.from(pair.getSeed()).toString();
const subjects = (...names) => `[${names.map((name) => `"${name}"`).join(', ')}]`;
const user = (name, publish, subscribe = '"_INBOX.>"') =>
  `{ user: ${name}, password: correct-horse, permissions: { publish: ${publish}, subscribe: ${subscribe} } }`;
const SECRETS = ['correct-horse', 'wrong-horse', 'right-token', 'wrong-token'];

try {
  const plain = await start();
  {
    const nats = await start('--user=relay', '--pass=correct:horse:correct-horse');
    const credentialsFile = file('user', 'relay:correct:horse:correct-horse\n');
    await works('user and password', nats.url, { credentialsFile });
    await works('user and password in `connection`', nats.url, { connection: { user: 'relay', pass: 'correct:horse:correct-horse' } });
    const wrong = { credentialsFile: file('user-wrong', 'relay:wrong-horse') };
    await fails('a wrong password', nats.url, wrong, UNAUTHORIZED);
    await fails('no password', nats.url, {}, UNAUTHORIZED);
    await startsWithoutQueue('a wrong password', nats.url, wrong, 'the queue cannot be used (unauthorized)');
    await fails('a file that is missing', nats.url, { credentialsFile: join(folder, 'missing') }, UNUSABLE);
    await fails('a file with a text', nats.url, { credentialsFile: file('text', 'correct-horse and\nmore') }, UNUSABLE);
    // A file that is replaced is read by the next connection.
    const replaced = file('replaced', 'relay:wrong-horse');
    const { ask, collector, end } = await startRelay(nats.url, { credentialsFile: replaced }, { logger });
    await ask();
    file('replaced', 'relay:correct:horse:correct-horse');
    await until(() => collector.requests.length === 1);
    check((await end(1000)).report.sent === 1, 'a file that is replaced: the relay comes to the queue by itself');
  }
  {
    const nats = await start('--auth=right-token');
    await works('a token', nats.url, { credentialsFile: file('token', 'right-token') });
    await fails('a wrong token', nats.url, { credentialsFile: file('token-wrong', 'wrong-token') }, UNAUTHORIZED);
  }
  {
    const [right, wrong] = [client.nkeys.createUser(), client.nkeys.createUser()];
    const config = file('nkey.conf', `authorization: { users: [ { nkey: ${right.getPublicKey()} } ] }`);
    const nats = await start('-c', config);
    SECRETS.push(seedOf(right), seedOf(wrong));
    await works('an nkey', nats.url, { credentialsFile: file('seed', `${seedOf(right)}\n`) });
    await fails('a wrong nkey', nats.url, { credentialsFile: file('seed-wrong', seedOf(wrong)) }, UNAUTHORIZED);
    // A letter in the middle, for two bits of the last one count for nothing.
    const damaged = seedOf(right).replace(/(?<=^.{20})./, (letter) => (letter === 'A' ? 'B' : 'A'));
    await fails('a damaged nkey', nats.url, { credentialsFile: file('seed-damaged', damaged) }, UNUSABLE);
  }
  {
    const account = accountOf();
    const nats = await start('-c', file('operator.conf', account.config));
    await works('credentials of an account', nats.url, { credentialsFile: file('relay.creds', account.credentials) });
    SECRETS.push(...account.secrets);
    await fails(
      'credentials of another operator',
      nats.url,
      { credentialsFile: file('other.creds', accountOf().credentials) },
      UNAUTHORIZED,
    );
    const expired = { credentialsFile: file('expired.creds', account.credentialsUntil(Math.floor(Date.now() / 1000) - 60)) };
    await fails('credentials that have expired', nats.url, expired, UNAUTHORIZED);
    const cut = account.credentials.slice(0, account.credentials.indexOf('BEGIN USER NKEY SEED'));
    await fails('credentials that end in the middle', nats.url, { credentialsFile: file('cut.creds', cut) }, UNUSABLE);
  }
  {
    // These are what docs/jetstream.md says that a relay and a host need.
    const relay = subjects(
      'COSMOS_TELEMETRY.events',
      '$JS.API.STREAM.*.COSMOS_TELEMETRY',
      '$JS.API.CONSUMER.*.COSMOS_TELEMETRY.relays',
      '$JS.API.CONSUMER.*.*.COSMOS_TELEMETRY.relays',
      '$JS.ACK.COSMOS_TELEMETRY.relays.>',
    );
    const ofEvents = subjects('COSMOS_TELEMETRY.events');
    const deaf = user('deaf', ofEvents, '{ deny: ">" }');
    const users = [user('relay', relay), user('host', ofEvents), user('nobody', subjects('other')), deaf];
    const nats = await start('-c', file('permissions.conf', `authorization: { users: [ ${users.join(', ')} ] }`));
    const as = (name) => ({ credentialsFile: file(name, `${name}:correct-horse`) });
    const { ask, collector, end } = await startRelay(nats.url, { ...as('relay'), required: true });
    const transport = jetstreamTransport({ ...quick, servers: nats.url, ...as('host') });
    await ask();
    const { kind } = await transport.send([event()], never);
    await until(() => collector.requests.length === 2);
    void transport.close();
    // It cannot receive the confirmation of what it publishes.
    const unheard = jetstreamTransport({ ...quick, servers: nats.url, ...as('deaf') });
    const unconfirmed = await unheard.send([event()], never);
    await until(() => collector.requests.length === 3);
    void unheard.close();
    const { report } = await end(1000);
    check(kind === 'sent' && report.sent === 3, 'the permissions of the documentation are enough');
    check(unconfirmed.outcomes?.[0]?.reason === 'unauthorized', 'a host that may not subscribe: its event fails, and is delivered');
    const outcome = await (async () => {
      const without = jetstreamTransport({ ...quick, servers: nats.url, ...as('nobody') });
      const first = await without.send([event()], never);
      void without.close();
      return first.outcomes?.[0] ?? first;
    })();
    check(outcome.reason === 'unauthorized', `a host without the permission: ${outcome.kind} ${outcome.reason}`);
    await startsWithoutQueue('a relay without permissions', nats.url, as('nobody'), 'the queue cannot be used (unauthorized)');
  }
  {
    const { authority, certificate, key } = makeCertificate(folder, { names: ['localhost'], addresses: ['127.0.0.1'] });
    const tls = ['--tls', `--tlscert=${certificate}`, `--tlskey=${key}`];
    const nats = await start(...tls);
    const byName = nats.url.replace('127.0.0.1', 'localhost');
    await works('TLS, by an address', nats.url, { caFile: authority });
    await works('TLS, by a name', byName, { caFile: authority });
    await works('TLS, by tls:// and `connection`', byName.replace('nats:', 'tls:'), { connection: { tls: { caFile: authority } } });
    await fails('TLS without its authority', byName, {}, UNTRUSTED);
    await startsWithoutQueue('TLS without its authority', byName, {}, 'the queue cannot be used (connect, tls_untrusted)');
    await fails('TLS with a file that is missing', byName, { caFile: join(folder, 'missing.pem') }, UNUSABLE);
    // Credentials would go in clear text to whoever answers.
    const NO_TLS = { code: 'unreachable', reason: 'connect', cause: 'tls' };
    await fails('a server without TLS where TLS is asked for', plain.url, { caFile: authority }, NO_TLS);
    await fails('a server without TLS at tls://', plain.url.replace('nats:', 'tls:'), {}, NO_TLS);
    await works('one of two servers without TLS', [plain.url, byName], { caFile: authority });
    const both = await start(...tls, '--tlsverify', `--tlscacert=${authority}`);
    await works('a certificate of the client', both.url, { caFile: authority, certFile: certificate, keyFile: key });
    const error = await startRelay(both.url, { caFile: authority, required: true }).catch((caught) => caught);
    check(error.code === 'unreachable', `a client without the certificate that is asked for: ${error.message}`);

    // The certificate of a server that has another name, and for an address, that of this machine.
    const elsewhere = mkdtempSync(join(folder, 'elsewhere-'));
    const other = makeCertificate(elsewhere, { names: ['localhost'], addresses: ['127.0.0.9'] });
    const misnamed = await start('--tls', `--tlscert=${other.certificate}`, `--tlskey=${other.key}`);
    await fails('a certificate of another address', misnamed.url, { caFile: other.authority }, UNTRUSTED);

    const ending = `
      import * as client from '@nats-io/transport-node';
      import { jetstreamTransport } from '../dist/jetstream/index.js';
      const transport = jetstreamTransport({ client, servers: '${nats.url}', caFile: '${authority}' });
      const event = { id: crypto.randomUUID(), type: 'dag_run', metrics: {}, requestTarget: () => '${EVENT}' };
      const { kind } = await transport.send([event], new AbortController().signal);
      process.on('exit', () => console.log(kind, performance.now() - sentAtMs < 50 ? 'ends' : 'is held'));
      const sentAtMs = performance.now();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', ending], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const overdue = setTimeout(() => child.kill('SIGKILL'), 10_000);
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    await once(child, 'close');
    clearTimeout(overdue);
    check(output === 'sent ends\n', `an idle connection with TLS holds no process (${output.trim()})`);
  }
  check(warnings.length === 0, `Node warns of nothing (${warnings.join()})`);
  const leaked = SECRETS.filter((secret) => said.some((text) => String(text).includes(secret)));
  check(said.length > 20 && leaked.length === 0, `${said.length} messages hold no secret of ${SECRETS.length}`);
} finally {
  for (const nats of servers) await nats.end();
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = checks.isFine ? 0 : 1;
