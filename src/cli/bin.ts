#!/usr/bin/env node
// The command `cosmos-telemetry`: the telemetry command of product `cosmos`, and the relay.
import { COSMOS_ENDPOINT } from '../base/constants.js';
import { createTelemetryCliWith } from './cli.js';

const cli = createTelemetryCliWith(
  { product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT, command: 'cosmos-telemetry' },
  new Map([
    [
      'relay',
      {
        summary: "Receive Cosmos' events on loopback, store them on disk and deliver them; or show whether a relay does.",
        usage: '[status [URL]] [options]',
        // Imported only here: the other commands, `relay status` among them, do not load the relay.
        run: async (args, io, program) =>
          args[0] === 'status'
            ? (await import('./relay-status.js')).runRelayStatus(args.slice(1), io, program)
            : (await import('./relay.js')).runRelay(args, io, program),
      },
    ],
  ]),
);
process.exitCode = await cli.run(process.argv.slice(2));
