// Acme's own command line with `acme telemetry …` mounted in it: its users see its events, its endpoint and its switches. No command sends
// anything. After `npm run build && npm run compile`, try `node build/examples/acme-cli.js telemetry status`, then `disable`,
// `preview --sample` and `notice`.
import { createTelemetryCli } from 'cosmos-telemetry/cli';
import { acme } from './acme/product.js';

const telemetry = createTelemetryCli(acme);

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
