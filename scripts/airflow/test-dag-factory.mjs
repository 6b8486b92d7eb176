// Tests the client of DAG Factory, as it is published, with the relay between it and an endpoint on this machine: `npm run build` first,
// then `npm run test:dag-factory`. Needs Python 3.10 or newer with venv and pip; installs `requirements-dag-factory.txt`, which has no
// Airflow, into a folder outside the repository.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRelay } from '../../dist/relay/index.js';
import { startCollector } from '../../dist/testing/index.js';
import { run } from './lib/processes.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'dag-factory-'));
const collector = await startCollector();
const relay = createRelay({
  listen: '127.0.0.1:0',
  forward: `${collector.url}/cosmos`,
  forwardDagFactory: `${collector.url}/dags`,
  env: {},
});
try {
  const python = path.join(folder, 'bin', 'python');
  await run(process.env.PYTHON ?? 'python3', ['-m', 'venv', folder]);
  // Without dependencies: DAG Factory asks for Airflow, which its client needs for two names only.
  await run(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--requirement', here('requirements-dag-factory.txt')]);
  const { url } = await relay.listen();
  const send = async (origin, base) =>
    (await run(python, [here('dag_factory.py'), origin, base], { env: { PATH: process.env.PATH, NO_PROXY: '127.0.0.1' } }))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const sent = [];
  for (const base of ['/dag-factory', '/astronomer-cosmos/dag-factory']) sent.push(...(await send(url, base)));
  assert.deepEqual(
    sent.map(({ isSuccess }) => isSuccess),
    sent.map(() => true),
    'its client says that each event was sent',
  );
  await collector.waitFor(sent.length);
  // As its client asks an endpoint that is not a relay: the control.
  const direct = await send(collector.url, '/dags');
  const urls = collector.requests.map((request) => request.url);
  assert.deepEqual(urls.slice(0, sent.length).sort(), sent.map(({ asked }) => `/dags${asked}`).sort(), 'byte for byte');
  assert.deepEqual(new Set(urls.slice(sent.length)), new Set(urls.slice(0, sent.length)), 'as without a relay');
  assert.equal(direct.length, 3);
  const { published, fieldsDropped } = relay.stats();
  assert.deepEqual({ published, fieldsDropped }, { published: sent.length, fieldsDropped: 0 });
  console.log(`DAG Factory 1.1.0: ${sent.length} events of its own client were forwarded byte for byte`);
} finally {
  await relay.close();
  await collector.close();
  rmSync(folder, { recursive: true, force: true });
}
