import test from 'ava';
import { ndjsonColumns, ndjsonLine, ndjsonStatements, readNdjsonLine } from '../../../src/delivery/ndjson/index.js';
import { count, defineEvent, duration } from '../../../src/index.js';
import { pageOf } from '../../helpers/pages.js';

const PAGE = pageOf('docs/receiving.md');
const blocks = (language: string) =>
  [...PAGE.matchAll(/^```(\w+)\n([\s\S]*?)\n```$/gm)].filter(([, name]) => name === language).map(([, , text = '']) => text);

test('docs/receiving.md has the statements of its product, which the engines run', (t) => {
  const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
  const took = duration({ description: 'How long it took, in seconds.', reason: 'To know which steps are slow.' });
  const acme = {
    product: { name: 'acme', version: '1.2.0' },
    standardEvents: false,
    events: [defineEvent('backfill', { days, took })],
  } as const;
  const { clickhouse, duckdb, postgres, polars } = ndjsonStatements(ndjsonColumns(acme));
  t.deepEqual(blocks('sql'), [
    clickhouse.createTable,
    clickhouse.insertFile,
    clickhouse.insert,
    clickhouse.select,
    duckdb.createTable,
    duckdb.insertFile,
    postgres.createTable,
    postgres.insertFile,
  ]);
  t.deepEqual(blocks('python'), [polars]);
});

test('the line in docs/receiving.md is one of the format', (t) => {
  const [line = ''] = blocks('json');
  const reading = readNdjsonLine(line);
  t.is('event' in reading ? ndjsonLine(reading.event) : reading.problem, line);
});
