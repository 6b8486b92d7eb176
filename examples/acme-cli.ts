// Acme's own command line: `acme run` asks at its first run whether Acme may report how it is used, and `acme telemetry …` shows its users
// the events, the endpoint and the switches. No telemetry command sends anything. After `npm run build && npm run compile`, try
// `node build/examples/acme-cli.js telemetry status`, then `disable`, `preview --sample` and `notice`.
import { createTelemetry } from 'cosmos-telemetry';
import { createTelemetryCli } from 'cosmos-telemetry/cli';
import { acme } from './acme/product.js';

const telemetry = createTelemetryCli(acme);

const [command = '', ...args] = process.argv.slice(2);
switch (command) {
  case 'run': {
    const client = createTelemetry(acme);
    // At the first run on a terminal, before anything is sent. An empty line is a no; in a pipe and on a build server nobody is asked.
    const question = 'May acme report how it is used? `acme telemetry notice` says what is sent.';
    const { problem } = await client.consent.ask({ input: process.stdin, output: process.stdout, question });
    if (problem !== undefined) console.error(`acme: ${problem}`);
    client.reportRun({ status: 'success', duration: 0.5, tasks: [{ owned: true, operatorName: 'SqlJob', status: 'success' }] });
    await client.close();
    console.log('acme: 1 job done');
    break;
  }
  case 'telemetry':
    process.exitCode = await telemetry.run(args);
    break;
  case '--help':
    console.log('Usage: acme run | acme telemetry COMMAND');
    break;
  default:
    console.error(`acme: unknown command ${JSON.stringify(command)}; see \`acme --help\``);
    process.exitCode = 2;
}
