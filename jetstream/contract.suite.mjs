// The store and the transport on a real server keep the rules of `cosmos-telemetry/testing`.
import * as client from '@nats-io/transport-node';
import { jetstreamStore } from '../dist/jetstream/index.js';
import { relayStoreContract } from '../dist/testing/index.js';
import { startNats } from './server.mjs';

const nats = await startNats();
const failures = [];
let passed = 0;

async function runAll(title, tests) {
  for (const { name, run } of tests) {
    try {
      await run();
      passed += 1;
    } catch (error) {
      failures.push(`${title} ${name}: ${error.stack}`);
    }
  }
}

try {
  await runAll(
    'a store',
    relayStoreContract(({ id, ...relay }) => jetstreamStore({ client, servers: nats.url, stream: id, required: true })(relay)),
  );
} finally {
  await nats.end();
}
for (const failure of failures) console.error(failure);
console.log(`${passed} rules hold, ${failures.length} do not`);
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
