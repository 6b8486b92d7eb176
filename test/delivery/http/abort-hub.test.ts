import { getEventListeners } from 'node:events';
import test from 'ava';
import { AbortHub } from '../../../src/delivery/http/fetch-transport.js';

function recorder(): { abort(): void; aborts: number } {
  return {
    aborts: 0,
    abort() {
      this.aborts += 1;
    },
  };
}

test('a signal ends all that joined by it, and nothing else', (t) => {
  const hub = new AbortHub();
  const [first, second] = [new AbortController(), new AbortController()];
  const things = [recorder(), recorder(), recorder()] as const;
  hub.join(first.signal, things[0]);
  hub.join(first.signal, things[1]);
  hub.join(second.signal, things[2]);
  first.abort();
  t.deepEqual(
    things.map(({ aborts }) => aborts),
    [1, 1, 0],
  );
});

test('there is one listener a signal, which an idle signal keeps for what comes next', (t) => {
  const hub = new AbortHub();
  const { signal } = new AbortController();
  const [one, other] = [recorder(), recorder()];
  hub.join(signal, one);
  hub.join(signal, other);
  t.is(getEventListeners(signal, 'abort').length, 1);
  hub.leave(signal, one);
  hub.leave(signal, other);
  hub.join(signal, one);
  t.is(getEventListeners(signal, 'abort').length, 1);
  hub.abortAll();
  t.is(getEventListeners(signal, 'abort').length, 0);
  t.deepEqual([one.aborts, other.aborts], [1, 0]);
});

test('of many signals the oldest idle ones are let go, and none that is in use', (t) => {
  const hub = new AbortHub();
  const busy = new AbortController();
  const thing = recorder();
  hub.join(busy.signal, thing);
  const signals = Array.from({ length: 100 }, () => new AbortController().signal);
  for (const signal of signals) {
    const passing = recorder();
    hub.join(signal, passing);
    hub.leave(signal, passing);
  }
  t.is(signals.filter((signal) => getEventListeners(signal, 'abort').length > 0).length, 47);
  t.is(getEventListeners(signals[99] as AbortSignal, 'abort').length, 1);
  busy.abort();
  t.is(thing.aborts, 1);
});

test('who has left is not ended', (t) => {
  const hub = new AbortHub();
  const controller = new AbortController();
  const [one, other] = [recorder(), recorder()];
  hub.join(controller.signal, one);
  hub.join(controller.signal, other);
  hub.leave(controller.signal, one);
  controller.abort();
  t.deepEqual([one.aborts, other.aborts], [0, 1]);
});

test('things may leave while they are ended', (t) => {
  const hub = new AbortHub();
  const signals = [new AbortController().signal, new AbortController().signal];
  let ended = 0;
  for (const signal of signals) {
    for (let index = 0; index < 3; index += 1) {
      const thing = {
        abort: () => {
          ended += 1;
          hub.leave(signal, thing);
        },
      };
      hub.join(signal, thing);
    }
  }
  hub.abortAll();
  t.is(ended, 6);
  for (const signal of signals) t.is(getEventListeners(signal, 'abort').length, 0);
});
