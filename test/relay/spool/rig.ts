import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Log } from '../../../src/base/log.js';
import { openSpool } from '../../../src/relay/spool/index.js';
import type { SpoolOptions } from '../../../src/relay/spool/index.js';
import type { RelayStore, StoredEvent } from '../../../src/delivery/relay-store.js';
import type { Clock } from '../../../src/base/clock.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';

/** A folder that is deleted after the test. */
export function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-spool-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A path in such a folder that does not exist yet. */
export function freshDirectory(t: ExecutionContext): string {
  return join(folder(t), 'spool');
}

/** Options of a spool; the others have values for tests. */
export type RigOptions = Partial<Omit<SpoolOptions, 'log' | 'clock'>> & { directory: string; clock?: VirtualClock };

/** A spool, its clock, its log lines, and how many events it reported as new. */
export interface Rig {
  store: RelayStore;
  clock: VirtualClock;
  lines: string[];
  told: () => number;
  /** Opens the directory again, after `close()`. */
  reopen: () => Promise<RelayStore>;
}

/** A log that keeps its lines. */
export function keptLog(clock: Clock): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const keep = (line: string): void => void lines.push(line);
  return { log: new Log({ warn: keep, debug: keep }, clock), lines };
}

/** Opens a spool that is closed after the test. */
export async function openRig(t: ExecutionContext, { clock = new VirtualClock(), ...options }: RigOptions): Promise<Rig> {
  const { log, lines } = keptLog(clock);
  let told = 0;
  const open = async (): Promise<RelayStore> => {
    const store = await openSpool({ clock, log, onStored: (events) => (told += events), ...options });
    t.teardown(() => store.close());
    return store;
  };
  return { store: await open(), clock, lines, told: () => told, reopen: open };
}

/** Appends targets, and asserts that each went to disk. */
export async function appendAll(t: ExecutionContext, store: RelayStore, targets: readonly string[]): Promise<void> {
  for (const target of targets) t.is(await store.append(target), 'disk');
}

export function targetsOf(events: readonly StoredEvent[]): string[] {
  return events.map(({ target }) => target);
}

/** The names of the files with events or marks. */
export function spoolFiles(directory: string): string[] {
  return existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => !name.startsWith('lock'))
        .toSorted()
    : [];
}

/** The lines of a file of events. */
export function linesOf(directory: string, name: string): string[] {
  return readFileSync(join(directory, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

/** Waits for one turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Waits until the disk of a spool works. */
export async function untilDurable(store: RelayStore): Promise<void> {
  while (!store.stats().isDurable) await turn();
}
