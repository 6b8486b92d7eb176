import { AssertionError } from 'node:assert';
import { setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { jsonLinesTransport } from '../../examples/custom-transport/json-lines-transport.js';
import { systemClock } from '../../src/base/clock.js';
import { Log } from '../../src/base/log.js';
import type { FileDescriptors } from '../../src/base/machine.js';
import { debugTransport } from '../../src/delivery/debug-transport.js';
import { circuitBreaker, fetchTransport, retrying } from '../../src/index.js';
import type { SendOutcome, Transport, UsageEvent } from '../../src/index.js';
import { recordingTransport, refusedPort, silentServer, startCollector, transportContract } from '../../src/testing/index.js';
import type { TransportContractOptions } from '../../src/testing/index.js';

const collector = await startCollector();
collector.unref();
const silent = await silentServer();
silent.unref();
const folder = mkdtempSync(path.join(tmpdir(), 'transport-contract-'));
test.after.always(async () => {
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([collector.close(), silent.close()]);
});

/** Limits of time for a machine under load. */
const SLOW_MACHINE = { connectTimeoutMs: 5000, attemptTimeoutMs: 10_000 };

const fetching = (endpoint: string): Transport => fetchTransport({ endpoint, env: {}, ...SLOW_MACHINE });
const refusing = async (): Promise<string> => `http://127.0.0.1:${await refusedPort()}`;

/** The arguments of `transportContract` for a transport to an endpoint. */
function over(make: (endpoint: string) => Transport, arrived?: () => number): [() => Transport, TransportContractOptions] {
  return [() => make(collector.url), { arrived, unreachable: async () => make(await refusing()), silent: () => make(silent.url) }];
}

let files = 0;
const OURS: Readonly<Record<string, readonly [() => Transport, TransportContractOptions?]>> = {
  fetchTransport: over(fetching, () => collector.requests.length),
  'circuitBreaker(fetchTransport)': over((endpoint) => circuitBreaker(fetching(endpoint))),
  'retrying(fetchTransport)': over((endpoint) => retrying(fetching(endpoint), { minDelayMs: 1 })),
  'retrying(circuitBreaker(fetchTransport))': over((endpoint) => retrying(circuitBreaker(fetching(endpoint)), { minDelayMs: 1 })),
  'the example jsonLinesTransport': over(jsonLinesTransport),
  recordingTransport: [
    () => recordingTransport({ maxBatchSize: 3 }),
    { silent: () => recordingTransport({ outcomes: () => new Promise(() => {}) }) },
  ],
  debugTransport: [
    () => {
      const log = new Log(undefined, systemClock);
      return debugTransport({ mode: { variable: 'DEBUG', path: path.join(folder, `${(files += 1)}`) }, log, clock: systemClock });
    },
  ],
};

// Serial: one rule counts the resources of the process.
for (const [name, [make, options]] of Object.entries(OURS)) {
  for (const rule of transportContract(make, options)) test.serial(`${name}: ${rule.name}`, (t) => t.notThrowsAsync(rule.run));
}

test('close() of debugTransport closes its file once: the second time, the descriptor may belong to another file', async (t) => {
  const closed: number[] = [];
  const access: FileDescriptors = {
    open: () => Promise.resolve(7),
    write: (_descriptor, bytes) => Promise.resolve(bytes.length),
    close: async (descriptor) => void closed.push(descriptor),
  };
  const mode = { variable: 'DEBUG', path: 'lines' };
  const transport = debugTransport({ mode, log: new Log(undefined, systemClock), clock: systemClock, access });
  const event = { id: '1', type: 'dag_run', metrics: {}, requestTarget: () => '/v3/dag_run' };
  await transport.send([event], new AbortController().signal);
  await Promise.all([transport.close?.(), transport.close?.()]);
  await transport.close?.();
  t.deepEqual(closed, [7]);
});

const SENT = { kind: 'sent' } as const satisfies SendOutcome;
const nothing = (): void => {};
const hanging = (): Promise<SendOutcome> => new Promise(() => {});
const sends = (send: (events: readonly UsageEvent[], signal: AbortSignal) => unknown): Transport => ({ send: send as Transport['send'] });

/** Broken transports, by the rule that they break. */
const BROKEN: readonly (readonly [rule: string, what: string, make: () => Transport])[] = [
  [
    'send() returns a promise and does not throw',
    'throws',
    () =>
      sends(() => {
        throw new Error('broken');
      }),
  ],
  ['send() returns a promise and does not throw', 'returns no promise', () => sends(() => SENT)],
  ['send() settles with a known outcome', 'rejects', () => sends(() => Promise.reject(new Error('broken')))],
  ['send() settles with a known outcome', 'never settles', () => sends(hanging)],
  ['send() settles with a known outcome', 'has an unknown kind', () => sends(async () => ({ kind: 'done' }))],
  ['send() settles with a known outcome', 'has no outcome', () => sends(async () => undefined)],
  ['send() settles with a known outcome', 'has a text for a reason', () => sends(async () => ({ kind: 'rejected', reason: 'It failed.' }))],
  [
    'send() settles with a known outcome if the endpoint is unreachable',
    'rejects',
    () => sends(() => Promise.reject(new Error('ECONNREFUSED'))),
  ],
  ['send() takes maxBatchSize events', 'has a maxBatchSize of 0', () => ({ maxBatchSize: 0, send: async () => SENT })],
  [
    'send() takes maxBatchSize events',
    'takes fewer events',
    () => ({ maxBatchSize: 3, send: async (events) => (events.length > 2 ? { kind: 'refused', reason: 'invalid' } : SENT) }),
  ],
  ['what it says of its batches is valid', 'lingers for ever', () => ({ lingerMs: Infinity, send: async () => SENT })],
  ['what it says of its batches is valid', 'takes half a byte', () => ({ maxBatchBytes: 0.5, send: async () => SENT })],
  ['what it says of its batches is valid', 'does not know a size', () => ({ bytesOf: () => NaN, send: async () => SENT })],
  ['what it says of its batches is valid', 'measures by chance', () => ({ bytesOf: () => Math.random(), send: async () => SENT })],
  [
    'what it says of its batches is valid',
    'throws for a size',
    () => ({
      bytesOf: () => {
        throw new Error('broken');
      },
      send: async () => SENT,
    }),
  ],
  [
    'send() takes maxBatchSize events',
    'has too few outcomes',
    () => ({ maxBatchSize: 3, send: async () => ({ kind: 'partial', outcomes: [SENT] }) }),
  ],
  [
    'send() leaves the events unchanged',
    'changes the metrics',
    () =>
      sends(async ([event]) => {
        Object.assign(event?.metrics ?? {}, { host: 'me' });
        return SENT;
      }),
  ],
  [
    'send() leaves the events unchanged',
    'empties the list',
    () =>
      sends(async (events) => {
        (events as UsageEvent[]).length = 0;
        return SENT;
      }),
  ],
  ['send() ends soon if its signal has aborted before', 'ignores the signal', () => sends(hanging)],
  [
    'send() ends soon after its signal aborts',
    'looks at the signal before the send only',
    () => sends((_events, signal) => (signal.aborted ? Promise.resolve({ kind: 'aborted' }) : hanging())),
  ],
  [
    'sends at the same time are independent',
    'shares the first signal',
    () => {
      let shared: AbortSignal | undefined;
      return sends(async (_events, signal) => {
        shared ??= signal;
        await new Promise((resolve) => setImmediate(resolve));
        return shared.aborted ? { kind: 'aborted' } : SENT;
      });
    },
  ],
  [
    'sends leave no listener on their signal',
    'adds a listener for each send',
    () =>
      sends(async (_events, signal) => {
        // Node warns of a leak from the eleventh listener on; here the leak is intended.
        setMaxListeners(0, signal);
        signal.addEventListener('abort', () => {});
        return SENT;
      }),
  ],
  [
    'sends leave no listener on their signal',
    'keeps its one listener after close()',
    () =>
      sends(async (_events, signal) => {
        signal.addEventListener('abort', nothing);
        return SENT;
      }),
  ],
  [
    'what was sent has arrived when close() has resolved',
    'closes before it has delivered',
    () => ({ maxBatchSize: 2, send: async () => ({ kind: 'sent', handedOver: true }), close: nothing }),
  ],
  [
    'close() may be called more than once',
    'throws from the second close()',
    () => {
      let closed = 0;
      return {
        send: async () => SENT,
        close: () => {
          closed += 1;
          if (closed > 1) throw new Error('closed');
        },
      };
    },
  ],
  [
    'close() may be called during a send whose signal has aborted',
    'waits in close() for a send that does not end',
    () => {
      const open: Promise<SendOutcome>[] = [];
      return {
        send: () => {
          open.push(hanging());
          return Promise.resolve(SENT);
        },
        close: async () => {
          await Promise.all(open);
        },
      };
    },
  ],
  [
    'close() may be called during a send whose signal has aborted',
    'forgets a send in close()',
    () => {
      const open = new Set<() => void>();
      return {
        send: (_events, signal) =>
          new Promise((resolve) => {
            const end = (): void => resolve({ kind: 'aborted' });
            open.add(end);
            signal.addEventListener('abort', () => setImmediate(() => open.has(end) && end()));
          }),
        close: () => open.clear(),
      };
    },
  ],
];

/** Broken transports that hold a resource. The test frees it by the functions in `free`. */
function holdsTheProcess(free: (() => void)[]): (readonly [what: string, make: () => Transport])[] {
  return [
    [
      'leaves a timer',
      () => {
        const timer = setInterval(() => {}, 60_000);
        free.push(() => clearInterval(timer));
        return { send: async () => SENT, close: () => undefined };
      },
    ],
    [
      'leaves a server',
      () => {
        const server = createServer();
        free.push(() => server.close());
        return {
          send: async () => {
            if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
            return (server.address() as AddressInfo).port > 0 ? SENT : { kind: 'aborted' };
          },
        };
      },
    ],
  ];
}

const QUICK = { settleWithinMs: 50, abortWithinMs: 20, releaseWithinMs: 20 };

for (const [rule, what, make] of BROKEN) {
  test.serial(`a transport that ${what} breaks a rule: ${rule}`, async (t) => {
    const found = transportContract(make, { unreachable: make, arrived: () => 0, ...QUICK }).find(({ name }) => name === rule);
    await t.throwsAsync(async () => found?.run(), { instanceOf: AssertionError });
  });
}

test.serial('a transport that holds the process breaks a rule: nothing holds the process after close()', async (t) => {
  const free: (() => void)[] = [];
  t.teardown(() => {
    for (const each of free) each();
  });
  for (const [what, make] of holdsTheProcess(free)) {
    const found = transportContract(make, QUICK).find(({ name }) => name === 'nothing holds the process after close()');
    await t.throwsAsync(async () => found?.run(), { instanceOf: AssertionError, message: /still active 20 ms after close\(\)$/ }, what);
  }
});

test('each rule of the contract has a transport that breaks it, and its name is unique', (t) => {
  const make = recordingTransport;
  const rules = transportContract(make, { unreachable: make, arrived: () => 0 }).map(({ name }) => name);
  t.deepEqual(new Set([...BROKEN.map(([rule]) => rule), 'nothing holds the process after close()']), new Set(rules));
  t.is(new Set(rules).size, rules.length);
  t.is(transportContract(make).length, rules.length - 2, 'no test for an unreachable endpoint, or for arrivals, unless there are some');
});
