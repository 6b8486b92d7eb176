import test from 'ava';
import { Ledger } from '../src/base/ledger.js';
import type { Loss } from '../src/base/ledger.js';

test('begins empty', (t) => {
  t.deepEqual(new Ledger().snapshot(0), {
    published: 0,
    sent: 0,
    failed: 0,
    dropped: 0,
    pending: 0,
    reasons: {},
    fieldsDropped: 0,
    metadataUnreadable: 0,
  });
});

test('tells whoever looks what is lost, by name', (t) => {
  const losses: Loss[] = [];
  const ledger = new Ledger((loss) => losses.push(loss));
  ledger.loseField('payload', 'operatorName', 'unusable');
  ledger.notice('metadata', '', 'not_zlib');
  t.deepEqual(losses, [
    { from: 'payload', name: 'operatorName', why: 'unusable' },
    { from: 'metadata', name: '', why: 'not_zlib' },
  ]);
  t.is(ledger.snapshot(0).fieldsDropped, 1);
});

test('adds up: published = sent + failed + dropped + pending, with a reason for each loss', (t) => {
  const ledger = new Ledger();
  ledger.published += 10;
  ledger.sent += 3;
  ledger.fail('timeout', 2);
  ledger.fail('connect', 1);
  ledger.drop('buffer_full', 2);
  ledger.refuse('invalid');
  ledger.refuse('invalid');
  ledger.fieldsDropped += 4;
  ledger.metadataUnreadable += 1;
  t.deepEqual(ledger.snapshot(2), {
    published: 12,
    sent: 3,
    failed: 3,
    dropped: 4,
    pending: 2,
    reasons: { timeout: 2, connect: 1, buffer_full: 2, invalid: 2 },
    fieldsDropped: 4,
    metadataUnreadable: 1,
  });
});

test('nothing lost has no reason', (t) => {
  const ledger = new Ledger();
  ledger.drop('deadline', 0);
  ledger.fail('aborted', 0);
  t.deepEqual(ledger.snapshot(0).reasons, {});
});

test('one reason may both fail and drop', (t) => {
  const ledger = new Ledger();
  ledger.drop('opted_out', 2);
  ledger.fail('opted_out', 3);
  const { failed, dropped, reasons } = ledger.snapshot(0);
  t.deepEqual([failed, dropped, reasons['opted_out']], [3, 2, 5]);
});

test('a snapshot stays as it was, and changing it changes no account', (t) => {
  const ledger = new Ledger();
  ledger.refuse('closed');
  const before = ledger.snapshot(0);
  ledger.refuse('closed');
  ledger.sent += 1;
  t.is(before.published, 1);
  t.is(before.sent, 0);
  t.deepEqual(before.reasons, { closed: 1 });
  (before.reasons as Record<string, number>)['closed'] = 99;
  t.deepEqual(ledger.snapshot(0).reasons, { closed: 2 });
});

test('a reason with the name of a property of all objects is a reason like any other', (t) => {
  const ledger = new Ledger();
  ledger.fail('__proto__', 1);
  ledger.fail('constructor', 2);
  const { reasons } = ledger.snapshot(0);
  t.deepEqual(Object.entries(reasons), [
    ['__proto__', 1],
    ['constructor', 2],
  ]);
});

test('reasons that a transport invents without end are kept up to a hundred; the rest counts as other', (t) => {
  const ledger = new Ledger();
  for (let event = 0; event < 1000; event += 1) ledger.fail(`code_${event}`, 1);
  ledger.fail('code_7', 1);
  const { reasons, failed } = ledger.snapshot(0);
  t.is(Object.keys(reasons).length, 101);
  t.deepEqual([reasons['code_7'], reasons['other'], failed], [2, 900, 1001]);
});
