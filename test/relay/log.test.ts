// The relay's log, and its JSON lines.
import test from 'ava';
import { jsonLines, RelayLog } from '../../src/relay/log.js';
import type { LogLevel } from '../../src/relay/log.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

function logAt(level: LogLevel) {
  const lines: string[] = [];
  const clock = new VirtualClock();
  return {
    lines,
    clock,
    log: new RelayLog(
      jsonLines((line) => lines.push(line), level, { wallNow: () => Date.UTC(2026, 0, 31, 12) }),
      clock,
    ),
  };
}

function throwing(): never {
  throw new Error('full disk');
}

test('a line is one JSON object with time, level, code and message', (t) => {
  const { log, lines } = logAt('debug');
  log.info('listening', 'listening on "x"\n');
  log.warn('expired', 'too old');
  log.debug('connect', 'deferred by the transport');
  t.deepEqual(lines, [
    '{"time":"2026-01-31T12:00:00.000Z","level":"info","code":"listening","message":"listening on \\"x\\"\\n"}\n',
    '{"time":"2026-01-31T12:00:00.000Z","level":"warn","code":"expired","message":"too old"}\n',
    '{"time":"2026-01-31T12:00:00.000Z","level":"debug","code":"connect","message":"deferred by the transport"}\n',
  ]);
});

test('a level logs its own lines and those of higher levels', (t) => {
  const expected: [LogLevel, string[]][] = [
    ['debug', ['debug', 'info', 'warn']],
    ['info', ['info', 'warn']],
    ['warn', ['warn']],
    ['silent', []],
  ];
  for (const [level, levels] of expected) {
    const { log, lines } = logAt(level);
    log.debug('a', 'x');
    log.info('b', 'x');
    log.warn('c', 'x');
    t.deepEqual(
      lines.map((line) => (JSON.parse(line) as { level: string }).level),
      levels,
    );
  }
});

test('a code is logged at most once a minute', (t) => {
  const { log, lines, clock } = logAt('info');
  for (const nowMs of [0, 1000, 59_999, 60_000]) {
    clock.nowMs = nowMs;
    log.warn('expired', 'too old');
  }
  t.is(lines.length, 2);
});

test('a logger needs no info(), and may throw', (t) => {
  const said: string[] = [];
  const log = new RelayLog({ warn: (text) => said.push(text), debug: () => undefined }, new VirtualClock());
  log.info('listening', 'x');
  log.warn('expired', 'x');
  t.deepEqual(said, ['[telemetry] expired: x']);
  const harmless = new RelayLog({ warn: throwing, debug: throwing, info: throwing }, new VirtualClock());
  t.notThrows(() => {
    harmless.info('listening', 'x');
    harmless.droppedFields([{ name: 'x', why: 'undeclared' }]);
  });
});
