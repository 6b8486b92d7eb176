import test from 'ava';
import { dbtDocsAccessFields } from '../../src/events/dag-run.js';

test('an access to the documentation says four things, in the order of the wire, each of them always', (t) => {
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
