// What a breaker does while the network is in doubt and the process leaves: bounded connects, one probe, three failures.
import test from 'ava';
import { steering } from '../../src/delivery/transport.js';
import { breakerRig, CONNECT, deferred, HOUR_MS, pending, SENT } from '../helpers/breaker-rig.js';
import type { Step } from '../helpers/stepped-transport.js';
import { proves } from '../helpers/promises.js';

/** A breaker whose inner transport notes the limits of its connects. */
function limitsRig(answer: Step) {
  const rig = breakerRig(answer);
  const limits: unknown[] = [];
  Object.assign(rig.inner, {
    [steering]: { limitConnects: (limitMs: number | undefined, isFirm: boolean) => limits.push([limitMs, isFirm]) },
  });
  return { ...rig, limits };
}

test('the connect of an attempt that tests the network is cut at 3 s, later ones are not', async (t) => {
  const { clock, limits, network, send } = limitsRig(SENT);
  await send();
  t.deepEqual(limits, []);
  network.answer = CONNECT;
  await send();
  await clock.advance(300);
  network.answer = SENT;
  await send();
  t.deepEqual(limits, [[3000, false]]);
  await send();
  await send();
  t.deepEqual(limits, [
    [3000, false],
    [undefined, false],
  ]);
});

test(
  proves('breaker-probe', 'a connect that was cut doubles the limit of the next one: a far endpoint is reached after a failure'),
  async (t) => {
    const { clock, limits, network, send } = limitsRig(CONNECT);
    const slow = { ...CONNECT, cause: 'slow' } as const;
    await send();
    for (const answer of [slow, slow, CONNECT, SENT, CONNECT, SENT] as const) {
      await clock.advance(3000);
      network.answer = answer;
      await send();
    }
    t.deepEqual(limits, [
      [3000, false],
      [6000, false],
      [12_000, false],
      [12_000, false],
      // A success begins anew.
      [undefined, false],
      [3000, false],
    ]);
  },
);

test('while the process leaves, three connects 50 ms apart may fail, then nothing more is tried', async (t) => {
  const { clock, limits, send, transport, attempts } = limitsRig(CONNECT);
  transport[steering]?.lastCall?.(true);
  t.deepEqual(await send(), deferred(50, 'connect'));
  await clock.advance(50);
  t.deepEqual(await send(), deferred(50, 'connect'));
  await clock.advance(50);
  t.deepEqual(await send(), deferred(HOUR_MS, 'connect'));
  await clock.advance(60_000);
  t.like(await send(), { kind: 'deferred' });
  t.is(attempts(), 3);
  t.deepEqual(limits, [
    [3000, false],
    [3000, false],
  ]);
});

test('while the process leaves, a success between two failures starts the count again', async (t) => {
  const { clock, network, send, transport } = breakerRig(CONNECT);
  transport[steering]?.lastCall?.(true);
  for (const answer of [CONNECT, CONNECT, SENT, CONNECT, CONNECT] as const) {
    network.answer = answer;
    t.deepEqual(await send(), answer === SENT ? SENT : deferred(50, 'connect'));
    await clock.advance(50);
  }
  network.answer = CONNECT;
  t.deepEqual(await send(), deferred(HOUR_MS, 'connect'));
});

test('while the process leaves, failures of connects that were in flight together count once', async (t) => {
  const { network, send, transport } = breakerRig(CONNECT);
  transport[steering]?.lastCall?.(true);
  const together = Array.from({ length: 24 }, () => pending());
  let next = 0;
  network.answer = () => together[next++]?.promise;
  const sends = together.map(() => send());
  for (const each of together) each.resolve(CONNECT);
  const expected = deferred(50, 'connect');
  for (const each of sends) t.deepEqual(await each, expected);
});

test(proves('breaker-probe', 'while the process leaves, an open circuit lets one probe through, for at most a second'), async (t) => {
  const { clock, limits, network, open, send, transport, attempts } = limitsRig(CONNECT);
  await open();
  transport[steering]?.lastCall?.(true);
  const probe = pending();
  network.answer = () => probe.promise;
  const probing = send();
  t.deepEqual(await send(), deferred(250));
  t.deepEqual(limits.at(-1), [1000, true]);
  probe.resolve(CONNECT);
  t.deepEqual(await probing, deferred(HOUR_MS));
  t.is(attempts(), 6);

  transport[steering]?.lastCall?.(false);
  t.deepEqual(await send(), deferred(2000), 'the process stays: probes go on');
  await clock.advance(2000);
  network.answer = SENT;
  t.deepEqual([await send(), await send()], [SENT, SENT]);
});

test('while the process leaves, a probe that began before is not waited for', async (t) => {
  const { clock, network, open, send, transport, attempts } = breakerRig(CONNECT);
  await open();
  await clock.advance(2000);
  const stuck = pending();
  network.answer = () => stuck.promise;
  const before = send();
  transport[steering]?.lastCall?.(true);
  network.answer = CONNECT;
  stuck.resolve(CONNECT);
  t.deepEqual(await before, deferred(0));
  t.deepEqual(await send(), deferred(HOUR_MS), 'the one probe of the last call');
  t.is(attempts(), 7);
});

test('while the process leaves, a probe that succeeds opens the way for all', async (t) => {
  const { network, open, send, transport } = breakerRig(CONNECT);
  await open();
  transport[steering]?.lastCall?.(true);
  network.answer = SENT;
  t.deepEqual([await send(), await send()], [SENT, SENT]);
});
