import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { emitUsageMetrics, emitUsageMetricsIfEnabled } from '../../src/index.js';
import type { EmitOptions, UsageMetrics } from '../../src/index.js';
import { readVectors } from '../helpers/vectors.js';

interface UrlCase {
  name: string;
  event_type: string;
  metrics: [string, UsageMetrics[string]][];
  url: string;
}

const { cases } = readVectors('urls.json') as { cases: UrlCase[] };
const COSMOS = 'https://astronomer.gateway.scarf.sh/astronomer-cosmos';

async function collector(t: ExecutionContext, status = 200): Promise<{ endpoint: string; targets: string[] }> {
  const targets: string[] = [];
  const server = createServer((request, response) => {
    targets.push(request.url ?? '');
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`, targets };
}

test("every recorded request of Cosmos' own code arrives byte for byte", async (t) => {
  const { endpoint, targets } = await collector(t);
  for (const { name, event_type, metrics } of cases) {
    t.true(await emitUsageMetrics({ ...Object.fromEntries(metrics), event_type }, { endpoint, env: {} }), name);
  }
  t.deepEqual(
    targets,
    cases.map(({ url }) => url.replace(COSMOS, '/base')),
  );
});

test('true for any 2xx, false for every other status', async (t) => {
  for (const [status, expected] of [
    [200, true],
    [204, true],
    [299, true],
    [302, false],
    [404, false],
    [500, false],
  ] as const) {
    const { endpoint, targets } = await collector(t, status);
    t.is(await emitUsageMetrics({ event_type: 'dag_run' }, { endpoint, env: {} }), expected, String(status));
    t.is(targets.length, 1, 'one attempt');
  }
});

for (const env of [
  { DO_NOT_TRACK: '1' },
  { SCARF_NO_ANALYTICS: 'yes' },
  { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' },
  { COSMOS_TELEMETRY: '0' },
]) {
  test(`both functions ask the opt-outs: ${Object.keys(env)[0]}`, async (t) => {
    const { endpoint, targets } = await collector(t);
    t.false(await emitUsageMetrics({ event_type: 'dag_run' }, { endpoint, env }));
    t.false(await emitUsageMetricsIfEnabled('dag_run', {}, { endpoint, env }));
    t.deepEqual(targets, []);
  });
}

test('an option can opt out, and opt-in waits for a yes', async (t) => {
  const { endpoint, targets } = await collector(t);
  t.false(await emitUsageMetrics({ event_type: 'x' }, { endpoint, env: {}, enabled: false }));
  t.false(await emitUsageMetricsIfEnabled('x', {}, { endpoint, env: {}, consent: 'opt-in' }));
  t.true(await emitUsageMetrics({ event_type: 'x' }, { endpoint, env: { COSMOS_TELEMETRY: '1' }, consent: 'opt-in' }));
  t.is(targets.length, 1);
});

test('the opt-outs of the product count', async (t) => {
  const { endpoint, targets } = await collector(t);
  const product = { name: 'acme', version: '1.0.0' };
  t.false(await emitUsageMetrics({ event_type: 'x' }, { endpoint, product, env: { ACME_TELEMETRY: 'no' } }));
  t.true(
    await emitUsageMetrics(
      { event_type: 'x' },
      { endpoint, product, env: { COSMOS_TELEMETRY: 'no', AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'f' } },
    ),
  );
  t.is(targets.length, 1);
});

test('emitUsageMetricsIfEnabled sends the standard metrics first, and no event type in the query', async (t) => {
  const { endpoint, targets } = await collector(t);
  const options = {
    endpoint,
    env: {},
    product: { name: 'cosmos', version: '1.12.0' },
    host: { version: '2.10.1+astro.1', pythonVersion: '3.11.7' },
  };
  t.true(await emitUsageMetricsIfEnabled('dag_run', { status: 'success', python_version: '3.12', event_type: '../x' }, options));
  const [target = ''] = targets;
  t.regex(
    target,
    /^\/base\/v3\/dag_run\?cosmos_version=1\.12\.0&airflow_version=2\.10\.1%252Bastro\.1&python_version=3\.12&platform_system=\w+&platform_machine=\w+&status=success$/,
  );
});

test('without a product there is no product version, and without a Python version there is the version of Node', async (t) => {
  const { endpoint, targets } = await collector(t);
  t.true(await emitUsageMetricsIfEnabled('dag_run', { a: 1 }, { endpoint, env: {} }));
  t.regex(
    targets[0] ?? '',
    new RegExp(`^/base/v3/dag_run\\?node_version=${process.versions.node}&platform_system=\\w+&platform_machine=\\w+&a=1$`),
  );
});

test("the operator's endpoint overrides the program's, and a wrong one is ignored", async (t) => {
  const program = await collector(t);
  const operator = await collector(t);
  const lines: string[] = [];
  const logger = { debug: () => undefined, warn: (line: string) => void lines.push(line) };
  t.true(
    await emitUsageMetrics({ event_type: 'x' }, { endpoint: program.endpoint, env: { COSMOS_TELEMETRY_ENDPOINT: operator.endpoint } }),
  );
  const wrong = { COSMOS_TELEMETRY_ENDPOINT: 'https://me:hunter2@x.test/' };
  t.true(await emitUsageMetrics({ event_type: 'x' }, { endpoint: program.endpoint, env: wrong, logger }));
  t.deepEqual([operator.targets.length, program.targets.length], [1, 1]);
  t.deepEqual(lines, [
    '[telemetry] endpoint_invalid: COSMOS_TELEMETRY_ENDPOINT is not an http or https URL without credentials, query or fragment; it is ignored',
  ]);
});

const throwing = new Proxy(
  {},
  {
    get: () => {
      throw new Error('no');
    },
  },
);
const hostile = {
  get status(): string {
    throw new Error('no');
  },
};

for (const [name, call] of [
  ['an event type that would change the path', (rest) => emitUsageMetrics({ event_type: '../../x' }, rest)],
  ['an event type that is not a string', (rest) => emitUsageMetrics({ event_type: 7 as never }, rest)],
  ['no metrics at all', (rest) => emitUsageMetrics(undefined as never, rest)],
  ['a nested value', (rest) => emitUsageMetrics({ event_type: 'x', a: {} as never }, rest)],
  ['metrics that throw', (rest) => emitUsageMetricsIfEnabled('x', hostile, rest)],
  ['an endpoint that is not http', (rest) => emitUsageMetrics({ event_type: 'x' }, { ...rest, endpoint: 'ftp://x' })],
  ['a wrong product name', (rest) => emitUsageMetrics({ event_type: 'x' }, { ...rest, product: { name: 'A', version: '1' } })],
  ['a wrong version', (rest) => emitUsageMetricsIfEnabled('x', {}, { ...rest, product: { name: 'a', version: 'one two' } })],
  ['a negative timeout', (rest) => emitUsageMetrics({ event_type: 'x' }, { ...rest, attemptTimeoutMs: -1 })],
  ['an environment that throws', (rest) => emitUsageMetrics({ event_type: 'x' }, { ...rest, env: throwing })],
  ['options that are null', () => emitUsageMetrics({ event_type: 'x' }, null as never)],
  ['a URL of more than 8 KiB', (rest) => emitUsageMetrics({ event_type: 'x', a: 'x'.repeat(9000) }, rest)],
] as readonly (readonly [string, (rest: EmitOptions) => Promise<boolean>])[]) {
  test(`returns false, never rejects, and sends nothing: ${name}`, async (t) => {
    const { endpoint, targets } = await collector(t);
    t.false(await call({ endpoint, env: {} }));
    t.deepEqual(targets, []);
  });
}
