import test from 'ava';
import { dagRunFields, metadataFields } from '../../src/events/dag-run.js';

test('the fields of a DAG run stand in the order of the wire, under the name of the product', (t) => {
  t.deepEqual(Object.keys(dagRunFields('cosmos')), ['dag_hash', 'status', 'task_count', 'cosmos_task_count', 'execution_modes']);
  t.deepEqual(Object.keys(dagRunFields('acme')), ['dag_hash', 'status', 'task_count', 'acme_task_count', 'execution_modes']);
});

test('only the hash of a DAG run may be left out, and nothing of it may be null', (t) => {
  for (const [name, field] of Object.entries(dagRunFields('cosmos'))) {
    t.is(field.optional, name === 'dag_hash', name);
    t.false(field.nullable, name);
  }
});

type MetadataName = keyof typeof metadataFields;

/** For each field of the metadata: what Cosmos writes into it, and what somebody who edits a param might. */
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

test('the metadata has these fields and no other', (t) => {
  t.deepEqual(Object.keys(metadataFields).toSorted(), Object.keys(METADATA).toSorted());
});
