import { parseArgs } from 'node:util';
import { RELAY_DEFAULTS, DEFAULT_DRAIN_DEADLINE_MS, DEFAULT_LISTEN } from '../relay/options.js';
import type { RelayOptions } from '../relay/options.js';
import { LOG_LEVELS } from '../relay/log-lines.js';
import type { LogLevel } from '../relay/log-lines.js';
import { shorten } from '../settings/rules.js';
import { usage } from './command-line.js';

/** What somebody typed after `relay`, understood. */
export interface RelayCommandLine {
  readonly wantsHelp: boolean;
  readonly options: RelayOptions;
  /** Where the secret prefix stands, if it is not among the options. */
  readonly prefixFile: string | undefined;
  readonly drainDeadlineMs: number;
  readonly logLevel: LogLevel;
}

/** One flag: the option that it sets, how its value is shown in the help, and what it means. */
interface Flag {
  readonly key: keyof RelayOptions | 'prefixFile' | 'drainDeadlineMs' | 'logLevel' | 'help';
  readonly value: '' | 'TEXT' | 'HOST:PORT' | 'URL' | 'DIR' | 'NAME' | 'N' | 'BYTES' | 'MS' | 'SECRET' | 'FILE' | 'LEVEL';
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
  ['listen', { key: 'listen', value: 'HOST:PORT', about: `where it listens; port 0 takes a free one (${DEFAULT_LISTEN})` }],
  ['forward', { key: 'forward', value: 'URL', about: "where events go (Cosmos' own endpoint)" }],
  ['spool', { key: 'spool', value: 'DIR', about: 'the directory that keeps events until they are delivered (memory alone)' }],
  ['allow-remote', { key: 'allowRemote', value: '', about: 'listen where other machines can reach it' }],
  ['allowed-host', { key: 'allowedHosts', value: 'NAME', about: 'a name that clients may address it by; may be given again', isList: true }],
  ['prefix', { key: 'prefix', value: 'SECRET', about: 'a secret path before every other' }],
  ['prefix-file', { key: 'prefixFile', value: 'FILE', about: 'the same from a file, since other users of the machine can see what is typed' }],
  ['metrics-listen', { key: 'metricsListen', value: 'HOST:PORT', about: 'an address of their own for /metrics, /healthz and /readyz' }],
  ['verbatim', { key: 'verbatim', value: '', about: 'forward every field and every event, declared or not' }],
  ['max-spool-bytes', limit('maxSpoolBytes', 'BYTES', 'the most that waiting events may take')],
  ['max-age-ms', limit('maxAgeMs', 'MS', 'how long an event may wait')],
  ['max-events-per-second', limit('maxEventsPerSecond', 'N', 'how many events are taken in a second')],
  ['max-connections', limit('maxConnections', 'N', 'how many connections there may be')],
  ['headers-timeout-ms', limit('headersTimeoutMs', 'MS', 'how long the head of a request may take')],
  ['request-timeout-ms', limit('requestTimeoutMs', 'MS', 'how long a whole request may take')],
  ['keep-alive-timeout-ms', limit('keepAliveTimeoutMs', 'MS', 'how long a connection may be idle')],
  ['concurrency', limit('concurrency', 'N', 'how many events are sent at a time')],
  ['drain-concurrency', limit('drainConcurrency', 'N', 'the same while it stops')],
  ['connect-timeout-ms', limit('connectTimeoutMs', 'MS', 'how long a connection to the endpoint may take')],
  ['attempt-timeout-ms', limit('attemptTimeoutMs', 'MS', 'how long an attempt to send may take')],
  ['backoff-ms', limit('backoffMs', 'MS', 'the longest first wait after a failure; it doubles')],
  ['max-backoff-ms', limit('maxBackoffMs', 'MS', 'the longest wait of all')],
  ['allowed-redirect-host', { key: 'allowedRedirectHosts', value: 'NAME', about: 'a host that the endpoint may redirect to; may be given again', isList: true }],
  ['proxy', { key: 'proxy', value: 'URL', about: "a proxy to the endpoint (the environment's)" }],
  ['no-proxy', { key: 'proxy', value: '', about: 'no proxy, whatever the environment says' }],
  ['drain-deadline', { key: 'drainDeadlineMs', value: 'MS', about: `how long it goes on delivering when it stops (${DEFAULT_DRAIN_DEADLINE_MS})` }],
  ['log-level', { key: 'logLevel', value: 'LEVEL', about: `${LOG_LEVELS.join(', ')} (info)` }],
  ['help', { key: 'help', value: '', about: 'show this' }],
]);

const NUMBERS: ReadonlySet<Flag['value']> = new Set(['N', 'BYTES', 'MS']);

/** Milliseconds, unless a unit stands behind. */
const NUMBER = /^(\d{1,15})(ms|s|m|h)?$/;
const UNITS: ReadonlyMap<string, number> = new Map([['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000]]);

/** @throws CliFailure for an unknown flag, a value that is missing or none, with the name of what was not understood. */
export function parseRelayFlags(args: readonly string[], program: string): RelayCommandLine {
  const command = `${program} relay`;
  const types = Object.fromEntries([...RELAY_FLAGS].map(([name, { value }]) => [name, { type: value === '' ? 'boolean' : 'string' } as const]));
  const { tokens } = parseArgs({ args: [...args], options: { ...types, help: { type: 'boolean', short: 'h' } }, strict: false, allowPositionals: true, tokens: true });
  const given: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') throw usage(`relay does not take ${shorten(token.value)}`, command);
    if (token.kind !== 'option') continue;
    const flag = RELAY_FLAGS.get(token.name);
    if (flag === undefined) throw usage(`unknown option ${shorten(token.rawName)}`, command);
    const { key, isList } = flag;
    const value = valueOf(token.name, flag, token.value, command);
    given[key] = isList === true ? [...((given[key] as string[] | undefined) ?? []), value] : value;
  }
  const { help, drainDeadlineMs = DEFAULT_DRAIN_DEADLINE_MS, logLevel = 'info', prefixFile, ...options } = given;
  if (prefixFile !== undefined && options['prefix'] !== undefined) throw usage('relay takes --prefix or --prefix-file, and not both', command);
  return {
    wantsHelp: help === true,
    options,
    prefixFile: prefixFile as string | undefined,
    drainDeadlineMs: drainDeadlineMs as number,
    logLevel: logLevel as LogLevel,
  };
}

function valueOf(name: string, { value: kind }: Flag, text: string | undefined, command: string): unknown {
  if (kind === '') {
    if (text !== undefined) throw usage(`option --${name} takes no value`, command);
    return name !== 'no-proxy';
  }
  if (text === undefined || text === '') throw usage(`option --${name} needs a value`, command);
  if (kind === 'LEVEL' && !(LOG_LEVELS as readonly string[]).includes(text)) throw usage(`option --${name} is one of ${LOG_LEVELS.join(', ')}`, command);
  if (!NUMBERS.has(kind)) return text;
  const [, digits, unit = 'ms'] = NUMBER.exec(text) ?? [];
  if (digits === undefined || (kind !== 'MS' && unit !== 'ms')) throw usage(`option --${name} needs a number, got ${shorten(text)}`, command);
  return Number(digits) * (UNITS.get(unit) ?? 1);
}
