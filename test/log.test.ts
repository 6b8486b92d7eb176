import test from 'ava';
import { Log } from '../src/base/log.js';
import type { Logger } from '../src/base/log.js';
import { VirtualClock } from './helpers/virtual-clock.js';
import { unhandledRejections } from './helpers/unhandled-rejections.js';

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

test('writes the code and our own text, at its level', (t) => {
  const { lines, log } = setUp();
  log.warn('buffer_full', 'the oldest are dropped');
  log.debug('connect', 'rejected by the transport');
  t.deepEqual(lines, ['warn [telemetry] buffer_full: the oldest are dropped', 'debug [telemetry] connect: rejected by the transport']);
});

test('writes one line a minute for each code, whatever its text and level', (t) => {
  const { clock, lines, log } = setUp();
  for (let time = 0; time < 1000; time += 1) log.warn('invalid', `text ${time}`);
  log.debug('invalid', 'another level');
  t.is(lines.length, 1);
  clock.nowMs = 59_999;
  log.warn('invalid', 'too early');
  t.is(lines.length, 1);
  clock.nowMs = 60_000;
  log.warn('invalid', 'a minute later');
  log.warn('invalid', 'and again');
  t.deepEqual(lines, ['warn [telemetry] invalid: text 0', 'warn [telemetry] invalid: a minute later']);
});

test('codes do not silence each other', (t) => {
  const { lines, log } = setUp();
  for (const code of ['a', 'b', 'c']) log.warn(code, 'text');
  t.is(lines.length, 3);
});

test('is silent without a logger and asks the clock nothing', (t) => {
  const clock = new VirtualClock();
  const log = new Log(undefined, clock);
  log.warn('invalid', 'text');
  log.debug('invalid', 'text');
  t.is(clock.reads, 0);
});

test('a logger that throws harms nobody', (t) => {
  const log = new Log({ debug: throws, warn: throws }, new VirtualClock());
  t.notThrows(() => {
    log.warn('a', 'text');
    log.debug('b', 'text');
  });
});

test.serial('a logger that rejects harms nobody', async (t) => {
  const log = new Log({ debug: rejects, warn: rejects } as object as Logger, new VirtualClock());
  const unhandled = await unhandledRejections(() => {
    log.warn('a', 'text');
    log.debug('b', 'text');
  });
  t.deepEqual(unhandled, []);
});

test('a logger that publishes and so logs again does not go round in circles', (t) => {
  const lines: string[] = [];
  const again = (line: string) => {
    lines.push(line);
    log.warn('invalid', 'again');
  };
  const log = new Log({ debug: again, warn: again }, new VirtualClock());
  log.warn('invalid', 'first');
  t.is(lines.length, 1);
});

test('calls the methods on the logger itself, since many loggers need their `this`', (t) => {
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
