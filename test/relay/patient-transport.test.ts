import test from 'ava';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { patient } from '../../src/relay/wiring.js';

/** A transport around scripted outcomes, on a clock that the test moves. */
function rig(outcomes: readonly SendOutcome[], random = () => 0.5) {
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const script = [...outcomes];
  const inner: Transport = { send: () => Promise.resolve(script.shift() ?? { kind: 'sent' }) };
  const transport = patient(inner, { backoffMs: 100, maxBackoffMs: 1000, clock, random });
  const send = async () => {
    clock.nowMs += 1;
    return transport.send([], new AbortController().signal);
  };
  return { send };
}

const DOWN: SendOutcome = { kind: 'retryable', reason: 'connect' };

test('waits double up to the longest, and start again after a success', async (t) => {
  const { send } = rig([DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, { kind: 'sent' }, DOWN]);
  const waits: (number | string)[] = [];
  for (let index = 0; index < 8; index += 1) {
    const outcome = await send();
    waits.push(outcome.kind === 'deferred' ? outcome.waitMs : outcome.kind);
  }
  t.deepEqual(waits, [50, 100, 200, 400, 500, 500, 'sent', 50]);
});

test('the wait is drawn from its whole length', async (t) => {
  for (const [chance, waitMs] of [
    [0, 0],
    [0.25, 25],
    [0.999, 99.9],
  ] as const) {
    t.deepEqual(await rig([DOWN], () => chance).send(), { kind: 'deferred', waitMs, reason: 'connect' });
  }
});

test('attempts that were under way together count as one failure', async (t) => {
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const fail: (() => void)[] = [];
  const inner: Transport = {
    send: () =>
      new Promise((resolve) => {
        fail.push(() => {
          resolve(DOWN);
        });
      }),
  };
  const transport = patient(inner, { backoffMs: 100, maxBackoffMs: 1000, clock, random: () => 0.5 });
  const { signal } = new AbortController();
  const together = [transport.send([], signal), transport.send([], signal), transport.send([], signal)];
  clock.nowMs = 10;
  for (const each of fail.splice(0)) each();
  t.deepEqual(
    (await Promise.all(together)).map((outcome) => outcome.kind === 'deferred' && outcome.waitMs),
    [50, 50, 50],
  );
  clock.nowMs = 20;
  const next = transport.send([], signal);
  fail[0]?.();
  t.deepEqual(await next, { kind: 'deferred', waitMs: 100, reason: 'connect' });
});

test('everything else goes through as it is', async (t) => {
  const outcomes: SendOutcome[] = [
    { kind: 'sent' },
    { kind: 'rejected', reason: 'timeout' },
    { kind: 'refused', reason: 'too_large' },
    { kind: 'deferred', waitMs: 7, reason: 'circuit_open' },
    { kind: 'aborted' },
  ];
  const { send } = rig(outcomes);
  for (const outcome of outcomes) t.deepEqual(await send(), outcome);
});
