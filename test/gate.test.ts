import test from 'ava';
import { Gate } from '../src/opt-out/gate.js';
import { VirtualClock } from './helpers/virtual-clock.js';

function setUp(open = true) {
  const clock = new VirtualClock();
  const environment = { isOptedOut: false, reads: 0, isBroken: false };
  const optedOutNow = () => {
    environment.reads += 1;
    if (environment.isBroken) throw new Error('unreadable');
    return environment.isOptedOut;
  };
  return { clock, environment, gate: new Gate({ open, optedOutNow, clock }) };
}

function ask(gate: Gate, times: number): boolean {
  let answer = true;
  for (let time = 0; time < times; time += 1) answer = gate.isOpen();
  return answer;
}

test('a gate shut from the start stays shut, reads nothing and calls nobody', (t) => {
  const { clock, environment, gate } = setUp(false);
  gate.whenShut(() => t.fail());
  clock.nowMs = 1e6;
  t.false(ask(gate, 1000));
  t.false(gate.check());
  t.is(environment.reads, 0);
  t.is(clock.reads, 0);
});

test('asking often reads the clock once in some dozen questions and the environment at most once a second', (t) => {
  const { clock, environment, gate } = setUp();
  const readsBefore = clock.reads;
  t.true(ask(gate, 10_000));
  const reads = clock.reads - readsBefore;
  t.true(reads >= 10_000 / 99 && reads <= 10_000 / 12, `${reads} clock reads in 10,000 questions`);
  t.is(environment.reads, 0);
  clock.nowMs = 999;
  ask(gate, 100);
  t.is(environment.reads, 0);
  clock.nowMs = 1000;
  ask(gate, 100);
  t.is(environment.reads, 1);
  clock.nowMs = 1999;
  ask(gate, 10_000);
  t.is(environment.reads, 1);
});

test('an opt-out that appears is seen on the publish path within a second and some dozen questions', (t) => {
  const { clock, environment, gate } = setUp();
  environment.isOptedOut = true;
  clock.nowMs = 999;
  t.true(ask(gate, 100));
  clock.nowMs = 1001;
  t.false(ask(gate, 99));
});

test('check() reads the environment each time', (t) => {
  const { environment, gate } = setUp();
  t.true(gate.check());
  t.true(gate.check());
  t.is(environment.reads, 2);
  environment.isOptedOut = true;
  t.false(gate.check());
});

test('it is a latch: what was shut stays shut, and reads no more', (t) => {
  const { clock, environment, gate } = setUp();
  environment.isOptedOut = true;
  t.false(gate.check());
  environment.isOptedOut = false;
  clock.nowMs = 1e9;
  t.false(gate.check());
  t.false(ask(gate, 1000));
  t.is(environment.reads, 1);
});

test('an environment that cannot be read counts as an opt-out', (t) => {
  const { environment, gate } = setUp();
  environment.isBroken = true;
  t.notThrows(() => gate.check());
  t.false(gate.isOpen());
});

test('calls back in order, once, and finds itself shut then', (t) => {
  const { clock, environment, gate } = setUp();
  const calls: string[] = [];
  gate.whenShut(() => {
    calls.push(`first: ${gate.isOpen()}, ${gate.check()}`);
  });
  gate.whenShut(() => calls.push('second'));
  t.true(gate.check());
  t.deepEqual(calls, []);
  environment.isOptedOut = true;
  clock.nowMs = 5000;
  ask(gate, 100);
  gate.check();
  gate.check();
  t.deepEqual(calls, ['first: false, false', 'second']);
});
