// The ids of the events that came last.
import { randomUUID } from 'node:crypto';
import test from 'ava';
import { SeenIds } from '../../src/relay/seen-ids.js';

test('an id is known by all its digits, with the place of its event', (t) => {
  const seen = new SeenIds();
  const id = '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b';
  t.is(seen.find(id), undefined);
  seen.add(id, 'disk');
  t.is(seen.find(id), 'disk');
  for (let at = 0; at < id.length; at += 1) {
    if (id[at] === '-') continue;
    const other = `${id.slice(0, at)}${id[at] === '0' ? '1' : '0'}${id.slice(at + 1)}`;
    t.is(seen.find(other), undefined, other);
  }
  seen.add(id, 'memory');
  t.is(seen.find(id), 'memory');
  seen.add('00000000-0000-0000-0000-000000000000', 'memory');
  t.is(seen.find('00000000-0000-0000-0000-000000000000'), 'memory');
  t.is(seen.find('ffffffff-ffff-ffff-ffff-ffffffffffff'), undefined);
});

test('at least as many as the capacity are known, at most twice as many, and the oldest are forgotten', (t) => {
  const capacity = 1000;
  const seen = new SeenIds(capacity);
  const ids = Array.from({ length: 10 * capacity + 1 }, () => randomUUID());
  for (const [index, id] of ids.entries()) {
    seen.add(id, 'disk');
    if (index >= capacity && index % 97 === 0) t.is(seen.find(ids[index - capacity + 1] as string), 'disk');
  }
  const known = ids.filter((id) => seen.find(id) !== undefined);
  t.true(known.length >= capacity && known.length <= 2 * capacity, `${known.length}`);
  t.deepEqual(known, ids.slice(-known.length));
});
