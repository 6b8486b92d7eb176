import test from 'ava';
import { Modules } from '../../src/listeners/modules.js';

const OTHERS: readonly unknown[] = ['chat.operators.post', 'acmex.operators.spark', '', 'acme', undefined, null, 7];

test('each module is read by its own name, whatever came before', (t) => {
  const modules = new Modules('acme', undefined);
  for (let round = 0; round < 2; round += 1) {
    for (const mode of ['spark', 'sql']) {
      t.deepEqual(modules.of(`acme.operators.${mode}.deep`), { isOwn: true, mode });
      t.deepEqual(modules.of(`acme.operators.${mode}.deep`), { isOwn: true, mode });
      t.deepEqual(modules.of('acme.hooks'), { isOwn: true, mode: null });
      for (const other of OTHERS) t.deepEqual(modules.of(other), { isOwn: false, mode: null });
    }
  }
});

test('of a mode only the declared words are told', (t) => {
  const modules = new Modules('acme', ['spark']);
  t.is(modules.of('acme.operators.spark').mode, 'spark');
  t.is(modules.of('acme.operators.acquisition_of_initech').mode, null);
});

test('a long name is read each time and not kept', (t) => {
  const modules = new Modules('acme', undefined);
  const long = `acme.operators.${'x'.repeat(1000)}`;
  const [first, second] = [modules.of(long), modules.of(long)];
  t.not(first, second);
  t.deepEqual(first, { isOwn: true, mode: 'x'.repeat(1000) });
  const short = 'acme.operators.spark';
  t.is(modules.of(short), modules.of(short));
});
