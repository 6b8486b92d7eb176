/**
 * The files of credentials and certificates. They are read for each connection, so that a new one takes what replaced them. What is in
 * them is in no message.
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { placeName, readProblem } from '../base/describe.js';
import { given } from '../base/foreign-values.js';
import { bareHost } from '../wire/host.js';
import { JetstreamError } from './client.js';
import type { JetstreamSettings, NatsClient } from './client.js';

/** What is given to the client to connect. */
export interface Access {
  readonly options: Record<string, unknown>;
  /** Set if the servers must speak TLS. */
  readonly tls: Record<string, unknown> | undefined;
}

/** @throws (rejects) JetstreamError `credentials_unusable`. */
export async function readAccess(settings: JetstreamSettings): Promise<Access> {
  const { client, connection, files } = settings;
  const [credentials, ca, cert, key] = await Promise.all([
    read('credentialsFile', files.credentialsFile),
    read('caFile', files.caFile),
    read('certFile', files.certFile),
    read('keyFile', files.keyFile),
  ]);
  const tls = given<{ tls?: unknown }, 'tls'>(connection, 'tls');
  return {
    options: {
      ...connection,
      ...(credentials !== undefined &&
        authenticationBy(credentials.toString().replaceAll('\r\n', '\n').trim(), client, files.credentialsFile)),
    },
    tls: mustEncrypt(settings)
      ? { ...(typeof tls === 'object' ? tls : undefined), ...(ca && { ca: [ca] }), ...(cert && { cert }), ...(key && { key }) }
      : undefined,
  };
}

/** The client takes `tls://` for `nats://`, and connects without TLS if the server offers none. */
function mustEncrypt({ connection, files, servers }: JetstreamSettings): boolean {
  const { caFile, certFile } = files;
  const tls = given<{ tls?: unknown }, 'tls'>(connection, 'tls');
  return (
    caFile !== undefined || certFile !== undefined || servers.some((each) => /^tls:/i.test(each)) || (tls !== undefined && tls !== null)
  );
}

/** The options of TLS for one server: for an address the client would compare the certificate with `localhost`. */
export function tlsFor(server: string, tls: Record<string, unknown>): Record<string, unknown> {
  const address = bareHost(new URL(server.includes('://') ? server : `nats://${server}`).hostname);
  return isIP(address) === 0 ? tls : { host: address, ...tls };
}

async function read(option: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw unusable(path, `(\`${option}\`) cannot be read: ${readProblem(error).why}`);
  }
}

const CREDENTIALS = '-----BEGIN NATS USER JWT-----';
const SEED = /^SU[A-Z2-7]{56}$/m;

function authenticationBy(text: string, client: NatsClient, path = ''): Record<string, unknown> {
  const seed = SEED.exec(text)?.[0];
  // The client takes no line for the last one that does not end.
  if (text.includes(CREDENTIALS)) return { authenticator: checked(client.credsAuthenticator?.(Buffer.from(`${text}\n`)), path) };
  if (seed !== undefined) return { authenticator: checked(client.nkeyAuthenticator?.(Buffer.from(seed)), path) };
  if (text === '' || /\s/.test(text)) throw unusable(path, KINDS);
  const colonAt = text.indexOf(':');
  return colonAt === -1 ? { token: text } : { user: text.slice(0, colonAt), pass: text.slice(colonAt + 1) };
}

const KINDS = '(`credentialsFile`) holds no credentials, no seed of an nkey, no user:password and no token';

/** Inside of the client a file that is damaged would end a connect without a word. */
function checked(authenticator: unknown, path: string): unknown {
  try {
    if (typeof authenticator !== 'function') throw new TypeError('no such method');
    authenticator('nonce');
    return authenticator;
  } catch {
    throw unusable(path, '(`credentialsFile`) holds credentials that the client of NATS cannot use');
  }
}

function unusable(path: string, what: string): JetstreamError {
  return new JetstreamError('credentials_unusable', `the file ${placeName(path, undefined)} ${what}`);
}
