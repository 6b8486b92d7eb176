/*
 * The command `relay`: its flags, and a relay that runs until a signal.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.js';
import { DEFAULT_LISTEN } from '../base/constants.js';
import { errorCode, shorten } from '../base/describe.js';
import { jetstreamStore } from '../jetstream/index.js';
import type { JetstreamStoreOptions } from '../jetstream/index.js';
import { createRelay } from '../relay/index.js';
import type { Relay } from '../relay/index.js';
import { jsonLines, LOG_LEVELS } from '../relay/log.js';
import type { LogLevel } from '../relay/log.js';
import { DEFAULT_DRAIN_DEADLINE_MS, RELAY_DEFAULTS } from '../relay/options.js';
import type { RelayOptions } from '../relay/options.js';
import { usageError } from './command.js';
import { CliFailure, EXIT, LIMITS } from './exit-codes.js';
import { endOf, readPrefix } from './service.js';
import { columns, TEXT_WIDTH, writeTo } from './terminal.js';
import type { CliIo } from './terminal.js';

/**
 * Runs a relay until SIGTERM or SIGINT, then delivers events until the drain deadline and leaves the rest in the spool. Not for
 * embedding: it installs signal handlers, since it owns the process.
 *
 * @returns The exit code.
 * @throws CliFailure for wrong arguments, and if the machine refuses the address or the spool.
 */
export async function runRelay(args: readonly string[], io: CliIo, program: string): Promise<number> {
  const { stdout = process.stdout, stderr = process.stderr, env = process.env } = io;
  const { wantsHelp, options, jetstream, prefixFile, drainDeadlineMs, logLevel } = parseRelayFlags(args, program);
  if (wantsHelp) {
    await writeTo(stdout, helpText(program));
    return EXIT.ok;
  }
  const logger = jsonLines((line) => void writeTo(stderr, line), logLevel, systemClock);
  const prefix = prefixFile === undefined ? options.prefix : await readPrefix(prefixFile);
  const relay = create(() => createRelay({ ...options, ...(jetstream && { store: jetstreamStore(jetstream) }), prefix, env, logger }));
  // Before it listens: a signal during the start counts, too.
  const end = endOf(process);
  try {
    const { url } = await relay.listen().catch((error: unknown) => {
      throw new CliFailure(describeFailure(error));
    });
    await writeTo(stderr, `listening on ${url}\n`);
    await end.signalled;
  } finally {
    end.forget();
    await relay.close({ deadlineMs: drainDeadlineMs });
  }
  return EXIT.ok;
}

function create(make: () => Relay): Relay {
  try {
    return make();
  } catch (error) {
    throw new CliFailure(describeFailure(error), EXIT.usage);
  }
}

/** Messages for the errors of listening. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'the address is in use'],
  ['EADDRNOTAVAIL', 'the address does not belong to this machine'],
  ['EACCES', 'permission denied for the address or the directory'],
  ['ENOTFOUND', 'the host name to listen on cannot be resolved'],
  ['EAI_AGAIN', 'the host name to listen on cannot be resolved now: the name server does not answer'],
  ['EPERM', 'a rule of this machine forbids to listen (a sandbox, or a filter of system calls)'],
  ['EAFNOSUPPORT', 'the machine, or its sandbox, does not have this kind of address'],
]);

/** Errors whose messages are ours and can be shown. */
const OWN: ReadonlySet<string> = new Set(['TypeError', 'SpoolError', 'JetstreamError']);

/** Why a relay could not be created or started, in one line. */
export function describeFailure(error: unknown): string {
  if (error instanceof Error && OWN.has(error.name)) return error.message;
  const code = errorCode(error);
  return `the relay cannot start: ${WORDS.get(code) ?? LIMITS.get(code) ?? code}`;
}

/** The parsed arguments after `relay`. */
interface RelayCommandLine {
  readonly wantsHelp: boolean;
  readonly options: RelayOptions;
  /** The queue that keeps the events, in place of a spool. */
  readonly jetstream: JetstreamStoreOptions | undefined;
  /** The file with the secret prefix, if there is one. */
  readonly prefixFile: string | undefined;
  readonly drainDeadlineMs: number;
  readonly logLevel: LogLevel;
}

/** One flag: the option that it sets, its value as the help shows it, and its meaning. */
interface Flag {
  readonly key:
    | keyof RelayOptions
    | 'jetstream'
    | 'jetstreamStream'
    | 'jetstreamReplicas'
    | 'jetstreamCredentials'
    | 'jetstreamCa'
    | 'jetstreamCert'
    | 'jetstreamKey'
    | 'prefixFile'
    | 'drainDeadlineMs'
    | 'logLevel'
    | 'help';
  readonly value: '' | 'TEXT' | 'HOST:PORT' | 'URL' | 'DIR' | 'NAME' | 'N' | 'BYTES' | 'MS' | 'SECRET' | 'FILE' | 'LEVEL' | 'KIND';
  readonly about: string;
  readonly isList?: true;
}

const limit = (key: keyof typeof RELAY_DEFAULTS, value: Flag['value'], about: string): Flag => ({
  key,
  value,
  about: `${about} (${RELAY_DEFAULTS[key]})`,
});

/** Every flag, in the order of the help. */
export const RELAY_FLAGS: ReadonlyMap<string, Flag> = new Map<string, Flag>([
  ['listen', { key: 'listen', value: 'HOST:PORT', about: `address to listen on; port 0 takes a free one (${DEFAULT_LISTEN})` }],
  ['forward', { key: 'forward', value: 'URL', about: "endpoint that gets the events (Cosmos' own endpoint)" }],
  ['forward-kind', { key: 'forwardKind', value: 'KIND', about: 'how it gets them: cosmos, or ndjson in batches (cosmos)' }],
  [
    'forward-dag-factory',
    {
      key: 'forwardDagFactory',
      value: 'URL',
      about: "endpoint that gets DAG Factory's events (its own endpoint, if --forward is left out)",
    },
  ],
  ['spool', { key: 'spool', value: 'DIR', about: 'directory that stores events until they are delivered (memory only)' }],
  ['spool-required', { key: 'spoolRequired', value: '', about: 'do not start while the directory of --spool cannot be used' }],
  [
    'jetstream',
    { key: 'jetstream', value: 'URL', about: 'server of NATS whose queue stores events, shared with other relays', isList: true },
  ],
  ['jetstream-stream', { key: 'jetstreamStream', value: 'NAME', about: 'stream of that queue (COSMOS_TELEMETRY)' }],
  ['jetstream-replicas', { key: 'jetstreamReplicas', value: 'N', about: 'servers that keep each event, if the stream is created (1)' }],
  [
    'jetstream-credentials',
    { key: 'jetstreamCredentials', value: 'FILE', about: 'file of credentials, an nkey, user:password, or a token' },
  ],
  ['jetstream-ca', { key: 'jetstreamCa', value: 'FILE', about: "authorities in PEM for the server's certificate; TLS is required" }],
  ['jetstream-cert', { key: 'jetstreamCert', value: 'FILE', about: 'certificate in PEM that the server checks; TLS is required' }],
  ['jetstream-key', { key: 'jetstreamKey', value: 'FILE', about: 'key of that certificate' }],
  ['allow-remote', { key: 'allowRemote', value: '', about: 'allow an address that other machines can reach' }],
  ['allowed-host', { key: 'allowedHosts', value: 'NAME', about: 'host name that clients may use; repeatable', isList: true }],
  ['prefix', { key: 'prefix', value: 'SECRET', about: 'secret first part of every path' }],
  ['prefix-file', { key: 'prefixFile', value: 'FILE', about: 'file with the prefix; other users can see a command line' }],
  [
    'metrics-listen',
    { key: 'metricsListen', value: 'HOST:PORT', about: 'separate address for the page, /metrics, /statusz, /healthz and /readyz' },
  ],
  ['show-events', { key: 'showEvents', value: '', about: 'the page shows the last 50 events with their fields' }],
  ['verbatim', { key: 'verbatim', value: '', about: 'forward every event and field, also undeclared ones' }],
  ['max-spool-bytes', limit('maxSpoolBytes', 'BYTES', 'largest size of the pending events')],
  ['max-age-ms', limit('maxAgeMs', 'MS', 'longest time that an event may be pending')],
  ['max-events-per-second', limit('maxEventsPerSecond', 'N', 'most events accepted per second')],
  ['max-connections', limit('maxConnections', 'N', 'most connections at a time')],
  ['headers-timeout-ms', limit('headersTimeoutMs', 'MS', 'time limit for the headers of a request')],
  ['request-timeout-ms', limit('requestTimeoutMs', 'MS', 'time limit for a whole request')],
  ['keep-alive-timeout-ms', limit('keepAliveTimeoutMs', 'MS', 'longest time that a connection may be idle')],
  ['concurrency', limit('concurrency', 'N', 'most events in flight')],
  ['drain-concurrency', limit('drainConcurrency', 'N', 'the same during shutdown')],
  ['connect-timeout-ms', limit('connectTimeoutMs', 'MS', 'time limit for each step of a connection to the endpoint')],
  ['attempt-timeout-ms', limit('attemptTimeoutMs', 'MS', 'time limit for an attempt to send')],
  ['backoff-ms', limit('backoffMs', 'MS', 'longest first wait after a failure; doubles each time')],
  ['max-backoff-ms', limit('maxBackoffMs', 'MS', 'longest wait after a failure')],
  ['spread-ms', limit('spreadMs', 'MS', 'longest random delay of an event, so that many relays do not send at once')],
  [
    'allowed-redirect-host',
    { key: 'allowedRedirectHosts', value: 'NAME', about: 'host that the endpoint may redirect to; repeatable', isList: true },
  ],
  ['proxy', { key: 'proxy', value: 'URL', about: "proxy to the endpoint (the environment's)" }],
  ['no-proxy', { key: 'proxy', value: '', about: 'use no proxy, even if the environment sets one' }],
  ['drain-deadline', { key: 'drainDeadlineMs', value: 'MS', about: `how long shutdown may deliver events (${DEFAULT_DRAIN_DEADLINE_MS})` }],
  ['log-level', { key: 'logLevel', value: 'LEVEL', about: `${LOG_LEVELS.join(', ')} (info)` }],
  ['help', { key: 'help', value: '', about: 'show this help' }],
]);

const NUMBERS: ReadonlySet<Flag['value']> = new Set(['N', 'BYTES', 'MS']);

/** Milliseconds, unless a unit follows. */
const NUMBER = /^(\d{1,15})(ms|s|m|h)?$/;
const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** @throws CliFailure that names an unknown flag, or a missing or wrong value. */
export function parseRelayFlags(args: readonly string[], program: string): RelayCommandLine {
  const command = `${program} relay`;
  const types = Object.fromEntries(
    [...RELAY_FLAGS].map(([name, { value }]) => [name, { type: value === '' ? 'boolean' : 'string' } as const]),
  );
  const { tokens } = parseArgs({
    args: [...args],
    options: { ...types, help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') throw usageError(`relay does not take ${shorten(token.value)}`, command);
    if (token.kind !== 'option') continue;
    const flag = RELAY_FLAGS.get(token.name);
    if (flag === undefined) throw usageError(`unknown option ${shorten(token.rawName)}`, command);
    const { key, isList } = flag;
    const value = valueOf(token.name, flag, token.value, command);
    given[key] = isList === true ? [...((given[key] as string[] | undefined) ?? []), value] : value;
  }
  const { help, drainDeadlineMs = DEFAULT_DRAIN_DEADLINE_MS, logLevel = 'info', prefixFile, ...others } = given;
  const { jetstream: servers, jetstreamStream: stream, jetstreamReplicas: replicas, jetstreamCredentials, ...rest } = others;
  const { jetstreamCa: caFile, jetstreamCert: certFile, jetstreamKey: keyFile, ...options } = rest;
  const jetstream = { servers, stream, replicas, credentialsFile: jetstreamCredentials, caFile, certFile, keyFile };
  if (servers === undefined && Object.values(jetstream).some((value) => value !== undefined))
    throw usageError('the options --jetstream-... need --jetstream', command);
  if ((certFile === undefined) !== (keyFile === undefined))
    throw usageError('--jetstream-cert and --jetstream-key need each other', command);
  if (servers !== undefined && options['spool'] !== undefined)
    throw usageError('relay takes --jetstream or --spool, and not both', command);
  if (prefixFile !== undefined && options['prefix'] !== undefined)
    throw usageError('relay takes --prefix or --prefix-file, and not both', command);
  return {
    wantsHelp: help === true,
    options,
    jetstream: servers === undefined ? undefined : (jetstream as JetstreamStoreOptions),
    prefixFile: prefixFile as string | undefined,
    drainDeadlineMs: drainDeadlineMs as number,
    logLevel: logLevel as LogLevel,
  };
}

function valueOf(name: string, { value: kind }: Flag, text: string | undefined, command: string): unknown {
  if (kind === '') {
    if (text !== undefined) throw usageError(`option --${name} takes no value`, command);
    return name !== 'no-proxy';
  }
  if (text === undefined || text === '') throw usageError(`option --${name} needs a value`, command);
  if (kind === 'LEVEL' && !(LOG_LEVELS as readonly string[]).includes(text))
    throw usageError(`option --${name} is one of ${LOG_LEVELS.join(', ')}`, command);
  if (!NUMBERS.has(kind)) return text;
  const [, digits, unit = 'ms'] = NUMBER.exec(text) ?? [];
  if (digits === undefined || (kind !== 'MS' && unit !== 'ms'))
    throw usageError(`option --${name} needs a number, got ${shorten(text)}`, command);
  return Number(digits) * (UNITS.get(unit) ?? 1);
}

const MAX_FLAG_WIDTH = 30;

function helpText(program: string): string {
  const rows = [...RELAY_FLAGS].map(([name, { value, about }]) => [`--${name}${value === '' ? '' : ` ${value}`}`, about] as const);
  const lines = [
    `Usage: ${program} relay [options]`,
    `       ${program} relay status [URL] [options]`,
    '',
    "Receive Cosmos' usage events on loopback, answer each at once, store it on disk, and deliver it later.",
    '`relay status` shows whether a running relay delivers; it has a help of its own.',
    '',
    'Options:',
    ...columns(rows, [MAX_FLAG_WIDTH], TEXT_WIDTH, '  '),
    '',
    'Milliseconds may have a unit: 500ms, 5s, 2m, 24h. SIGTERM or SIGINT shuts the relay down in order; a',
    'second one ends it at once.',
    'If telemetry is off, it discards every event. Its address in a browser is a page that says whether it',
    'delivers; with --metrics-listen, that address.',
    '',
    'Exit codes:',
    '  0  shut down in order',
    '  1  failure: the address or the spool cannot be used',
    '  2  usage error: unknown or wrong option',
  ];
  return lines.map((line) => `${line}\n`).join('');
}
