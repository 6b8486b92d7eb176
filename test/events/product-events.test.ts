import { createHash } from 'node:crypto';
import test from 'ava';
import { machineFacts } from '../../src/base/machine.js';
import { dagRunFields, dbtDocsAccessFields, metadataFields } from '../../src/events/dag-run.js';
import { defineEvent } from '../../src/events/definition.js';
import type { EventDefinition } from '../../src/events/definition.js';
import { boolean, count, isField } from '../../src/events/fields.js';
import { productDagHash, productEvents, standardEvents } from '../../src/events/product-events.js';
import { collectStandardUsageMetrics, standardFields } from '../../src/events/standard-metrics.js';
import { taskInstanceFields } from '../../src/events/task-instance.js';
import { proves } from '../helpers/promises.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };
const OWN = defineEvent('model_built', { models: count(NOTE) });

test('every product has its standard events, followed by its own', (t) => {
  t.deepEqual([...productEvents('cosmos', 'airflow', []).keys()], ['dag_run', 'task_instance', 'dbt_docs_access']);
  const definitions = productEvents('acme', 'airflow', [OWN]);
  t.deepEqual([...definitions.keys()], ['dag_run', 'task_instance', 'model_built']);
  t.deepEqual(definitions.get('model_built'), { ...OWN, metadata: undefined });
  t.true('acme_task_count' in (definitions.get('dag_run')?.fields ?? {}));
});

test('every field that may be sent has a description and a reason', (t) => {
  const groups = [...standardEvents('cosmos').map(({ fields }) => fields), metadataFields, standardFields('cosmos', 'airflow')];
  for (const fields of groups) for (const [name, field] of Object.entries(fields)) t.true(isField(field), name);
  for (const { type, description } of standardEvents('cosmos')) t.regex(description, /^Sent when .+\.$/, type);
});

test('an event type that is declared twice throws', (t) => {
  t.throws(() => productEvents('acme', 'airflow', [OWN, OWN]), { instanceOf: TypeError, message: /`events`.*twice/ });
  for (const type of ['dag_run', 'dbt_docs_access']) {
    const declare = () => productEvents('acme', 'airflow', [{ ...OWN, type }], { standardEvents: false });
    t.throws(declare, { instanceOf: TypeError, message: `Expected \`events\` not to have the name of a standard event, got "${type}".` });
  }
});

test('a field with the name of a standard metric throws', (t) => {
  for (const name of ['acme_version', 'airflow_version', 'python_version', 'node_version', 'platform_system', 'platform_machine']) {
    const events = [defineEvent('own', { [name]: boolean(NOTE) })];
    t.throws(() => productEvents('acme', 'airflow', events), { instanceOf: TypeError, message: new RegExp(`${name}.*own`) });
  }
  t.notThrows(() => productEvents('acme', 'airflow', [defineEvent('own', { cosmos_version: boolean(NOTE) })]));
});

test('an event that defineEvent() did not make is checked, too', (t) => {
  for (const event of [
    undefined,
    null,
    7,
    {},
    { type: 'own' },
    { ...OWN, type: 'a/b' },
    { ...OWN, fields: { models: { accepts: () => true } } },
  ]) {
    t.throws(() => productEvents('acme', 'airflow', [event as EventDefinition]), { instanceOf: TypeError });
  }
  for (const events of [null, {}, 'own', 7, OWN] as unknown[]) {
    t.throws(() => productEvents('acme', 'airflow', events as object as EventDefinition[]), { instanceOf: TypeError });
  }
});

test('an event without a description gets a default one', (t) => {
  const { description: _, ...bare } = OWN;
  t.regex(productEvents('acme', 'airflow', [bare as object as EventDefinition]).get('model_built')?.description ?? '', /model_built/);
});

test('the fields of a DAG run have the order of the wire and the name of the product', (t) => {
  t.deepEqual(Object.keys(dagRunFields('cosmos')), ['dag_hash', 'status', 'task_count', 'cosmos_task_count', 'execution_modes']);
});

test('of the fields of a DAG run, only the hash is optional and none is nullable', (t) => {
  for (const [name, field] of Object.entries(dagRunFields('cosmos'))) {
    t.is(field.optional, name === 'dag_hash', name);
    t.false(field.nullable, name);
  }
});

type MetadataName = keyof typeof metadataFields;

/** For each field of the metadata: values that Cosmos writes, and values that a user who edits the param might write. */
const METADATA: Readonly<Record<MetadataName, { accepts: readonly unknown[]; refuses: readonly unknown[] }>> = {
  used_automatic_load_mode: { accepts: [true, false], refuses: [null, 'True', 1] },
  invocation_mode: { accepts: [null, 'dbt_runner', 'subprocess'], refuses: ['rm -rf /', '', true] },
  install_deps: { accepts: [null, true, false], refuses: ['yes', 1] },
  uses_node_converter: { accepts: [true, false], refuses: [null, 'False', 0] },
  test_behavior: { accepts: [null, 'none', 'after_each', 'after_all', 'build'], refuses: ['always', 'None'] },
  source_behavior: { accepts: [null, 'none', 'all', 'with_tests_or_freshness'], refuses: ['some', []] },
  actual_load_mode: {
    accepts: [null, 'automatic', 'custom', 'dbt_ls', 'dbt_ls_file', 'dbt_ls_cache', 'dbt_manifest'],
    refuses: ['/home/alice'],
  },
  total_dbt_models: { accepts: [null, 0, 13, 2 ** 53], refuses: ['13', 1.5, -1, {}] },
  selected_dbt_models: { accepts: [null, 0, 13], refuses: ['13', 1.5, -1, [13]] },
  profile_strategy: { accepts: [null, 'yaml_file', 'mapping'], refuses: ['other', 1] },
  profile_mapping_class: {
    accepts: [null, 'PostgresUserPasswordProfileMapping', 'my.own.Mapping'],
    refuses: ['a b', '', 'https://host/x'],
  },
  database: { accepts: [null, 'postgres', 'bigquery'], refuses: ['db.example.com/prod', 'user@host', 5432] },
};

for (const [name, { accepts, refuses }] of Object.entries(METADATA)) {
  test(`metadata field ${name}`, (t) => {
    const field = metadataFields[name as MetadataName];
    for (const value of accepts) t.true(field.accepts(value), String(value));
    for (const value of refuses) t.false(field.accepts(value), String(value));
    t.is(field.nullable, accepts.includes(null));
    t.false(field.accepts('x'.repeat(300)));
    t.false(field.accepts({ nested: true }));
  });
}

test('the metadata has these fields and no others', (t) => {
  t.deepEqual(Object.keys(metadataFields).toSorted(), Object.keys(METADATA).toSorted());
});

function names(product: string): string[] {
  return [
    'status',
    'operator_name',
    `is_${product}_operator_subclass`,
    'invocation_mode',
    'execution_mode',
    'profile_strategy',
    'profile_mapping_class',
    'database',
    'is_mapped_task',
    'dbt_command',
    'install_deps',
    'has_callback',
    'duration',
  ];
}

test('the fields of a task have the order of the wire and the name of the product', (t) => {
  t.deepEqual(Object.keys(taskInstanceFields('cosmos')), names('cosmos'));
});

test('fields that the wire omits are optional, fields that it sends as None are nullable', (t) => {
  const fields = Object.entries(taskInstanceFields('cosmos'));
  t.deepEqual(
    fields.filter(([, field]) => field.optional).map(([name]) => name),
    ['operator_name', 'dbt_command', 'install_deps', 'duration'],
  );
  t.deepEqual(
    fields.filter(([, field]) => field.nullable).map(([name]) => name),
    ['invocation_mode', 'execution_mode', 'profile_strategy', 'profile_mapping_class', 'database'],
  );
});

test('no field of a task accepts free text', (t) => {
  for (const [name, field] of Object.entries(taskInstanceFields('cosmos'))) {
    for (const text of ['select * from users', '/home/alice/dbt', 'https://host/?key=1', 'alice@example.com', 'a\nb']) {
      t.false(field.accepts(text), `${name} took ${text}`);
    }
  }
});

test('an access to the documentation has four required fields, in the order of the wire', (t) => {
  t.deepEqual(Object.keys(dbtDocsAccessFields), ['storage_type', 'docs_dir_configured', 'uses_custom_conn', 'has_custom_name']);
  for (const field of Object.values(dbtDocsAccessFields)) {
    t.false(field.optional);
    t.false(field.nullable);
  }
});

test('the storage is one of six words, never an address', (t) => {
  const { storage_type: storage } = dbtDocsAccessFields;
  for (const word of ['s3', 'gcs', 'azure', 'http', 'local', 'not_configured']) t.true(storage.accepts(word));
  for (const word of ['', 'S3', 's3://bucket', '/var/docs', null, undefined]) t.false(storage.accepts(word));
});

const LINUX = { system: 'Linux', machine: 'x86_64', nodeVersion: '20.19.0' };

test('the standard metrics of Cosmos have the order of the wire; only the version of Airflow is percent-encoded', (t) => {
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

test('the version of a host other than Airflow is not encoded', (t) => {
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

test('a version that was not given is omitted', (t) => {
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

test('a version of Node of an unexpected form is omitted, since it is no error of the caller', (t) => {
  for (const nodeVersion of ['', 'v 20', 'x'.repeat(65)]) {
    t.false('node_version' in collectStandardUsageMetrics({ machine: { ...LINUX, nodeVersion } }));
  }
});

test('names and versions that could change a key or a value throw', (t) => {
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

test('two names that give the same key throw', (t) => {
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

test('every standard metric is declared, and those of this machine fit their declarations', (t) => {
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

function refuse(): never {
  throw Object.assign(new Error('Requires sys access'), { name: 'NotCapable' });
}

function standard(machine: ReturnType<typeof machineFacts>): object {
  return collectStandardUsageMetrics({ machine: { ...machine, nodeVersion: '20.19.0' } });
}

test(proves('machine-facts', 'a fact that the machine refuses does not leave, and the others do'), (t) => {
  t.deepEqual(standard(machineFacts(() => ({ type: () => 'Linux', machine: refuse }))), {
    node_version: '20.19.0',
    platform_system: 'Linux',
  });
  t.deepEqual(standard(machineFacts(() => ({ type: refuse, machine: () => 'arm64' }))), {
    node_version: '20.19.0',
    platform_machine: 'arm64',
  });
  t.deepEqual(standard(machineFacts(refuse)), { node_version: '20.19.0' });
});

const original = Object.getOwnPropertyDescriptor(process, 'getBuiltinModule') ?? {};

function forbidden(): never {
  throw new Error('digital envelope routines::unsupported');
}

test('the digest of a DAG is the md5 of its id as UTF-8, in hex', (t) => {
  const dagHash = productDagHash('cosmos');
  t.is(dagHash('basic_cosmos_dag'), '6875b74ab06e3beebabe66286afddf1b');
  t.is(dagHash('größe/ü'), '7e5082ee807324ddd0e9dbb593e973a0');
  t.is(dagHash(''), 'd41d8cd98f00b204e9800998ecf8427e');
  t.is(dagHash('d'), '8277e0910d750195b448797616e091ad');
  t.is(dagHash('d'), '8277e0910d750195b448797616e091ad');
});

test('a lone surrogate, which has no UTF-8, is hashed as U+FFFD', (t) => {
  t.is(productDagHash('cosmos')('\uD83D'), createHash('md5').update('\uFFFD').digest('hex'));
});

test('digests are right beyond the number that is remembered', (t) => {
  const dagHash = productDagHash('cosmos');
  for (let number = 0; number < 2500; number += 1) dagHash(`dag_${number}`);
  t.is(dagHash('d'), '8277e0910d750195b448797616e091ad');
  t.is(dagHash('x'.repeat(300)), createHash('md5').update('x'.repeat(300)).digest('hex'));
});

test('a text that is too long for an id gets no digest, so the host does not wait for it', (t) => {
  t.is(productDagHash('cosmos')('x'.repeat(1e8)), null);
});

test.serial('there is no digest while the platform forbids md5, and one when it allows it again', (t) => {
  const dagHash = productDagHash('cosmos');
  Object.defineProperty(process, 'getBuiltinModule', { configurable: true, value: () => ({ createHash: forbidden }) });
  try {
    t.is(dagHash('d'), null);
  } finally {
    Reflect.deleteProperty(process, 'getBuiltinModule');
    Object.defineProperty(process, 'getBuiltinModule', original);
  }
  t.is(dagHash('d'), '8277e0910d750195b448797616e091ad');
});

test('products other than cosmos have no default digest', (t) => {
  t.is(productDagHash('acme')('d'), null);
});
