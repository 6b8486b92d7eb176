import test from 'ava';
import { Ledger } from '../../src/base/ledger.js';
import type { Loss } from '../../src/base/ledger.js';
import { Log } from '../../src/base/log.js';
import type { Logger } from '../../src/base/log.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

function throws(): never {
  throw new Error('disk full');
}

function rejects(): Promise<void> {
  return Promise.reject(new Error('disk full'));
}

function setUp() {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const logger: Logger = { debug: (line) => lines.push(`debug ${line}`), warn: (line) => lines.push(`warn ${line}`) };
  return { clock, lines, log: new Log(logger, clock) };
}

test('the log writes the code and our own text, at the given level', (t) => {
  const { lines, log } = setUp();
  log.warn('buffer_full', 'the oldest are dropped');
  log.debug('connect', 'rejected by the transport');
  t.deepEqual(lines, ['warn [telemetry] buffer_full: the oldest are dropped', 'debug [telemetry] connect: rejected by the transport']);
});

test('the log writes one line a minute for each code and level, whatever its text', (t) => {
  const { clock, lines, log } = setUp();
  for (let time = 0; time < 1000; time += 1) log.warn('invalid', `text ${time}`);
  t.is(lines.length, 1);
  clock.nowMs = 59_999;
  log.warn('invalid', 'too early');
  t.is(lines.length, 1);
  clock.nowMs = 60_000;
  log.warn('invalid', 'a minute later');
  log.warn('invalid', 'and again');
  t.deepEqual(lines, ['warn [telemetry] invalid: text 0', 'warn [telemetry] invalid: a minute later']);
});

test('a line for debugging hides none for the operator', (t) => {
  const { lines, log } = setUp();
  for (let time = 0; time < 2; time += 1) {
    log.debug('invalid', 'an event');
    log.warn('invalid', 'a payload');
  }
  t.deepEqual(lines, ['debug [telemetry] invalid: an event', 'warn [telemetry] invalid: a payload']);
});

test('the codes of the log do not silence each other', (t) => {
  const { lines, log } = setUp();
  for (const code of ['a', 'b', 'c']) log.warn(code, 'text');
  t.is(lines.length, 3);
});

test('without a logger the log is silent and does not read the clock', (t) => {
  const clock = new VirtualClock();
  const log = new Log(undefined, clock);
  log.warn('invalid', 'text');
  log.debug('invalid', 'text');
  t.is(clock.reads, 0);
});

test('a logger that throws does no harm', (t) => {
  const log = new Log({ debug: throws, warn: throws }, new VirtualClock());
  t.notThrows(() => {
    log.warn('a', 'text');
    log.debug('b', 'text');
  });
});

test.serial('a logger that rejects does no harm', async (t) => {
  const log = new Log({ debug: rejects, warn: rejects } as object as Logger, new VirtualClock());
  const unhandled = await unhandledRejections(() => {
    log.warn('a', 'text');
    log.debug('b', 'text');
  });
  t.deepEqual(unhandled, []);
});

test('a logger that logs again, because it publishes, causes no endless loop', (t) => {
  const lines: string[] = [];
  const again = (line: string) => {
    lines.push(line);
    log.warn('invalid', 'again');
  };
  const log = new Log({ debug: again, warn: again }, new VirtualClock());
  log.warn('invalid', 'first');
  t.is(lines.length, 1);
});

test('the methods of the logger get it as `this`, which many loggers need', (t) => {
  const logger = {
    lines: [] as string[],
    debug(line: string) {
      this.lines.push(line);
    },
    warn(line: string) {
      this.lines.push(line);
    },
  };
  const log = new Log(logger, new VirtualClock());
  log.warn('a', '1');
  log.debug('b', '2');
  t.is(logger.lines.length, 2);
});

test('the ledger begins empty', (t) => {
  t.deepEqual(new Ledger().snapshot(0), {
    published: 0,
    sent: 0,
    handedOver: 0,
    failed: 0,
    dropped: 0,
    pending: 0,
    reasons: {},
    fieldsDropped: 0,
    metadataUnreadable: 0,
  });
});

test('the ledger tells its observer what is lost, by name', (t) => {
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

test('the ledger adds up: published = sent + failed + dropped + pending, with a reason for each loss', (t) => {
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
    handedOver: 0,
    failed: 3,
    dropped: 4,
    pending: 2,
    reasons: { timeout: 2, connect: 1, buffer_full: 2, invalid: 2 },
    fieldsDropped: 4,
    metadataUnreadable: 1,
  });
});

test('zero lost events add no reason', (t) => {
  const ledger = new Ledger();
  ledger.drop('deadline', 0);
  ledger.fail('aborted', 0);
  t.deepEqual(ledger.snapshot(0).reasons, {});
});

test('one reason can count both failed and dropped events', (t) => {
  const ledger = new Ledger();
  ledger.drop('opted_out', 2);
  ledger.fail('opted_out', 3);
  const { failed, dropped, reasons } = ledger.snapshot(0);
  t.deepEqual([failed, dropped, reasons['opted_out']], [3, 2, 5]);
});

test('a snapshot does not change, and a change of it changes no account', (t) => {
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

test('a reason may have the name of a property of Object.prototype', (t) => {
  const ledger = new Ledger();
  ledger.fail('__proto__', 1);
  ledger.fail('constructor', 2);
  const { reasons } = ledger.snapshot(0);
  t.deepEqual(Object.entries(reasons), [
    ['__proto__', 1],
    ['constructor', 2],
  ]);
});

test('up to a hundred reasons are kept; further reasons count as other', (t) => {
  const ledger = new Ledger();
  for (let event = 0; event < 1000; event += 1) ledger.fail(`code_${event}`, 1);
  ledger.fail('code_7', 1);
  const { reasons, failed } = ledger.snapshot(0);
  t.is(Object.keys(reasons).length, 101);
  t.deepEqual([reasons['code_7'], reasons['other'], failed], [2, 900, 1001]);
});
