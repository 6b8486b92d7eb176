import type { LookupFunction } from 'node:net';
import type { DescriptorAccess } from './delivery/line-writer.js';
import { machineFacts } from './events/standard-metrics.js';
import type { MachineFacts } from './events/standard-metrics.js';
import { readConfigFile, readConfigFileLater } from './settings/config-file.js';
import { systemClock } from './timing.js';
import type { Clock } from './timing.js';

/** Time, chance and the machine: everything that tests own and users do not choose. */
export interface MachineAccess {
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  /** Reads a whole configuration file as UTF-8; throws as `node:fs` does. */
  readFile: (path: string) => string;
  /** The same without blocking, to see an opt-out that appears in a file while the host runs. @default they are read once only */
  readFileLater?: (path: string) => Promise<string>;
  /** Whose usual places for files are looked at. @default process.platform */
  platform?: NodeJS.Platform;
  /** Finds the address of a host name. @default a cancellable resolver */
  lookup?: LookupFunction;
  facts: () => MachineFacts;
  /** Where debug mode writes. @default standard error and the disk */
  descriptors?: DescriptorAccess;
}

/** The machine at hand. */
export const thisMachine: MachineAccess = {
  clock: systemClock,
  random: Math.random,
  readFile: readConfigFile,
  readFileLater: readConfigFileLater,
  facts: machineFacts,
};
