#!/usr/bin/env node
import { COSMOS_ENDPOINT } from '../base/constants.js';
import { createTelemetryCliWith } from './cli.js';

const cli = createTelemetryCliWith(
  { product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT, command: 'cosmos-telemetry' },
  new Map([
    [
      'relay',
      {
        summary: "Take Cosmos' events on loopback, keep them on disk and deliver them: this one does send.",
        usage: '[options]',
        // Loaded by who asks for it alone.
        run: async (args, io, program) => (await import('./relay.js')).runRelay(args, io, program),
      },
    ],
  ]),
);
process.exitCode = await cli.run(process.argv.slice(2));
