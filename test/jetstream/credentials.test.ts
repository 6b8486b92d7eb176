// Who may use the queue, on a stand-in of the client: `npm run test:jetstream` has real servers with TLS and accounts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';
import { JetstreamError, jetstreamStore, jetstreamTransport } from '../../src/jetstream/index.js';
import type { JetstreamOptions, SendOutcome, UsageEvent } from '../../src/jetstream/index.js';
import { StandInNats } from './stand-in-nats.js';
import { holdProcess } from '../helpers/hold-process.js';
import { proves } from '../helpers/promises.js';

holdProcess(test);

const folder = mkdtempSync(join(tmpdir(), 'cosmos-nats-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function file(text: string): string {
  files += 1;
  const path = join(folder, `${files}`);
  writeFileSync(path, text);
  return path;
}

const never = new AbortController().signal;
const event: UsageEvent = { id: 'a', type: 'dag_run', metrics: {}, requestTarget: () => '/v3/dag_run?status=success' };
const STREAM = { retention: 'workqueue', discard: 'new', subjects: ['COSMOS_TELEMETRY.events'], max_bytes: 2 ** 20 };

/** A client whose authenticators return what they were made of; a text with `damaged` is none. */
class SigningNats extends StandInNats {
  readonly #make = (kind: string) => (secret: Uint8Array) => () => {
    const text = Buffer.from(secret).toString();
    if (text.includes('damaged')) throw new Error(`unable to parse ${text}`);
    return { [kind]: text };
  };
  readonly credsAuthenticator = this.#make('credentials');
  readonly nkeyAuthenticator = this.#make('nkey');
}

async function send(client: StandInNats, options: JetstreamOptions): Promise<SendOutcome> {
  client.config = STREAM;
  const transport = jetstreamTransport({ client, connectTimeoutMs: 100, ...options });
  const outcome = await transport.send([event], never);
  await transport.close?.();
  return outcome;
}

const SENT = { kind: 'sent', handedOver: true };
const SEED = `SU${'A'.repeat(56)}`;
const CREDENTIALS = `-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${SEED}\n------END USER NKEY SEED------`;

test('a file with a user and a password, or a token, is what the client signs in with', async (t) => {
  for (const [text, expected] of [
    ['relay:secret\n', { user: 'relay', pass: 'secret' }],
    ['relay:se:cret\r\n', { user: 'relay', pass: 'se:cret' }],
    ['secret-token', { token: 'secret-token' }],
  ] as const) {
    const client = new StandInNats();
    t.deepEqual(await send(client, { credentialsFile: file(text) }), SENT);
    t.like(client.connects[0], expected);
    t.is(client.connects[0]?.['tls'], undefined);
  }
});

test('a file of credentials, or the seed of an nkey, is what the client signs with', async (t) => {
  for (const [text, expected] of [
    [CREDENTIALS, { credentials: `${CREDENTIALS}\n` }],
    [`${CREDENTIALS.replaceAll('\n', '\r\n')}\r\n`, { credentials: `${CREDENTIALS}\n` }],
    [`${SEED}\n`, { nkey: SEED }],
    [`-----BEGIN USER NKEY SEED-----\n${SEED}\n------END USER NKEY SEED------\n`, { nkey: SEED }],
  ] as const) {
    const client = new SigningNats();
    t.deepEqual(await send(client, { credentialsFile: file(text) }), SENT);
    const { authenticator } = client.connects[0] as { authenticator: () => unknown };
    t.deepEqual(authenticator(), expected);
  }
});

test(proves('queue-access', 'a file that cannot be used is an error that names it, and nothing of what is in it'), async (t) => {
  const damaged = CREDENTIALS.replace('eyJ0', 'damaged-secret');
  for (const [options, words] of [
    [{ credentialsFile: join(folder, 'missing') }, /missing \(`credentialsFile`\) cannot be read: ENOENT$/],
    [{ credentialsFile: folder }, /\(`credentialsFile`\) cannot be read: EISDIR$/],
    [{ credentialsFile: file('  \n') }, /\(`credentialsFile`\) holds no credentials/],
    [{ credentialsFile: file('a secret\nin lines') }, /\(`credentialsFile`\) holds no credentials/],
    [{ credentialsFile: file(damaged) }, /\(`credentialsFile`\) holds credentials that the client of NATS cannot use$/],
    [{ caFile: join(folder, 'missing') }, /missing \(`caFile`\) cannot be read: ENOENT$/],
    [{ certFile: folder, keyFile: join(folder, 'missing') }, /cannot be read/],
  ] as const) {
    const client = new SigningNats();
    t.deepEqual(await send(client, options), { kind: 'rejected', reason: 'credentials_unusable' });
    t.is(client.connects.length, 0);
    const log: string[] = [];
    const store = jetstreamStore({ client, ...options })({
      maxBytes: 2 ** 20,
      maxAgeMs: 60_000,
      clock: systemClock,
      log: { debug: () => undefined, warn: (_, text) => void log.push(text) },
      admit: (target) => target,
      onStored: () => undefined,
      onReady: () => undefined,
      onUnreadable: () => undefined,
    });
    const error = await t.throwsAsync(store, { instanceOf: JetstreamError, message: words });
    t.is(error.code, 'credentials_unusable');
    t.false([...log, error.message].join('\n').includes('secret'));
  }
  // A client that is handed over may lack the method.
  t.deepEqual(await send(new StandInNats(), { credentialsFile: file(CREDENTIALS) }), { kind: 'rejected', reason: 'credentials_unusable' });
});

test('a file is read for each connection', async (t) => {
  const client = new StandInNats();
  client.config = STREAM;
  const credentialsFile = file('old');
  const transport = jetstreamTransport({ client, credentialsFile });
  await transport.send([event], never);
  writeFileSync(credentialsFile, 'new');
  client.cut();
  await transport.send([event], never);
  t.deepEqual(
    client.connects.map(({ token }) => token),
    ['old', 'new'],
  );
  await transport.close?.();
});

test(
  proves('queue-access', 'with tls:// or a file of TLS each server must speak TLS, and the certificate is for its address'),
  async (t) => {
    const caFile = file('authority');
    const [certFile, keyFile] = [file('certificate'), file('key')];
    const ca = [Buffer.from('authority')];
    for (const [options, expected] of [
      [{ servers: 'tls://nats.acme.example:4222' }, {}],
      [{ servers: 'nats://nats.acme.example', caFile }, { ca }],
      [
        { servers: '127.0.0.1:4222', caFile },
        { ca, host: '127.0.0.1' },
      ],
      [{ servers: 'TLS://[::1]:4222' }, { host: '::1' }],
      [
        { servers: 'nats.acme.example', certFile, keyFile },
        { cert: Buffer.from('certificate'), key: Buffer.from('key') },
      ],
      [{ servers: '127.0.0.1', connection: { tls: { host: 'nats.acme.example' } } }, { host: 'nats.acme.example' }],
      [{ servers: '127.0.0.1', connection: { tls: null } }, null],
      [{ servers: '127.0.0.1' }, undefined],
    ] as const) {
      const client = new StandInNats();
      t.deepEqual(await send(client, options), SENT);
      t.deepEqual(client.connects[0]?.['tls'], expected);
    }
  },
);

test('with TLS the servers are tried one by one, and the last failure is the outcome', async (t) => {
  const client = new StandInNats();
  client.mode = 'unauthorized';
  const servers = ['tls://10.0.0.1', 'tls://10.0.0.2'];
  t.deepEqual(await send(client, { servers }), { kind: 'rejected', reason: 'unauthorized' });
  const tried = client.connects.flatMap((options) => options['servers']);
  t.true(tried.length === 2 && servers.every((server) => tried.includes(server)), tried.join(' '));
  client.mode = 'untrusted';
  t.deepEqual(await send(client, { servers }), { kind: 'retryable', reason: 'connect', cause: 'tls_untrusted' });
  client.mode = 'plain';
  t.deepEqual(await send(client, { servers }), { kind: 'retryable', reason: 'connect', cause: 'tls' });
});

test('options that contradict each other are refused', (t) => {
  const client = new StandInNats();
  t.throws(() => jetstreamStore({ client, certFile: '/a' }), { instanceOf: TypeError, message: /`certFile` and `keyFile` together/ });
  t.throws(() => jetstreamStore({ client, keyFile: '/a' }), { instanceOf: TypeError, message: /`certFile` and `keyFile` together/ });
  t.throws(() => jetstreamStore({ client, caFile: '' }), { instanceOf: TypeError, message: /`caFile` to be the path of a file, got ""/ });
  for (const name of ['user', 'token', 'authenticator']) {
    const error = t.throws(() => jetstreamTransport({ client, credentialsFile: '/a', connection: { [name]: 'secret' } }), {
      instanceOf: TypeError,
      message: /`credentialsFile` or credentials in `connection`/,
    });
    t.false(error.message.includes('secret'));
  }
});

test(proves('queue-access', 'a credential that is given where it does not belong is in no message'), (t) => {
  const client = new StandInNats();
  for (const [option, content] of [
    ['credentialsFile', CREDENTIALS],
    ['credentialsFile', SEED],
    ['credentialsFile', 'me:secret\n'],
    ['keyFile', '-----BEGIN PRIVATE KEY-----\nsecret'],
    ['caFile', '-----BEGIN CERTIFICATE-----secret'],
    ['certFile', 'secret\r'],
  ] as const) {
    t.throws(() => jetstreamStore({ client, certFile: 'a', keyFile: 'b', [option]: content }), {
      instanceOf: TypeError,
      message: `Expected \`${option}\` to be the path of a file, and not what is in it.`,
    });
  }
  for (const option of ['user', 'pass', 'token', 'authenticator'])
    t.throws(() => jetstreamTransport({ client, [option]: 'secret' }), {
      instanceOf: TypeError,
      message: `Expected \`${option}\` in a file, as \`credentialsFile\`, or in \`connection\`.`,
    });
  t.throws(() => jetstreamTransport({ client, connection: 'me:secret' as unknown as object }), {
    instanceOf: TypeError,
    message: 'Expected `connection` to be an object, got a string.',
  });
});
