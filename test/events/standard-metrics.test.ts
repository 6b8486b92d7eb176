import test from 'ava';
import { collectStandardUsageMetrics, standardFields } from '../../src/events/standard-metrics.js';
import { machineFacts } from '../../src/base/machine.js';

const LINUX = { system: 'Linux', machine: 'x86_64', nodeVersion: '20.19.0' };

test('the facts of Cosmos in the order of the wire; only the version of Airflow is percent-encoded', (t) => {
  const metrics = collectStandardUsageMetrics({
    product: { name: 'cosmos', version: '1.12.0+local.1' },
    host: { version: '2.10.1+astro.1', pythonVersion: '3.11.7+' },
    machine: LINUX,
  });
  t.deepEqual(Object.entries(metrics), [
    ['cosmos_version', '1.12.0+local.1'],
    ['airflow_version', '2.10.1%2Bastro.1'],
    ['python_version', '3.11.7+'],
    ['platform_system', 'Linux'],
    ['platform_machine', 'x86_64'],
  ]);
});

test('a host that is not Airflow has its version as it is', (t) => {
  const metrics = collectStandardUsageMetrics({
    product: { name: 'acme', version: '2.0.0' },
    host: { name: 'dagster', version: '1!2.0+x' },
    machine: LINUX,
  });
  t.deepEqual(Object.entries(metrics), [
    ['acme_version', '2.0.0'],
    ['dagster_version', '1!2.0+x'],
    ['node_version', '20.19.0'],
    ['platform_system', 'Linux'],
    ['platform_machine', 'x86_64'],
  ]);
});

test('a version that nobody gave is left out', (t) => {
  t.deepEqual(collectStandardUsageMetrics({ machine: LINUX }), {
    node_version: '20.19.0',
    platform_system: 'Linux',
    platform_machine: 'x86_64',
  });
  t.deepEqual(collectStandardUsageMetrics({ host: { pythonVersion: '3.12' }, machine: { ...LINUX, nodeVersion: 'none at all' } }), {
    python_version: '3.12',
    platform_system: 'Linux',
    platform_machine: 'x86_64',
  });
});

const PLATFORMS: readonly [system: string, machine: string, expected: Record<string, string>][] = [
  ['Linux', 'aarch64', { platform_system: 'Linux', platform_machine: 'aarch64' }],
  ['Darwin', 'arm64', { platform_system: 'Darwin', platform_machine: 'arm64' }],
  ['Darwin', 'x86_64', { platform_system: 'Darwin', platform_machine: 'x86_64' }],
  ['Windows_NT', 'x86_64', { platform_system: 'Windows', platform_machine: 'AMD64' }],
  ['Windows_NT', 'arm64', { platform_system: 'Windows', platform_machine: 'ARM64' }],
  ['Windows_NT', 'i686', { platform_system: 'Windows', platform_machine: 'i686' }],
  ['TempleOS', 'x86_64', { platform_machine: 'x86_64' }],
  ['Linux', "alice's own board", { platform_system: 'Linux' }],
  ['', '', {}],
];

for (const [system, machine, expected] of PLATFORMS) {
  test(`platform ${system || 'without a name'} on ${machine || 'nothing'}`, (t) => {
    const { node_version: _, ...platform } = collectStandardUsageMetrics({ machine: { ...LINUX, system, machine } });
    t.deepEqual(platform, expected);
  });
}

test('versions of the machine that are none are left out, since they are no mistake of the caller', (t) => {
  for (const nodeVersion of ['', 'v 20', 'x'.repeat(65)]) {
    t.false('node_version' in collectStandardUsageMetrics({ machine: { ...LINUX, nodeVersion } }));
  }
});

test('names and versions that could change a key or a value are mistakes', (t) => {
  for (const name of ['', 'A', 'a-b', 'a&b', 'x'.repeat(33)]) {
    t.throws(() => collectStandardUsageMetrics({ host: { name } }), { instanceOf: TypeError, message: /`host\.name`/ });
    t.throws(() => collectStandardUsageMetrics({ product: { name, version: '1' } }), { instanceOf: TypeError, message: /`product\.name`/ });
  }
  for (const version of ['', 'one two', '1/2', null as unknown as string]) {
    t.throws(() => collectStandardUsageMetrics({ product: { name: 'acme', version } }), {
      instanceOf: TypeError,
      message: /`product\.version`/,
    });
    t.throws(() => collectStandardUsageMetrics({ host: { version } }), { instanceOf: TypeError, message: /`host\.version`/ });
    t.throws(() => collectStandardUsageMetrics({ host: { pythonVersion: version } }), {
      instanceOf: TypeError,
      message: /`host\.pythonVersion`/,
    });
  }
});

test('two names that give one key are a mistake', (t) => {
  const version = '1.0';
  const collisions: Parameters<typeof collectStandardUsageMetrics>[0][] = [
    { product: { name: 'airflow', version }, host: { version } },
    { product: { name: 'acme', version }, host: { name: 'acme', version } },
    { product: { name: 'python', version }, host: { pythonVersion: version } },
    { host: { name: 'python', version, pythonVersion: version } },
    { product: { name: 'node', version } },
  ];
  for (const options of collisions) {
    t.throws(() => collectStandardUsageMetrics({ ...options, machine: LINUX }), { instanceOf: TypeError, message: /different names/ });
  }
});

test('every metric that can be collected is declared, and the machine at hand fits its declaration', (t) => {
  const metrics = collectStandardUsageMetrics({ product: { name: 'acme', version: '1.0' }, host: { name: 'dagster', version: '2.0' } });
  const fields = standardFields('acme', 'dagster');
  t.deepEqual(Object.keys(fields), [
    'acme_version',
    'dagster_version',
    'python_version',
    'node_version',
    'platform_system',
    'platform_machine',
  ]);
  for (const [name, value] of Object.entries(metrics)) t.true(fields[name]?.accepts(value), name);
  t.is(machineFacts().nodeVersion, process.versions.node);
});
