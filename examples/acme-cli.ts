// Acme's own command line, with `acme telemetry …` mounted in it: its people see its events, its endpoint and its switches, and none
// of it sends anything. Try `node build/examples/acme-cli.js telemetry status`, then `disable`, then `preview --sample`.
import { count, defineEvent, duration, oneOf } from 'cosmos-telemetry';
import { createTelemetryCli } from 'cosmos-telemetry/cli';

const backfill = defineEvent(
  'backfill',
  {
    outcome: oneOf(['completed', 'cancelled'], {
      description: 'How the backfill ended.',
      reason: 'To know whether people give up waiting.',
    }),
    days: count({ description: 'How many days it covered.', reason: 'To know the sizes that must stay fast.' }),
    elapsed: duration({ description: 'How long it took, in seconds.', reason: 'To find versions that became slower.' }),
  },
  'Sent when a backfill ends.',
);

// What createTelemetry is handed, too: in a real program both take it from one place.
const telemetry = createTelemetryCli({
  product: { name: 'acme', version: '3.1.0' },
  endpoint: 'https://telemetry.acme.example',
  events: [backfill],
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
