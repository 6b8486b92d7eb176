import { createHash } from 'node:crypto';
import test from 'ava';
import { productDagHash } from '../../src/events/product-events.js';

const original = Object.getOwnPropertyDescriptor(process, 'getBuiltinModule') ?? {};

function forbidden(): never {
  throw new Error('digital envelope routines::unsupported');
}

test('is the md5 of the id as UTF-8, in hex', (t) => {
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

test('stays right beyond what it remembers', (t) => {
  const dagHash = productDagHash('cosmos');
  for (let number = 0; number < 2500; number += 1) dagHash(`dag_${number}`);
  t.is(dagHash('d'), '8277e0910d750195b448797616e091ad');
  t.is(dagHash('x'.repeat(300)), createHash('md5').update('x'.repeat(300)).digest('hex'));
});

test('the host does not wait for the digest of what is no id', (t) => {
  t.is(productDagHash('cosmos')('x'.repeat(1e8)), null);
});

test.serial('is left out where the platform forbids md5, and comes back when it allows it', (t) => {
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

test('other products have none', (t) => {
  t.is(productDagHash('acme')('d'), null);
});
