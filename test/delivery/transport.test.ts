import test from 'ava';
import { attempt, attemptThen } from '../../src/delivery/transport.js';
import type { SendOutcome, Transport, UsageEvent } from '../../src/delivery/transport.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const EVENTS: readonly UsageEvent[] = [{ id: 'a', type: 'own', metrics: {}, requestTarget: () => '/v3/own?' }];
const TRANSPORT_ERROR = { kind: 'rejected', reason: 'transport_error' };

function outcomeOf(send: unknown): Promise<SendOutcome> {
  return attempt({ send } as Transport, EVENTS, new AbortController().signal);
}

function throws(): never {
  throw new Error('hunter2');
}

test('send() gets the events and the signal, and is called as a method of the transport', async (t) => {
  const controller = new AbortController();
  const transport: Transport & { seen: unknown[] } = {
    seen: [],
    send(events, signal) {
      this.seen.push(events, signal);
      return Promise.resolve({ kind: 'sent' });
    },
  };
  t.deepEqual(await attempt(transport, EVENTS, controller.signal), { kind: 'sent' });
  t.is(transport.seen[0], EVENTS);
  t.is(transport.seen[1], controller.signal);
});

const OUTCOMES: readonly SendOutcome[] = [
  { kind: 'sent' },
  { kind: 'aborted' },
  { kind: 'retryable', reason: 'connect' },
  { kind: 'rejected', reason: 'http_404' },
  { kind: 'refused', reason: 'too_large' },
  { kind: 'deferred', waitMs: 0, reason: 'circuit_open' },
  { kind: 'deferred', waitMs: 1.5, reason: 'a'.repeat(40) },
];

for (const outcome of OUTCOMES) {
  test(`returns ${JSON.stringify(outcome)} unchanged`, async (t) => {
    t.deepEqual(await outcomeOf(() => Promise.resolve(outcome)), outcome);
  });
}

const revoked = Proxy.revocable({}, {});
revoked.revoke();

const NO_OUTCOMES: readonly [name: string, outcome: unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['a string', 'sent'],
  ['an empty object', {}],
  ['an unknown kind', { kind: 'delivered' }],
  ['no reason', { kind: 'rejected' }],
  ['an empty reason', { kind: 'rejected', reason: '' }],
  ['an error text as the reason', { kind: 'rejected', reason: 'connect ECONNREFUSED 10.0.0.1:443' }],
  ['a reason that is too long', { kind: 'refused', reason: 'a'.repeat(41) }],
  ['a reason with a line break', { kind: 'refused', reason: 'a\n' }],
  ['a reason that is not a string', { kind: 'retryable', reason: ['connect'] }],
  ['a deferral without a time', { kind: 'deferred', reason: 'circuit_open' }],
  ['a deferral by NaN', { kind: 'deferred', reason: 'circuit_open', waitMs: NaN }],
  ['a deferral by a string', { kind: 'deferred', reason: 'circuit_open', waitMs: '10' }],
  ['a deferral without a reason', { kind: 'deferred', waitMs: 10 }],
];

for (const [name, outcome] of NO_OUTCOMES) {
  test(`an answer that is ${name} is a transport_error`, async (t) => {
    t.deepEqual(await outcomeOf(() => Promise.resolve(outcome)), TRANSPORT_ERROR);
  });
}

const FAULTS: readonly [name: string, send: unknown][] = [
  ['throws', throws],
  ['rejects', () => Promise.reject(new Error('hunter2'))],
  ['returns nothing', () => undefined],
  ['is not a function', 'send'],
  ['fulfils with a revoked proxy', () => new Promise((resolve) => resolve(revoked.proxy))],
];

for (const [name, send] of FAULTS) {
  test.serial(`a transport that ${name} is a transport_error and causes no unhandled rejection`, async (t) => {
    const unhandled = await unhandledRejections(async () => t.deepEqual(await outcomeOf(send), TRANSPORT_ERROR));
    t.deepEqual(unhandled, []);
  });
}

test('an answer that is not wrapped in a promise counts', async (t) => {
  t.deepEqual(await outcomeOf(() => ({ kind: 'sent' })), { kind: 'sent' });
});

test('an outcome that changes later counts as it was when it was returned', async (t) => {
  let asked = 0;
  const outcome = {
    kind: 'rejected',
    get reason(): string {
      asked += 1;
      if (asked > 1) throw new Error('hunter2');
      return 'http_500';
    },
  };
  t.deepEqual(await outcomeOf(() => Promise.resolve(outcome)), { kind: 'rejected', reason: 'http_500' });
});

test('each outcome is a new object, because decorators may write to it', async (t) => {
  const [first, second] = [await outcomeOf(() => ({ kind: 'sent' })), await outcomeOf(() => ({ kind: 'sent' }))];
  t.not(first, second);
});

function answersTwice(heard: (outcome: unknown) => void): void {
  heard({ kind: 'retryable', reason: 'connect' });
  heard({ kind: 'sent' });
}

test('a promise that answers twice counts once', (t) => {
  const answer = Promise.resolve();
  Reflect.set(answer, 'then', answersTwice);
  const heard: SendOutcome[] = [];
  attemptThen({ send: () => answer } as object as Transport, EVENTS, new AbortController().signal, (outcome) => heard.push(outcome));
  t.deepEqual(heard, [{ kind: 'retryable', reason: 'connect' }]);
});
