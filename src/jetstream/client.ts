/** The client of NATS: what is used of it, how it is loaded, and the options that name a server and a stream. */
import { checkOptions, givenOptions, integer, milliseconds, withMethods } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { given as valueOf } from '../base/foreign-values.js';

/**
 * The headers of a message.
 *
 * @example
 * const idOf = (headers: NatsHeaders) => headers.get('Nats-Msg-Id');
 */
export interface NatsHeaders {
  /** The status of a message of the server; 0 for any other. */
  readonly code: number;
  /** The value of a header; empty if it is missing. Never throws. */
  get(name: string): string;
  /** Sets a header. @throws For a name or a value with a line break. */
  set(name: string, value: string): void;
}

/**
 * A message of the server.
 *
 * @example
 * const textOf = (message: NatsMessage) => Buffer.from(message.data).toString();
 */
export interface NatsMessage {
  /** Its bytes. */
  readonly data: Uint8Array;
  /** Its headers, if it has any. */
  readonly headers?: NatsHeaders | undefined;
  /** Where an answer goes. For an event that is the subject of its acknowledgement. */
  readonly reply?: string | undefined;
}

/**
 * What is used of a connection. Those of `@nats-io/transport-node` 3 fit.
 *
 * @example
 * const isLarge = ({ info }: NatsConnection, bytes: number) => bytes > (info?.max_payload ?? Infinity);
 */
export interface NatsConnection {
  /** What the server says of itself. */
  readonly info?: { readonly max_payload: number } | undefined;
  /** Sends a message. @throws If it is too large, or the connection is closed. */
  publish(subject: string, payload?: string, options?: { headers?: NatsHeaders | undefined; reply?: string | undefined }): void;
  /** Sends a message and waits for its answer. @throws (rejects) If none comes in time, nobody listens, or the connection ends. */
  request(subject: string, payload?: string, options?: { headers?: NatsHeaders | undefined; timeout: number }): Promise<NatsMessage>;
  /** Takes the messages of a subject, until `drain()`. @throws If the connection is closed. */
  subscribe(subject: string, options: { callback: (error: Error | null, message: NatsMessage) => void }): { drain(): Promise<void> };
  /** Fulfils when the server has all that was sent. @throws (rejects) If the connection is closed. */
  flush(): Promise<void>;
  /** Fulfils when the connection is closed. Never rejects. */
  closed(): Promise<unknown>;
  /** Closes the connection. Never rejects. */
  close(): Promise<void>;
}

/**
 * What is used of the package `@nats-io/transport-node`.
 *
 * @example
 * const isClient = (value: Partial<NatsClient>) => typeof value.connect === 'function' && typeof value.headers === 'function';
 */
export interface NatsClient {
  /** Connects. The options are those of `connection`, with `servers` and a few of this package. @throws (rejects) If no server answers. */
  connect(options: Record<string, unknown>): Promise<NatsConnection>;
  /** Makes empty headers. Never throws. */
  headers(): NatsHeaders;
  /** Signs in by the text of a file of credentials. Needed for such a `credentialsFile` only. Never throws. */
  readonly credsAuthenticator?: ((credentials: Uint8Array) => unknown) | undefined;
  /** Signs in by the seed of an nkey. Needed for such a `credentialsFile` only. Never throws. */
  readonly nkeyAuthenticator?: ((seed: Uint8Array) => unknown) | undefined;
}

/**
 * Which stream holds the events. All relays and hosts that share it give the same values.
 *
 * @example
 * const options: JetstreamOptions = { servers: 'nats://nats.acme.example:4222', stream: 'TELEMETRY', replicas: 3 };
 */
export interface JetstreamOptions {
  /**
   * One or more servers of one cluster. If one begins with `tls://`, all must speak TLS.
   *
   * @default 'nats://127.0.0.1:4222'
   * @example ['nats://nats-0:4222', 'nats://nats-1:4222']
   */
  servers?: string | readonly string[] | undefined;
  /**
   * Further options for `connect()` of the client: `user`, `pass`, `token`, `tls`, `authenticator`. They are never logged.
   * @default none
   */
  connection?: object | undefined;
  /**
   * A file with what signs in: credentials of `nsc` (`.creds`), the seed of an nkey, `user:password`, or a token without a colon. It is
   * read for each connection, so a new one takes a file that was replaced. It is never logged.
   *
   * @default none
   * @example '/run/secrets/nats.creds'
   */
  credentialsFile?: string | undefined;
  /** A file in PEM with the authorities that the server's certificate may be from. The servers must speak TLS then. @default Node's own */
  caFile?: string | undefined;
  /** A file in PEM with a certificate for the server to check, with `keyFile`. The servers must speak TLS then. @default none */
  certFile?: string | undefined;
  /** The key of `certFile`, in PEM. @default none */
  keyFile?: string | undefined;
  /**
   * The stream. It is created if it is missing: letters, digits, `_` and `-`. Its events have the subject `STREAM.events`. @default
   * 'COSMOS_TELEMETRY'
   */
  stream?: string | undefined;
  /**
   * How many servers keep each event, if the stream is created. From 3 on an event that is confirmed survives the loss of one of them.
   * @default 1
   */
  replicas?: number | undefined;
  /**
   * Whether the server writes to the disk before it confirms (`sync_interval: always`, from NATS 2.10 on). No client can ask this, so say
   * `true` only if it is so: clients then get 204.
   * @default false
   */
  syncsAlways?: boolean | undefined;
  /** The time limit for a connect, in milliseconds. @default 5000 */
  connectTimeoutMs?: number | undefined;
  /** The time limit for the confirmation of an event, in milliseconds. It is asked for again after that. @default 5000 */
  publishTimeoutMs?: number | undefined;
  /**
   * The client of NATS, if your bundler must see its import.
   *
   * @default the package `@nats-io/transport-node`, loaded by `require`
   * @example import * as client from '@nats-io/transport-node';
   */
  client?: NatsClient | undefined;
}

/** The options with their defaults. */
export interface JetstreamSettings {
  readonly servers: readonly string[];
  readonly connection: object;
  readonly files: Pick<JetstreamOptions, 'credentialsFile' | 'caFile' | 'certFile' | 'keyFile'>;
  readonly stream: string;
  readonly replicas: number;
  readonly syncsAlways: boolean;
  readonly connectTimeoutMs: number;
  readonly publishTimeoutMs: number;
  readonly client: NatsClient;
}

/**
 * Why a stream cannot be used. `code` is `client_missing`, `unreachable`, `unauthorized`, `credentials_unusable` or `stream_unfit`.
 *
 * @example
 * const isHere = (error: unknown) => !(error instanceof JetstreamError) || error.code !== 'client_missing';
 */
export class JetstreamError extends Error {
  /** Its name. */
  override readonly name = 'JetstreamError';
  /** What is wrong. */
  readonly code: 'client_missing' | 'unreachable' | 'unauthorized' | 'credentials_unusable' | 'stream_unfit';

  /** @param message For a person. @internal */
  constructor(code: JetstreamError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const PACKAGE = '@nats-io/transport-node';

/** By `require`, which no bundler reads: the package is optional. CommonJS has no `import.meta.url`, but the name of its file. */
function loadClient(): NatsClient {
  const { createRequire } = process.getBuiltinModule('node:module');
  return createRequire(import.meta.url ?? __filename)(PACKAGE) as NatsClient;
}

/** @throws JetstreamError `client_missing`. @internal */
export function findClient(load: () => NatsClient = loadClient): NatsClient {
  try {
    return load();
  } catch (error) {
    throw new JetstreamError('client_missing', `cosmos-telemetry/jetstream needs the package ${PACKAGE}: npm install ${PACKAGE}@3`, {
      cause: error,
    });
  }
}

const DEFAULT_SERVER = 'nats://127.0.0.1:4222';
const SERVER = /^(?:(?:nats|tls):\/\/)?(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?\/?$/i;
const STREAM = /^[\w-]{1,64}$/;
const isServer = (value: unknown): boolean => typeof value === 'string' && SERVER.test(value);
const YES_OR_NO: Check = ['true or false', (value) => typeof value === 'boolean'];
const A_TIMEOUT = milliseconds(1, 3_600_000);
const A_FILE: Check = ['the path of a file', (value) => typeof value === 'string' && value !== '' && !value.includes('\0')];

const CHECKS: Checks<JetstreamOptions> = {
  servers: [
    'the address of a server without credentials, as in "nats://127.0.0.1:4222", or a list of them',
    (value) => isServer(value) || (Array.isArray(value) && value.length > 0 && value.every(isServer)),
  ],
  connection: ['an object', (value) => typeof value === 'object' && value !== null],
  credentialsFile: A_FILE,
  caFile: A_FILE,
  certFile: A_FILE,
  keyFile: A_FILE,
  stream: ['1 to 64 letters, digits or any of _ -', (value) => typeof value === 'string' && STREAM.test(value)],
  replicas: integer(1, 5),
  syncsAlways: YES_OR_NO,
  connectTimeoutMs: A_TIMEOUT,
  publishTimeoutMs: A_TIMEOUT,
  client: withMethods('connect', 'headers'),
};

/** The names of the options that a store and a transport share. */
const NAMES = Object.keys(CHECKS) as (keyof JetstreamOptions)[];

/**
 * Checks the shared options and those of `more`.
 *
 * @throws TypeError naming the option and its value; JetstreamError `client_missing`.
 */
export function checkJetstreamOptions<O extends JetstreamOptions>(
  name: string,
  given: O,
  more: Checks<Omit<O, keyof JetstreamOptions>>,
): { settings: JetstreamSettings; options: O } {
  // A credential would be in the message of an error.
  const checked = checkOptions<O>(name, withoutSecrets(given), { ...CHECKS, ...more } as unknown as Checks<O>);
  const { servers = DEFAULT_SERVER, connection = {}, stream = 'COSMOS_TELEMETRY', replicas = 1, syncsAlways = false } = checked;
  const { credentialsFile, caFile, certFile, keyFile } = checked;
  if ((certFile === undefined) !== (keyFile === undefined)) throw new TypeError('Expected `certFile` and `keyFile` together.');
  if (
    credentialsFile !== undefined &&
    SIGNING.some((option) => valueOf<Record<string, unknown>, string>({ ...connection }, option) !== undefined)
  )
    throw new TypeError('Expected `credentialsFile` or credentials in `connection`, and not both.');
  const { connectTimeoutMs = 5000, publishTimeoutMs = 5000, client = findClient() } = checked;
  const list = typeof servers === 'string' ? [servers] : [...servers];
  const files = { credentialsFile, caFile, certFile, keyFile };
  return {
    settings: { servers: list, connection, files, stream, replicas, syncsAlways, connectTimeoutMs, publishTimeoutMs, client },
    options: checked,
  };
}

/** The options of the client that sign in. */
const SIGNING = ['user', 'pass', 'token', 'authenticator'];

const FILES = ['credentialsFile', 'caFile', 'certFile', 'keyFile'] as const;

/** What is in a file, in place of its path: several lines, or the seed of an nkey. */
const CONTENT = /[\r\n]|^-----BEGIN|^SU[A-Z2-7]{56}$/;

function withoutSecrets<O extends JetstreamOptions>(options: O): O {
  if (typeof options !== 'object' || options === null) return options;
  const { servers, connection, ...files } = givenOptions<JetstreamOptions>(options, NAMES);
  const [misplaced] = Object.keys(givenOptions<Record<string, unknown>>(options as Record<string, unknown>, SIGNING));
  if (misplaced !== undefined) throw new TypeError(`Expected \`${misplaced}\` in a file, as \`credentialsFile\`, or in \`connection\`.`);
  if (typeof connection === 'string') throw new TypeError('Expected `connection` to be an object, got a string.');
  for (const option of FILES) {
    const path: unknown = files[option];
    if (typeof path === 'string' && CONTENT.test(path))
      throw new TypeError(`Expected \`${option}\` to be the path of a file, and not what is in it.`);
  }
  const texts: unknown[] = Array.isArray(servers) ? servers : [servers];
  if (texts.some((text) => typeof text === 'string' && text.includes('@')))
    throw new TypeError('Expected `servers` to hold no credentials: give them in a file, as `credentialsFile`.');
  return options;
}
