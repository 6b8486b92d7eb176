import type { Command } from './command.js';
import { switchTo } from './switching.js';

/** Writes a person's no. */
export const disable: Command = {
  summary: 'Stop telemetry for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: ['Writes {"enabled": false} into your config file; other keys in it stay. Sends nothing and needs no network.'],
  run: (context) => switchTo(false, context),
};
