// Acme's own command line with `acme telemetry …` mounted in it: its users see its events, its endpoint and its switches. No command sends
// anything. Try `node build/examples/acme-cli.js telemetry status`, then `disable`, then `preview --sample`.
import { createTelemetryCli } from 'cosmos-telemetry/cli';
import { acmeEvents } from './acme/events.js';

// The options of createTelemetry. A real program keeps them in one place for both.
const telemetry = createTelemetryCli({
  product: { name: 'acme', version: '3.1.0' },
  endpoint: 'https://telemetry.acme.example',
  events: acmeEvents,
});

const [command = '', ...args] = process.argv.slice(2);
switch (command) {
  case 'telemetry':
    process.exitCode = await telemetry.run(args);
    break;
  case '--help':
    console.log('Usage: acme telemetry COMMAND');
    break;
  default:
    console.error(`acme: unknown command ${JSON.stringify(command)}; see \`acme --help\``);
    process.exitCode = 2;
}
