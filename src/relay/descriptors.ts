/** File descriptors: how many connections of clients leave enough of them to deliver, and whether there are any now. */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { optionalFact } from '../base/machine.js';

/** What a relay has open beside connections: about 30 with a spool on Node 20 to 26, the answers to a storm of clients, and a margin. */
const OWN = 40;

/** Look-ups of names, and files that are read for them. */
const LOOK_UPS = 8;

/** The fewest connections: a limit that leaves fewer is too low for a relay, which then takes one client after the other. */
const FEWEST = 4;

/**
 * The most connections of clients that leave the relay descriptors to deliver with. Without them it would accept events and send none.
 *
 * @param asked The limit by the options.
 * @param sending The most connections to the endpoint at a time. While one of them opens, another may be tried beside it.
 * @param readFile Reads the limits of this process. A system that does not tell them has no other limit than `asked`.
 */
export function connectionsWithin(asked: number, sending: number, readFile: (path: string) => string): { most: number; limit: number } {
  const limits = optionalFact(() => readFile('/proc/self/limits'), '');
  const limit = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return { most: Math.min(asked, Math.max(FEWEST, limit - OWN - LOOK_UPS - sending)), limit };
}

/** Whether a file can be opened now: without a free descriptor, no connection can be either. */
export function hasFreeDescriptor(open: () => number = () => openSync(devNull, 'r')): boolean {
  try {
    closeSync(open());
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'EMFILE' && code !== 'ENFILE';
  }
}
