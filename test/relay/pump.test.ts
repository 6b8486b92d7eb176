import test from 'ava';
import 'p-queue';
import type { Transport } from '../../src/delivery/transport.js';
import { Gate } from '../../src/opt-out/gate.js';
import { Log } from '../../src/base/log.js';
import { Pump } from '../../src/relay/pump.js';
import { RelayLedger } from '../../src/relay/pump.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { StandInStore } from './helpers/stand-in-store.js';

const LEFT = ['/v3/a', '/v3/b', '/v3/c', '/v3/d'];

function startPump(state: { isHigh: boolean; hasRoom: boolean }): { pump: Pump; clock: VirtualClock; sent: string[] } {
  const clock = new VirtualClock();
  const sent: string[] = [];
  const transport: Transport = {
    send: (events) => {
      for (const event of events) sent.push(event.requestTarget());
      return Promise.resolve({ kind: 'sent' });
    },
  };
  const store = new StandInStore(() => undefined, LEFT);
  const ledger = new RelayLedger();
  ledger.published = LEFT.length;
  const pump = new Pump({
    store,
    transport,
    gate: new Gate({ open: true, optedOutNow: () => false, clock }),
    ledger,
    log: new Log(undefined, clock) as never,
    clock,
    concurrency: 1,
    drainConcurrency: 1,
    sendCapMs: 1000,
    hasRoom: () => state.hasRoom,
    pressure: {
      add: () => undefined,
      get isHigh() {
        return state.isHigh;
      },
    },
  });
  return { pump, clock, sent };
}

test('while those who come go first, sending rests after each round', async (t) => {
  const { pump, clock, sent } = startPump({ isHigh: true, hasRoom: true });
  await clock.advance(0);
  await settle();
  t.deepEqual(sent, LEFT.slice(0, 1));
  await clock.advance(49);
  t.is(sent.length, 1);
  await clock.advance(1);
  await settle();
  t.deepEqual(sent, LEFT.slice(0, 2));
  await pump.stop();
});

test('a store that has filled is emptied whoever comes, and so it is while nobody does', async (t) => {
  for (const state of [
    { isHigh: true, hasRoom: false },
    { isHigh: false, hasRoom: true },
  ]) {
    const { pump, clock, sent } = startPump(state);
    await clock.advance(0);
    await settle();
    t.deepEqual(sent, LEFT, JSON.stringify(state));
    await pump.stop();
  }
});

test('a rest does not keep a relay that ends from delivering', async (t) => {
  const { pump, clock, sent } = startPump({ isHigh: true, hasRoom: true });
  await clock.advance(0);
  await settle();
  t.is(sent.length, 1);
  t.false(await pump.drain(1000));
  t.deepEqual(sent, LEFT);
  await pump.stop();
});
