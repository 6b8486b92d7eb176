import { readFile } from 'node:fs/promises';
import { createRelay } from '../relay/index.js';
import type { Relay } from '../relay/index.js';
import { jsonLines } from '../relay/log-lines.js';
import { placeName, readProblem } from '../settings/rules.js';
import { systemClock } from '../timing.js';
import { describeFailure } from './relay-failure.js';
import { CliFailure, EXIT } from './failure.js';
import { writeTo } from './io.js';
import type { CliIo } from './io.js';
import { columns } from './layout.js';
import { parseRelayFlags, RELAY_FLAGS } from './relay-flags.js';

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
