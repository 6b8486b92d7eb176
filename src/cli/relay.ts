import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.js';
import { placeName, readProblem, shorten } from '../base/describe.js';
import { createRelay } from '../relay/index.js';
import type { Relay } from '../relay/index.js';
import { jsonLines, LOG_LEVELS } from '../relay/log.js';
import type { LogLevel } from '../relay/log.js';
import { DEFAULT_DRAIN_DEADLINE_MS, DEFAULT_LISTEN, RELAY_DEFAULTS } from '../relay/options.js';
import type { RelayOptions } from '../relay/options.js';
import { CliFailure, EXIT, usage } from './command.js';
import { columns, writeTo } from './terminal.js';
import type { CliIo } from './terminal.js';

const WORDS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'the address is in use'],
  ['EADDRNOTAVAIL', 'the address is not one of this machine'],
  ['EACCES', 'this address or directory is not allowed'],
  ['ENOTFOUND', 'the name to listen at is not known'],
]);

/** Errors whose words are ours, and hold no text of anybody else. */
const OWN: ReadonlySet<string> = new Set(['TypeError', 'SpoolError']);

/** Why a relay could not be made or did not start, in one line. */
export function describeFailure(error: unknown): string {
  if (error instanceof Error && OWN.has(error.name)) return error.message;
  const { why } = readProblem(error);
  return `the relay cannot start: ${WORDS.get(why) ?? why}`;
}

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
  [
    'allowed-host',
    { key: 'allowedHosts', value: 'NAME', about: 'a name that clients may address it by; may be given again', isList: true },
  ],
  ['prefix', { key: 'prefix', value: 'SECRET', about: 'a secret path before every other' }],
  [
    'prefix-file',
    { key: 'prefixFile', value: 'FILE', about: 'the same from a file, since other users of the machine can see what is typed' },
  ],
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
  [
    'allowed-redirect-host',
    { key: 'allowedRedirectHosts', value: 'NAME', about: 'a host that the endpoint may redirect to; may be given again', isList: true },
  ],
  ['proxy', { key: 'proxy', value: 'URL', about: "a proxy to the endpoint (the environment's)" }],
  ['no-proxy', { key: 'proxy', value: '', about: 'no proxy, whatever the environment says' }],
  [
    'drain-deadline',
    { key: 'drainDeadlineMs', value: 'MS', about: `how long it goes on delivering when it stops (${DEFAULT_DRAIN_DEADLINE_MS})` },
  ],
  ['log-level', { key: 'logLevel', value: 'LEVEL', about: `${LOG_LEVELS.join(', ')} (info)` }],
  ['help', { key: 'help', value: '', about: 'show this' }],
]);

const NUMBERS: ReadonlySet<Flag['value']> = new Set(['N', 'BYTES', 'MS']);

/** Milliseconds, unless a unit stands behind. */
const NUMBER = /^(\d{1,15})(ms|s|m|h)?$/;
const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** @throws CliFailure for an unknown flag, a value that is missing or none, with the name of what was not understood. */
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
    if (token.kind === 'positional') throw usage(`relay does not take ${shorten(token.value)}`, command);
    if (token.kind !== 'option') continue;
    const flag = RELAY_FLAGS.get(token.name);
    if (flag === undefined) throw usage(`unknown option ${shorten(token.rawName)}`, command);
    const { key, isList } = flag;
    const value = valueOf(token.name, flag, token.value, command);
    given[key] = isList === true ? [...((given[key] as string[] | undefined) ?? []), value] : value;
  }
  const { help, drainDeadlineMs = DEFAULT_DRAIN_DEADLINE_MS, logLevel = 'info', prefixFile, ...options } = given;
  if (prefixFile !== undefined && options['prefix'] !== undefined)
    throw usage('relay takes --prefix or --prefix-file, and not both', command);
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
  if (kind === 'LEVEL' && !(LOG_LEVELS as readonly string[]).includes(text))
    throw usage(`option --${name} is one of ${LOG_LEVELS.join(', ')}`, command);
  if (!NUMBERS.has(kind)) return text;
  const [, digits, unit = 'ms'] = NUMBER.exec(text) ?? [];
  if (digits === undefined || (kind !== 'MS' && unit !== 'ms'))
    throw usage(`option --${name} needs a number, got ${shorten(text)}`, command);
  return Number(digits) * (UNITS.get(unit) ?? 1);
}

/** How this process is asked to end. */
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

const LEFT = 30;
const WIDTH = 110;

/**
 * Runs a relay until the process is asked to end, then delivers what it may and leaves the rest in the spool. It is not for embedding:
 * it listens for signals, since the process is its own.
 *
 * @returns The exit code.
 * @throws CliFailure for what was typed, and for what the machine does not allow.
 */
export async function runRelay(args: readonly string[], io: CliIo, program: string): Promise<number> {
  const { stdout = process.stdout, stderr = process.stderr, env = process.env } = io;
  const { wantsHelp, options, prefixFile, drainDeadlineMs, logLevel } = parseRelayFlags(args, program);
  if (wantsHelp) {
    await writeTo(stdout, helpText(program));
    return EXIT.ok;
  }
  const logger = jsonLines((line) => void writeTo(stderr, line), logLevel, systemClock);
  const prefix = prefixFile === undefined ? options.prefix : await secretIn(prefixFile);
  const relay = made(() => createRelay({ ...options, prefix, env, logger }));
  // From here on: whoever asks it to end while it starts is heard, too.
  const ending = endingOf(process);
  try {
    const { url } = await relay.listen().catch((error: unknown) => {
      throw new CliFailure(describeFailure(error));
    });
    await writeTo(stderr, `listening on ${url}\n`);
    await ending.asked;
  } finally {
    ending.forget();
    await relay.close({ deadlineMs: drainDeadlineMs });
  }
  return EXIT.ok;
}

async function secretIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new CliFailure(`${placeName(file, undefined)} cannot be read (${readProblem(error).why})`);
  }
}

function made(make: () => Relay): Relay {
  try {
    return make();
  } catch (error) {
    throw new CliFailure(describeFailure(error), EXIT.usage);
  }
}

/** The first signal asks for an orderly end; a second one ends the process at once, as it would without us. */
function endingOf(target: NodeJS.Process): { readonly asked: Promise<void>; forget: () => void } {
  let tell: (() => void) | undefined;
  const asked = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const forget = (): void => {
    for (const signal of SIGNALS) target.off(signal, onSignal);
  };
  function onSignal(): void {
    forget();
    tell?.();
  }
  for (const signal of SIGNALS) target.on(signal, onSignal);
  return { asked, forget };
}

function helpText(program: string): string {
  const rows = [...RELAY_FLAGS].map(([name, { value, about }]) => [`--${name}${value === '' ? '' : ` ${value}`}`, about] as const);
  const lines = [
    `Usage: ${program} relay [options]`,
    '',
    "Take Cosmos' usage events on loopback, answer each at once, keep it on disk, and deliver it later.",
    '',
    'Options:',
    ...columns(rows, [LEFT], WIDTH, '  '),
    '',
    'Milliseconds may have a unit: 500ms, 5s, 2m, 24h. SIGTERM or SIGINT ends it in order, a second one at once.',
    'Where telemetry is opted out of, it discards every event.',
    '',
    'It ends with:',
    '  0  ended in order',
    '  1  failure: the address or the spool cannot be used',
    '  2  usage: an option is unknown or wrong',
  ];
  return lines.map((line) => `${line}\n`).join('');
}
