// The store and the transport on a real server keep the rules of `cosmos-telemetry/testing`.
import * as client from '@nats-io/transport-node';
import { jetstreamStore, jetstreamTransport } from '../dist/jetstream/index.js';
import { createRelay } from '../dist/relay/index.js';
import { refusedPort, relayStoreContract, silentServer, transportContract } from '../dist/testing/index.js';
import { startNats } from './server.mjs';

const nats = await startNats();
const failures = [];
let passed = 0;

const at = (servers) => jetstreamTransport({ client, servers, stream: 'TRANSPORT' });

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
  // A relay makes the stream.
  const connection = await client.connect({ servers: nats.url });
  const relay = createRelay({
    listen: '127.0.0.1:0',
    forward: 'http://127.0.0.1:9',
    env: {},
    store: jetstreamStore({ client, servers: nats.url, stream: 'TRANSPORT', required: true }),
  });
  await relay.listen();
  await relay.close();
  const arrived = async () => {
    const answer = await connection.request('$JS.API.STREAM.INFO.TRANSPORT', '', { timeout: 5000 });
    return answer.json().state.last_seq;
  };
  const before = await arrived();
  const silent = await silentServer();
  await runAll(
    'a transport',
    transportContract(() => at(nats.url), {
      unreachable: async () => at(`nats://127.0.0.1:${await refusedPort()}`),
      silent: () => at(silent.url.replace('http:', 'nats:')),
      arrived: async () => (await arrived()) - before,
    }),
  );
  await silent.close();
  await connection.close();
} finally {
  await nats.end();
}
for (const failure of failures) console.error(failure);
console.log(`${passed} rules hold, ${failures.length} do not`);
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
