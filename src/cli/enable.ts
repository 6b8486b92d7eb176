import type { Command } from './command.js';
import { switchTo } from './switching.js';

/** Writes a person's yes. */
export const enable: Command = {
  summary: 'Allow telemetry for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: [
    'Writes {"enabled": true} into your config file; other keys in it stay. Sends nothing and needs no network.',
    'Any no wins over it: where the environment, the policy of the machine or the program says no, telemetry',
    'stays off, and this says why. That is no failure: it ends with 0.',
  ],
  run: (context) => switchTo(true, context),
};
