import test from 'ava';
import { defineEvent } from '../../src/events/definition.js';
import type { EventDefinition } from '../../src/events/definition.js';
import { boolean, count, isField } from '../../src/events/fields.js';
import { builtInEvents, productEvents } from '../../src/events/product-events.js';
import { metadataFields } from '../../src/events/dag-run.js';
import { standardFields } from '../../src/events/standard-metrics.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };
const OWN = defineEvent('model_built', { models: count(NOTE) });

test('every product has the three events of Cosmos, its own ones come after them', (t) => {
  t.deepEqual([...productEvents('cosmos', 'airflow', []).keys()], ['dag_run', 'task_instance', 'dbt_docs_access']);
  const definitions = productEvents('acme', 'airflow', [OWN]);
  t.deepEqual([...definitions.keys()], ['dag_run', 'task_instance', 'dbt_docs_access', 'model_built']);
  t.deepEqual(definitions.get('model_built'), OWN);
  t.true('acme_task_count' in (definitions.get('dag_run')?.fields ?? {}));
  t.true('is_acme_operator_subclass' in (definitions.get('task_instance')?.fields ?? {}));
});

test('everything that may leave says what it is and why it is collected', (t) => {
  const groups = [...builtInEvents('cosmos').map(({ fields }) => fields), metadataFields, standardFields('cosmos', 'airflow')];
  for (const fields of groups) for (const [name, field] of Object.entries(fields)) t.true(isField(field), name);
  for (const { type, description } of builtInEvents('cosmos')) t.regex(description, /^Sent when .+\.$/, type);
});

test('a type that is declared twice is a mistake', (t) => {
  for (const events of [[OWN, OWN], [{ ...OWN, type: 'dag_run' }], [{ ...OWN, type: 'dbt_docs_access' }]]) {
    t.throws(() => productEvents('acme', 'airflow', events), { instanceOf: TypeError, message: /`events`.*twice/ });
  }
});

test('a field with the name of a standard metric is a mistake', (t) => {
  for (const name of ['acme_version', 'airflow_version', 'python_version', 'node_version', 'platform_system', 'platform_machine']) {
    const events = [defineEvent('own', { [name]: boolean(NOTE) })];
    t.throws(() => productEvents('acme', 'airflow', events), { instanceOf: TypeError, message: new RegExp(`${name}.*own`) });
  }
  t.notThrows(() => productEvents('acme', 'airflow', [defineEvent('own', { cosmos_version: boolean(NOTE) })]));
});

test('what no defineEvent() made is looked at all the same', (t) => {
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

test('an event may come without a description, and then gets a plain one', (t) => {
  const { description: _, ...bare } = OWN;
  t.regex(productEvents('acme', 'airflow', [bare as object as EventDefinition]).get('model_built')?.description ?? '', /model_built/);
});
