import test from 'ava';
import { taskInstanceFields } from '../../src/events/task-instance.js';

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
  ]; // prettier-ignore
}

test('the fields of a task stand in the order of the wire, under the name of the product', (t) => {
  t.deepEqual(Object.keys(taskInstanceFields('cosmos')), names('cosmos'));
  t.deepEqual(Object.keys(taskInstanceFields('acme')), names('acme'));
});

test('what the wire leaves out is optional, what it sends as None is nullable', (t) => {
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

test('no field takes free text', (t) => {
  for (const [name, field] of Object.entries(taskInstanceFields('cosmos'))) {
    for (const text of ['select * from users', '/home/alice/dbt', 'https://host/?key=1', 'alice@example.com', 'a\nb']) {
      t.false(field.accepts(text), `${name} took ${text}`);
    }
  }
});
